"""`seedtest simulate`: write a cohort with known truth to files, and optionally load it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.load import parse_date, print_summary
from seedtest_analytics.cli.migrate import migrated_engine, platform_engine
from seedtest_analytics.cli.plain_text import plain
from seedtest_analytics.cli.progress import progress_bar
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from seedtest_analytics.stats.simulate import CohortConfig


def simulate_command(
    students: Annotated[int, typer.Option(help="Number of students.")] = 1000,
    weeks: Annotated[int, typer.Option(help="ISO weeks; the last one ends on or before --until.")] = 26,
    *,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same cohort.")] = 1,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Last day that may have an attempt; default: today.")
    ] = None,
    model: Annotated[str, typer.Option(help="2PL, or 3PL with guessing.")] = "2PL",
    out: Annotated[Path | None, typer.Option(help="Folder for the files (logs and truth).")] = None,
    load: Annotated[bool, typer.Option("--load", help="Load the cohort and its truth into the database.")] = False,
) -> None:
    """Simulate a cohort with known truth: attempts, goals, churn, corrections and hostile rows."""
    from seedtest_analytics.ingest import LoadError
    from seedtest_analytics.stats.simulate import CohortConfig, SimulationError

    platform = load_settings().platform
    if out is None and not load:
        raise LoadError("nothing to do: name a folder with --out, load into the database with --load, or both")
    day = parse_date(until, "--until") if until else dt.datetime.now(platform.zone).date()
    try:
        config = CohortConfig(students, weeks, seed=seed, until=day, timezone=platform.timezone, model=model)
    except SimulationError as error:
        raise LoadError(str(error)) from None
    console = Console(emoji=False)
    if load and platform.dry_run:
        console.print("DRY_RUN is set: nothing is loaded into the database")
        load = False
    if load:
        migrated_engine(is_writing=True)
    if out is not None:
        simulate_into(config, out, is_loading=load, console=console)
        console.print(f"files: {plain(str(out))}")
    else:
        with TemporaryDirectory(prefix="seedtest-cohort-") as folder:
            simulate_into(config, Path(folder), is_loading=load, console=console)
    following = command("materialize") if load else "the same command with --load"
    console.print(f"next: {following}", highlight=False)


def simulate_into(config: CohortConfig, folder: Path, *, is_loading: bool, console: Console) -> None:
    """Write the cohort to ``folder`` and, if ``is_loading``, load it."""
    from seedtest_analytics.ingest.cohort_files import write_cohort

    with progress_bar(console) as progress:
        files = write_cohort(config, folder, progress=progress)
    console.print(
        f"cohort {config.name}: {files.students:,} students, {files.sessions:,} sessions, "
        f"{files.attempts:,} attempts, {files.corrections:,} corrections, "
        f"{files.hostile_exams} hostile exams; weeks from {config.first_monday}"
    )
    if is_loading:
        load_from(folder, console)


def load_from(folder: Path, console: Console) -> None:
    """Load a written cohort into the platform's database."""
    from seedtest_analytics.ingest.cohort_load import load_cohort

    with progress_bar(console) as progress:
        loaded = load_cohort(platform_engine(), folder, progress=progress)
    if loaded.was_loaded:
        console.print("this cohort was already in the database")
    print_summary(loaded.attempts, console)
    if loaded.corrections is not None:
        console.print(f"corrections: {loaded.corrections.exams.updated:,} exams re-scored")
