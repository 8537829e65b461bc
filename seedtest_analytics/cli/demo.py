"""`seedtest demo`: data, the whole graph, the UI: what `make demo` runs after the installation."""

from __future__ import annotations

import datetime as dt
import os
import statistics
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
THIN_SHARE = 0.25
"""Weeks at the end of a log with fewer students than this share of the median week's are its tail, and not shown."""

DEMO_SETTINGS = {"METRICS_USE_IRT_THETA": "true", "AGG_INCLUDE_THETA": "true"}
COHORT_LOOKBACK_DAYS = 60
"""As the legacy manifests set them."""


def demo_command(
    data: Annotated[
        str | None, typer.Option(help="Attempt log (Parquet or CSV) instead of a simulated cohort.")
    ] = None,
    students: Annotated[int, typer.Option(min=1, help="Students of the simulated cohort.")] = 300,
    *,
    weeks: Annotated[
        int | None,
        typer.Option(
            min=4,
            help=f"Weeks of the simulated cohort (default {COHORT_WEEKS}), or of the log, before its thin tail ({LOG_WEEKS}).",
        ),
    ] = None,
    port: Port = 3000,
) -> None:
    """Load data, materialise the whole graph and open the UI. Running it again changes no number."""
    from seedtest_analytics.cli.materialize import materialize
    from seedtest_analytics.cli.server import start
    from seedtest_analytics.database.migrations import migrate
    from seedtest_analytics.resources.postgres import PostgresResource

    _refuse_dry_run()
    started, console = time.monotonic(), Console()
    use_instance()
    engine = PostgresResource().engine
    migrate(engine)
    _load(engine, data, students=students, weeks=weeks or COHORT_WEEKS, console=console)
    materialize(None, _choose_weeks(engine, weeks, console=console) if data else _choose_cohort(engine), reports=True)
    start(port)
    _say_where(engine, console)
    console.print(f"done in {time.monotonic() - started:.0f} s")


def _refuse_dry_run() -> None:
    """The demo is made of what it writes, and each of its steps reads the one before: there is nothing to try."""
    from seedtest_analytics.settings import SettingsError, load_settings

    if load_settings().platform.dry_run:
        raise SettingsError(
            "DRY_RUN is set: the demo writes all that it shows, so nothing was loaded or computed. Run it without "
            "DRY_RUN (or with `seedtest --set DRY_RUN=false demo`); what a log or a run would write is told by "
            "`seedtest load --dry-run FILE` and `DRY_RUN=true seedtest materialize`"
        )


def _load(engine: Engine, data: str | None, *, students: int, weeks: int, console: Console) -> None:
    from seedtest_analytics.cli.load import load_with_progress, print_summary
    from seedtest_analytics.ingest.load import LoadOptions
    from seedtest_analytics.settings import load_settings

    platform = load_settings().platform
    today = dt.datetime.now(platform.zone).date()
    if data is not None:
        options = LoadOptions(timezone=platform.timezone, shift_to=today)
        print_summary(load_with_progress(engine, [data], options=options, console=console), console)
        return
    from seedtest_analytics.cli.simulate import simulate_into
    from seedtest_analytics.stats.simulate import CohortConfig

    config = CohortConfig(students, weeks, seed=1, until=today, timezone=platform.timezone)
    simulate_into(config, current_home() / "cohort", is_loading=True, console=console)


def students_by_week(engine: Engine) -> dict[dt.date, int]:
    """Monday (UTC) to students with an exam result, oldest first; the sync has not run yet."""
    from sqlalchemy import text

    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT date_trunc('week', LEAST(created_at, updated_at) AT TIME ZONE 'UTC')::date, "
                "count(DISTINCT user_id) FROM exam_results WHERE created_at <= now() GROUP BY 1 ORDER BY 1"
            )
        )
        return {monday: count for monday, count in rows}


def shown_weeks(students: dict[dt.date, int], n_weeks: int) -> tuple[dt.date, dt.date]:
    """First and last Monday of the ``n_weeks`` before the log's thin tail, none before the log begins."""
    enough = THIN_SHARE * statistics.median(students.values())
    last = max(monday for monday, count in students.items() if count >= enough)
    return max(min(students), last - dt.timedelta(weeks=n_weeks - 1)), last


def _choose_cohort(engine: Engine) -> dt.date:
    """Settings for the whole cohort; answers the last day to materialise."""
    mondays = students_by_week(engine)
    _keep(min(mondays), COHORT_LOOKBACK_DAYS)
    return max(mondays) + dt.timedelta(days=6)


def _choose_weeks(engine: Engine, n_weeks: int | None, *, console: Console) -> dt.date:
    """Settings for the weeks to show; answers the last day to materialise."""
    students = students_by_week(engine)
    first, last = shown_weeks(students, n_weeks or LOG_WEEKS)
    tail = "" if last == max(students) else "; few students came after them"
    console.print(
        f"shown: weeks of {first} to {last}, of the log's {min(students)} to {max(students)}{tail} (--weeks N shows more)",
        highlight=False,
        soft_wrap=True,
    )
    # A log of unknown density: its items are calibrated on all answers so far.
    _keep(first, max((last - min(students)).days + 14, COHORT_LOOKBACK_DAYS))
    return last + dt.timedelta(days=6)


def _keep(start: dt.date, lookback_days: int) -> None:
    """Keep the settings in the home, so that `seedtest up` has them too."""
    chosen = {**DEMO_SETTINGS, "SEEDTEST_START_DATE": start.isoformat(), "MIRT_LOOKBACK_DAYS": str(lookback_days)}
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
