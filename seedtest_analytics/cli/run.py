"""`seedtest run`: one job now. On one machine it computes in this process, on Kubernetes in pods of its own."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command, use_instance
from seedtest_analytics.cli.materialize import PLAIN, Runner, console_log, ready_to_run
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.steps import Step
from seedtest_analytics.settings import load_settings

WORKSPACES = (Path("/etc/seedtest/workspace.yaml"), Path("/dagster-workspace/workspace.yaml"))
"""Where the daemon's pod has the addresses of the code locations: in the manifests, and in Dagster's chart."""


def run_command(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name of the job, e.g. calibrate_irt.")],
    *,
    first: Annotated[
        str | None,
        typer.Argument(metavar="FIRST", help="First partition: a day, or the Monday of a week. Default: the newest."),
    ] = None,
    last: Annotated[str | None, typer.Argument(metavar="LAST", help="Last partition. Default: only the first.")] = None,
) -> None:
    """Run one job now over a range of its partitions. On Kubernetes the run is queued and has its own pods.

    With `--set DRY_RUN=true` it says what it would write. The exit code is 1 if the run fails, or cannot be queued.
    """
    from seedtest_analytics.build import build_definitions

    definitions = build_definitions()
    names = sorted(one.name for one in definitions.jobs or ())
    if job not in names:
        raise typer.BadParameter(f"unknown job: {job}. The jobs are {', '.join(names)}")
    found = definitions.resolve_job_def(job)
    partitions = partitions_between(found, first=first, last=last)
    if load_settings().execution.chosen == "k8s":
        queue(found, partitions, given=context.parent.params["settings"] if context.parent else None)
    else:
        compute(definitions, job, partitions=partitions)


def partitions_between(job: Any, *, first: str | None, last: str | None) -> tuple[str, str] | None:
    """First and last partition of a run; None for a job without partitions. Raises typer.BadParameter for unknown ones."""
    if job.partitions_def is None:
        if first is not None:
            raise typer.BadParameter(f"the job {job.name} has no partitions: leave {first} out")
        return None
    keys = job.partitions_def.get_partition_keys()
    chosen = first or keys[-1], last or first or keys[-1]
    for key in chosen:
        if key not in keys:
            raise typer.BadParameter(
                f"the job {job.name} has no partition {key}; they begin {', '.join(keys[:2])} and end with {keys[-1]}"
            )
    if chosen[0] > chosen[1]:
        raise typer.BadParameter(f"the first partition {chosen[0]} is after the last one {chosen[1]}; swap them")
    return chosen


def compute(definitions: Any, job: str, *, partitions: tuple[str, str] | None) -> None:
    """Run the job in this process, with the instance of the home. Raises typer.Exit(1) if it fails."""
    import dagster as dg

    console = Console(emoji=False)
    migrated_engine(is_writing=True)
    use_instance()
    step = Step(job, job)
    if partitions:
        first, last = partitions
        step = Step(job, f"{job}, {first} to {last}", dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    with dg.DagsterInstance.get() as instance:
        ready_to_run(instance, console)
        is_dry_run = load_settings().platform.dry_run
        runner = Runner(
            definitions, instance, console=console, run_config=console_log("CRITICAL"), is_dry_run=is_dry_run
        )
        try:
            runner.run(step)
        finally:
            runner.problems.show(console)
    console.print(f"next: {command('health')}", **PLAIN)


def queue(job: Any, partitions: tuple[str, str] | None, *, given: Sequence[str] | None) -> None:
    """Queue a run for the daemon, which starts its pods. Raises typer.Exit with the code of Dagster's command."""
    others = [pair for pair in given or () if not pair.startswith("DRY_RUN=")]
    if others:
        raise typer.BadParameter(
            f"--set {others[0]} does not reach the pods of a run: change the field in the launchpad of the UI"
        )
    workspace = next((path for path in WORKSPACES if path.exists()), None)
    if workspace is None:
        raise typer.BadParameter(
            f"neither {WORKSPACES[0]} nor {WORKSPACES[1]} exists: on Kubernetes run this command in the daemon's pod"
        )
    from seedtest_analytics.schedules.jobs import range_tags

    run_id = str(uuid.uuid4())
    config = dry_run_config(job) if load_settings().platform.dry_run else {}
    tags = range_tags(*partitions) if partitions else {}
    launch = [sys.executable, "-m", "dagster", "job", "launch", "--workspace", str(workspace), "--job", job.name]
    options = ["--run-id", run_id, "--tags", json.dumps(tags), "--config-json", json.dumps(config)]
    done = subprocess.run([*launch, *options], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    Console(emoji=False).print(f"queued run {run_id} of {job.name}; the UI shows how it ends", **PLAIN)


def dry_run_config(job: Any) -> Mapping[str, Any]:
    """Run configuration that makes every step a dry run, because the settings of this process reach no pod.

    Raises typer.BadParameter for a job that cannot be one.
    """
    steps = [n.name for n in job.nodes if "dry_run" in getattr(n.definition.config_field.config_type, "fields", {})]
    if not steps:
        raise typer.BadParameter(f"the job {job.name} has no dry run on Kubernetes")
    return {"ops": {step: {"config": {"dry_run": True}} for step in steps}}
