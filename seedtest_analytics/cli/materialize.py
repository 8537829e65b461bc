"""`seedtest materialize`: compute the whole graph over a range of days, in one process and in order."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seedtest_analytics.cli.dates import first_partition, parse_day, remedies
from seedtest_analytics.cli.home import command, use_instance
from seedtest_analytics.cli.migrate import archive_note, log_awaits_sync, migrated_engine, platform_engine
from seedtest_analytics.cli.run_problems import Problems
from seedtest_analytics.cli.run_progress import Summary, outside_capture, run_bar
from seedtest_analytics.cli.steps import SOURCE_STEPS, Step, chosen, plan
from seedtest_analytics.interruption import on_interruption
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

DRY_RUN_NOTE = (
    "DRY_RUN is set: nothing is written. Every asset is computed from the current tables, not from the results of the "
    "steps before it. So in a chain of changes only the first is complete; later ones lack the data of earlier ones."
)
EMPTY_LOG_NOTE = (
    "The attempt log is empty and a dry run does not fill it, so there is nothing to compute. Run the job sync_attempts, "
    "or run this command without DRY_RUN."
)

DAGSTERS_DRIVER = "psycopg2.OperationalError:"
STORAGE_LOST = (
    "Dagster's storage cannot be used ({reason}). What the run had published stays. Check that the server of "
    "DAGSTER_POSTGRES_URL runs and has room (`seedtest doctor`), and start the command again"
)
INTERRUPTED = "`seedtest materialize` was interrupted"
NO_EXAMS = "there are no attempts; run `seedtest load FILE` or `seedtest simulate --load` first"
LOG_IS_EMPTY = (
    "the attempt log is empty: its sync has not run, or every exam is empty, failed or in attempt_quarantine. "
    "Run `seedtest materialize --only sync_attempts`, or this command without --only"
)


PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False}


def materialize_command(
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DATE", help="First day; default: the day of the first attempt since SEEDTEST_START_DATE."
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="Last day; default: the day of the last attempt, at most yesterday."),
    ] = None,
    *,
    reports: Annotated[bool, typer.Option(help="Also render the reports of the last closed week.")] = True,
    only: Annotated[
        list[str] | None, typer.Option(metavar="JOB", help="Run only this job, e.g. backtest_predictions; repeatable.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every event of the runs to standard error.")
    ] = False,
) -> None:
    """Compute the whole graph over a range of days, oldest week first. A second run gives the same numbers.

    The exit code is 1 if a job failed.
    """
    from_day, to_day = parse_day(first, "--from"), parse_day(last, "--to")
    _refuse_impossible(from_day, to_day)
    failed = materialize(from_day, to_day, reports=reports, is_verbose=verbose, only=tuple(only or ()))
    if failed:
        raise typer.Exit(1)
    Console(emoji=False).print(f"next: {command('up')}   shows the results in the UI", highlight=False)


def _refuse_impossible(first: dt.date | None, last: dt.date | None) -> None:
    """Refuse a range without any partition, before any work."""
    if first and last and first > last:
        raise typer.BadParameter(f"--from {first} is after --to {last}; swap them")
    platform = load_settings().platform
    if last and last < first_partition(platform.start_date):
        today = dt.datetime.now(platform.zone).date()
        raise typer.BadParameter(
            f"--to {last} is before SEEDTEST_START_DATE ({platform.start_date}). {remedies(first or last, today=today)}"
        )


def materialize(
    first: dt.date | None,
    last: dt.date | None,
    *,
    reports: bool,
    is_verbose: bool = False,
    only: Collection[str] = (),
    log_level: str = "CRITICAL",
    includes_running_week: bool = False,
    fits_every_week: bool = True,
    summary: Summary | None = None,
) -> Collection[str]:
    """Run the steps in order; return the optional jobs that failed. Raises typer.Exit(1) at another job that fails.

    The console shows one line per step, the messages from ``log_level`` up, and at the end the warnings by kind.
    Dagster's log contains every event. A ``summary`` collects the results and takes the place of the lines.
    """
    import dagster as dg

    from seedtest_analytics.build import build_definitions
    from seedtest_analytics.partitions import PLATFORM

    is_dry_run = load_settings().platform.dry_run
    engine = migrated_engine(is_writing=True)
    _refuse_old_log(engine)
    use_instance()
    definitions = build_definitions()
    today = dt.datetime.now(PLATFORM.zone).date()
    console = Console(emoji=False)
    if is_dry_run:
        console.print(DRY_RUN_NOTE)
    if note := archive_note(engine):
        console.print(note, **PLAIN)
    with dg.DagsterInstance.get() as instance:
        ready_to_run(instance, console)
        run_config = console_log("DEBUG" if is_verbose else log_level)
        runner = Runner(
            definitions, instance, console=console, run_config=run_config, is_dry_run=is_dry_run, summary=summary
        )
        try:
            for step in SOURCE_STEPS:
                if not only or step.job in only:
                    runner.run(step)
            if only and {step.job for step in SOURCE_STEPS}.issuperset(only):
                return ()
            if is_dry_run and log_awaits_sync(engine):
                console.print(EMPTY_LOG_NOTE)
                return ()
            days = _range(first, last, today=today, tell=lambda words: console.print(words, **PLAIN))
            steps = list(
                plan(
                    *days,
                    today=today,
                    reports=reports,
                    includes_running_week=includes_running_week,
                    fits_every_week=fits_every_week,
                )
            )
            for step in chosen(steps, only) if only else steps:
                runner.run(step)
        finally:
            if summary is None:
                runner.problems.show(console)
    return tuple(runner.problems.failed)


def ready_to_run(instance: Any, console: Console) -> None:
    """Silence what Dagster says about itself, and tell which runs have died, before runs in this process."""
    import dagster as dg

    from seedtest_analytics.cli.run_waits import tell_dead_runs
    from seedtest_analytics.dagster_private import sleep_between_claims

    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    logging.getLogger("dagster").setLevel(logging.WARNING)
    sleep_between_claims()
    tell_dead_runs(instance, lambda words: console.print(words, **PLAIN))


def _range(
    first: dt.date | None, last: dt.date | None, *, today: dt.date, tell: Callable[[str], None]
) -> tuple[dt.date, dt.date]:
    """The days to compute; without ``first``, from the first attempt on that is in a partition.

    Weeks before it have nothing to compute, and one attempt of decades ago would make hundreds of them.
    """
    from sqlalchemy import text

    from seedtest_analytics.partitions import PLATFORM, instant_of, monday_of

    begin = monday_of(PLATFORM.start_date)
    query = (
        "SELECT (min(completed_at) AT TIME ZONE :zone)::date AS first, (max(completed_at) AT TIME ZONE :zone)::date AS last, "
        "(SELECT (min(completed_at) AT TIME ZONE :zone)::date FROM attempt WHERE completed_at >= :begin) AS start, "
        "(SELECT count(*) FROM attempt WHERE completed_at < :begin) AS n_before FROM attempt"
    )
    with platform_engine().connect() as connection:
        parameters = {"zone": PLATFORM.timezone, "begin": instant_of(begin, PLATFORM.zone)}
        found = connection.execute(text(query), parameters).one()
    if found.first is None:
        raise typer.BadParameter(LOG_IS_EMPTY)
    start = max(first or found.start or begin, begin)
    end = min(last or found.last, today - dt.timedelta(days=1))
    if start > end:
        raise typer.BadParameter(
            f"no day to compute from {start} to {end}: attempts range from {found.first} to {found.last}, and partitions from "
            f"SEEDTEST_START_DATE ({PLATFORM.start_date}) to yesterday"
        )
    if first is None and found.n_before:
        tell(
            f"attempts before the week of SEEDTEST_START_DATE ({PLATFORM.start_date}): {found.n_before:,}, from {found.first} "
            "on; their weeks are not computed"
        )
    return start, end


def _refuse_old_log(engine: Engine) -> None:
    """Refuse a log that ends before the first partition, before any work."""
    from sqlalchemy import text

    platform = load_settings().platform
    # Times outside are quarantined by the sync, and Python has no date for some of them ('-infinity').
    query = (
        "SELECT min(at) AT TIME ZONE :zone, max(at) AT TIME ZONE :zone, "
        "EXISTS (SELECT FROM attempt) OR EXISTS (SELECT FROM exam_results) "
        "FROM exam_results CROSS JOIN LATERAL (VALUES (created_at), (updated_at)) AS t (at) "
        "WHERE at BETWEEN '1990-01-01' AND now()"
    )
    with engine.connect() as connection:
        first, last, has_rows = connection.execute(text(query), {"zone": platform.timezone}).one()
    if not has_rows:
        raise typer.BadParameter(NO_EXAMS)
    if last is not None and last.date() < first_partition(platform.start_date):
        today = dt.datetime.now(platform.zone).date()
        raise typer.BadParameter(
            f"the exam results are from {first:%Y-%m-%d} to {last:%Y-%m-%d}, before SEEDTEST_START_DATE "
            f"({platform.start_date}). {remedies(first.date(), today=today)}"
        )


def console_log(level: str) -> dict[str, Any]:
    """Run configuration: the lowest level of log messages that the console prints."""
    return {"loggers": {"console": {"config": {"log_level": level}}}}


@dataclass(frozen=True)
class Runner:
    """Runs steps on one instance and reports each."""

    definitions: Any
    instance: Any
    console: Console
    run_config: Mapping[str, Any]
    is_dry_run: bool = False
    problems: Problems = field(default_factory=Problems)
    summary: Summary | None = None

    def run(self, step: Step) -> None:
        """Run a step. Raises typer.Exit(1) if it fails and is not optional."""
        started = time.monotonic()
        job = self.definitions.resolve_job_def(step.job)
        steps = asset_steps(job, without=step.without)
        selections: list[list[Any] | None] = [None]
        if self.is_dry_run:
            selections = [*steps] or selections
        elif step.without:
            selections = [[key for keys in steps for key in keys]]
        with self._shown(step, len(steps)) as on_event:
            results = [self._execute(job, step, selection=selection, on_event=on_event) for selection in selections]
        if self.summary is None:
            self.console.print(f"{step.title}: {time.monotonic() - started:.1f} s", highlight=False)
        else:
            for result in results:
                self.summary.add(result)
        for result in results:
            for asset, rows in would_change(result).items():
                self.console.print(f"  {asset} would change: {rows}", highlight=False, soft_wrap=True)
        failed = [result for result in results if not result.success]
        for result in results:
            self.problems.collect(self.instance, result)
        causes = [cause for result in failed for cause in self._report_failure(result)]
        if failed and not step.is_optional:
            raise typer.Exit(1)
        if failed:
            self.problems.fail(step.job, "; ".join(causes))
            self.console.print(f"[yellow]{step.job}[/] failed; the other steps continue")

    @contextmanager
    def _shown(self, step: Step, n_steps: int) -> Iterator[Callable[[Any], None]]:
        """Show how far a step is and what it waits for. The yielded function takes the events of its runs."""
        from seedtest_analytics.cli.run_waits import told_waits

        with (
            outside_capture(self.console) as visible,
            run_bar(visible, step.title, n_steps=n_steps, n_weeks=step.n_weeks) as on_progress,
            told_waits(self.instance, lambda words: visible.print(words, **PLAIN)) as on_wait,
        ):

            def on_event(entry: Any) -> None:
                on_wait(entry)
                on_progress(entry)

            yield on_event

    def _execute(self, job: Any, step: Step, *, selection: list[Any] | None, on_event: Callable[[Any], None]) -> Any:
        from seedtest_analytics.schedules.run_processes import cancel_run, own_tags

        run_id = str(uuid.uuid4())
        self.instance.add_event_listener(run_id, on_event)
        with on_interruption(lambda: cancel_run(self.instance, run_id, reason=INTERRUPTED)):
            return job.execute_in_process(
                instance=self.instance,
                tags=step.tags | own_tags(),
                raise_on_error=False,
                run_config=dict(self.run_config),
                asset_selection=selection,
                run_id=run_id,
            )

    def _report_failure(self, result: Any) -> list[str]:
        """Print the cause of each failed step, and return the causes."""
        causes = []
        for event in result.all_events:
            if event.is_step_failure:
                cause = first_cause(event.step_failure_data.error)
                causes.append(cause)
                self.console.print(f"[red]{event.step_key}[/]: {escape(cause)}", highlight=False, soft_wrap=True)
        self.console.print(f"run {result.run_id}; the UI shows its log", highlight=False)
        return causes


def asset_steps(job: Any, *, without: Collection[str] = ()) -> list[list[Any]]:
    """Keys of the assets of a job except some, step by step in the order of the graph.

    A dry run executes each step alone, because within one run Dagster skips the steps below an asset that was not
    materialised.
    """
    graph, selected = job.asset_layer.asset_graph, job.asset_layer.selected_asset_keys
    ordered = [key for level in graph.toposorted_asset_keys_by_level for key in sorted(level)]
    steps: dict[str, list[Any]] = {}
    for key in ordered:
        if key in selected:
            steps.setdefault(graph.get(key).assets_def.node_def.name, []).append(key)
    return [sorted(keys) for keys in steps.values() if not any(key.to_user_string() in without for key in keys)]


def would_change(result: Any) -> dict[str, str]:
    """The rows that a dry run would have changed, by asset; empty after a real run."""
    from seedtest_analytics.assets.framework.report import CONTRACT_CHECK, WOULD_CHANGE

    checks = result.get_asset_check_evaluations()
    return {
        check.asset_key.to_user_string(): str(check.metadata[WOULD_CHANGE].value)
        for check in checks
        if check.check_name == CONTRACT_CHECK and WOULD_CHANGE in check.metadata
    }


def first_cause(error: Any) -> str:
    """The root cause; Dagster's error about a step says only that it failed."""
    while error is not None and error.cause is not None:
        error = error.cause
    cause = error.message.strip() if error is not None else "unknown cause"
    if cause.startswith(DAGSTERS_DRIVER):
        # The platform's sessions use another driver and explain their ends themselves.
        return STORAGE_LOST.format(reason=cause.removeprefix(DAGSTERS_DRIVER).splitlines()[0].strip())
    return cause
