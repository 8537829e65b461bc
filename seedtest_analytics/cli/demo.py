"""`seedtest demo`: load data, compute the whole graph, open the UI. `make demo` runs it after the installation."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import current_home, keep_settings, kept_settings, use_instance
from seedtest_analytics.cli.load import load_with_progress, print_summary
from seedtest_analytics.cli.materialize import materialize
from seedtest_analytics.cli.migrate import platform_engine
from seedtest_analytics.cli.server import Port, start
from seedtest_analytics.cli.simulate import simulate_into
from seedtest_analytics.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

COHORT_WEEKS = 16
LOG_WEEKS = 26
"""Default weeks of a log. A week takes minutes, because its calibration uses all answers so far. Look-backs reach older data."""
THIN_SHARE = 0.25
"""The thin tail of a log is the last weeks with fewer students than this share of the median week."""

DEMO_SETTINGS = {"METRICS_USE_IRT_THETA": "true", "AGG_INCLUDE_THETA": "true"}
COHORT_LOOKBACK_DAYS = 60
"""The values of the legacy manifests."""


def demo_command(
    data: Annotated[
        str | None, typer.Option(help="Attempt log (Parquet or CSV) to use instead of a simulated cohort.")
    ] = None,
    students: Annotated[int, typer.Option(min=1, help="Students of the simulated cohort.")] = 300,
    *,
    weeks: Annotated[
        int | None,
        typer.Option(
            min=4,
            help=f"Weeks of the simulated cohort (default {COHORT_WEEKS}), or of the log before its thin tail ({LOG_WEEKS}).",
        ),
    ] = None,
    port: Port = 3000,
) -> None:
    """Load data, compute the whole graph and open the UI. A second run gives the same numbers."""
    from seedtest_analytics.database.migrations import migrate

    _refuse_dry_run()
    started, console = time.monotonic(), Console(emoji=False)
    use_instance()
    engine = platform_engine()
    migrate(engine)
    _load(engine, data, students=students, weeks=weeks or COHORT_WEEKS, console=console)
    materialize(None, _choose_weeks(engine, weeks, console=console) if data else _choose_cohort(engine), reports=True)
    start(port)
    _say_where(engine, console)
    console.print(f"done in {time.monotonic() - started:.0f} s")


def _refuse_dry_run() -> None:
    """Refuse a dry run: each step of the demo needs the data that the previous one writes."""
    if load_settings().platform.dry_run:
        raise SettingsError(
            "DRY_RUN is set, but the demo cannot run dry, because each step needs the data that the previous one writes. "
            "Run `seedtest --set DRY_RUN=false demo`. `seedtest load --dry-run FILE` and `DRY_RUN=true seedtest materialize` "
            "show what a load or a run would write"
        )


def _load(engine: Engine, data: str | None, *, students: int, weeks: int, console: Console) -> None:
    from seedtest_analytics.ingest.load import LoadOptions

    platform = load_settings().platform
    today = dt.datetime.now(platform.zone).date()
    if data is not None:
        options = LoadOptions(timezone=platform.timezone, shift_to=today)
        print_summary(load_with_progress(engine, [data], options=options, console=console), console)
        return
    from seedtest_analytics.stats.simulate import CohortConfig

    config = CohortConfig(students, weeks, seed=1, until=today, timezone=platform.timezone)
    simulate_into(config, current_home() / "cohort", is_loading=True, console=console)


def students_by_week(engine: Engine) -> dict[dt.date, int]:
    """Students with an exam result by Monday (UTC), oldest first. The attempts are not synced yet."""
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
    """First and last Monday of the last ``n_weeks`` of the log before its thin tail."""
    enough = THIN_SHARE * statistics.median(students.values())
    last = max(monday for monday, count in students.items() if count >= enough)
    return max(min(students), last - dt.timedelta(weeks=n_weeks - 1)), last


def _choose_cohort(engine: Engine) -> dt.date:
    """Keep settings for the whole cohort. Returns the last day to compute."""
    mondays = students_by_week(engine)
    _keep(min(mondays), COHORT_LOOKBACK_DAYS)
    return max(mondays) + dt.timedelta(days=6)


def _choose_weeks(engine: Engine, n_weeks: int | None, *, console: Console) -> dt.date:
    """Keep settings for the weeks to show. Returns the last day to compute."""
    students = students_by_week(engine)
    first, last = shown_weeks(students, n_weeks or LOG_WEEKS)
    tail = "" if last == max(students) else "; later weeks have few students"
    console.print(
        f"showing weeks {first} to {last} of the log's {min(students)} to {max(students)}{tail} (--weeks N shows more)",
        highlight=False,
        soft_wrap=True,
    )
    # The density of the log is unknown, so calibrations use all answers so far.
    _keep(first, max((last - min(students)).days + 14, COHORT_LOOKBACK_DAYS))
    return last + dt.timedelta(days=6)


def _keep(start: dt.date, lookback_days: int) -> None:
    """Keep the settings in the home for `seedtest up`."""
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
