"""`seedtest demo`: data, the whole graph, the UI: what `make demo` runs after the installation."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import current_home, keep_settings, kept_settings, use_instance
from seedtest_analytics.cli.server import Port

if TYPE_CHECKING:
    from sqlalchemy import Engine

COHORT_WEEKS = 16
LOG_WEEKS = 26
"""Weeks of a log that the demo materialises unless told: minutes, each week's calibration being on all answers so far.
What is older still counts in look-backs."""

DEMO_SETTINGS = {"METRICS_USE_IRT_THETA": "true", "AGG_INCLUDE_THETA": "true"}
COHORT_LOOKBACK_DAYS = 60
"""As the legacy manifests set them."""


def demo_command(
    data: Annotated[
        str | None, typer.Option(help="Attempt log (Parquet or CSV) instead of a simulated cohort.")
    ] = None,
    students: Annotated[int, typer.Option(min=1, help="Students of the simulated cohort.")] = 300,
    weeks: Annotated[
        int | None,
        typer.Option(
            min=4,
            help=f"Weeks of the simulated cohort (default {COHORT_WEEKS}), or newest weeks of the log ({LOG_WEEKS}).",
        ),
    ] = None,
    port: Port = 3000,
) -> None:
    """Load data, materialise the whole graph and open the UI. Running it again changes no number."""
    from seedtest_analytics.cli.materialize import materialize
    from seedtest_analytics.cli.server import start
    from seedtest_analytics.resources.migrations import migrate
    from seedtest_analytics.resources.postgres import PostgresResource

    started, console = time.monotonic(), Console()
    use_instance()
    engine = PostgresResource().engine
    migrate(engine)
    _load(engine, data, students, weeks or COHORT_WEEKS, console)
    _choose_settings(*attempt_days(engine), (weeks or LOG_WEEKS) if data is not None else None)
    materialize(None, None, reports=True)
    start(port)
    _say_where(engine, console)
    console.print(f"done in {time.monotonic() - started:.0f} s")


def _load(engine: Engine, data: str | None, students: int, weeks: int, console: Console) -> None:
    from seedtest_analytics.cli.load import load_with_progress, print_summary
    from seedtest_analytics.ingest.load import LoadOptions
    from seedtest_analytics.settings import load_settings

    platform = load_settings().platform
    today = dt.datetime.now(platform.zone).date()
    if data is not None:
        options = LoadOptions(timezone=platform.timezone, shift_to=today)
        print_summary(load_with_progress(engine, [data], options, console), console)
        return
    from seedtest_analytics.cli.simulate import simulate_into
    from seedtest_analytics.stats.simulate import CohortConfig

    config = CohortConfig(students, weeks, 1, today, platform.timezone)
    simulate_into(config, current_home() / "cohort", is_loading=True, console=console)


def attempt_days(engine: Engine) -> tuple[dt.date, dt.date]:
    """First and last day with an exam result, in UTC; the sync has not run yet."""
    from sqlalchemy import text

    with engine.connect() as connection:
        first, last = connection.execute(
            text(
                "SELECT min(LEAST(created_at, updated_at))::date, max(LEAST(created_at, updated_at))::date "
                "FROM exam_results WHERE created_at <= now()"
            )
        ).one()
    return first, last


def _choose_settings(first: dt.date, last: dt.date, log_weeks: int | None) -> None:
    """Settings that fit a cohort, or the newest weeks of a log; kept in the home, so that `seedtest up` has them too."""
    # Not by the functions of `partitions`: that module reads the start date when it is imported.
    first_monday, last_monday = (day - dt.timedelta(days=day.weekday()) for day in (first, last))
    start, lookback = first_monday, COHORT_LOOKBACK_DAYS
    if log_weeks is not None:
        start = max(first_monday, last_monday - dt.timedelta(weeks=log_weeks - 1))
        # A log of unknown density: its items are calibrated on all answers so far.
        lookback = max((last - first).days + 7, lookback)
    chosen = {
        **DEMO_SETTINGS,
        "SEEDTEST_START_DATE": start.isoformat(),
        "MIRT_LOOKBACK_DAYS": str(lookback),
    }
    home = current_home()
    keep_settings(home, {**chosen, **kept_settings(home)})
    for name, value in kept_settings(home).items():
        os.environ.setdefault(name, value)


def _say_where(engine: Engine, console: Console) -> None:
    from sqlalchemy import text

    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT url, (SELECT count(*) FROM report_artifacts) FROM report_artifacts ORDER BY size_bytes DESC LIMIT 1"
            )
        ).one_or_none()
    if row is not None:
        console.print(f"{row[1]:,} reports, e.g. {row[0]}", highlight=False, soft_wrap=True)
