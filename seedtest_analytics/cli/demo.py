"""`seedtest demo`: load data, compute the whole graph, open the UI. `make demo` runs it after the installation."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command, current_home, keep_settings, kept_settings, use_instance
from seedtest_analytics.cli.load import load_with_progress, print_summary
from seedtest_analytics.cli.materialize import materialize
from seedtest_analytics.cli.migrate import platform_engine
from seedtest_analytics.cli.progress import progress_bar
from seedtest_analytics.cli.run_progress import Summary
from seedtest_analytics.cli.server import Port, start
from seedtest_analytics.private_files import make_private
from seedtest_analytics.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.stats.simulate import CohortConfig

COHORT_WEEKS = 16
BASELINE_WEEKS = 9
"""First weeks of the cohort, with which its last weeks are compared for item drift."""
LOG_WEEKS = 26
"""Default weeks of a log. A week takes minutes, because its calibration uses all answers so far. Look-backs reach older data."""
THIN_SHARE = 0.25
"""The thin tail of a log is the last weeks with fewer students than this share of the median week."""

DEMO_SETTINGS = {
    "METRICS_USE_IRT_THETA": "true",
    "AGG_INCLUDE_THETA": "true",
    "METRICS_USE_BAYESIAN": "true",
    "GLMM_UPDATE_KPI": "true",
}
COHORT_SETTINGS = {
    # Compiling the Stan program takes longer than the rest of the demo, and needs a compiler.
    "GROWTH_BACKEND": "laplace",
    "BRMS_LOOKBACK_WEEKS": "12",
    "CLUSTER_N_CLUSTERS": "3",
    "DIF_COVARIATE": "org_id",
    "DRIFT_LOOKBACK_DAYS": "35",
    "DRIFT_MIN_SAMPLE": "25",
    "PROPHET_METRICS": "I_t,E_t,topic:topic-01",
}
"""Settings that show what :func:`demo_cohort` contains."""


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
    log, summary = current_home() / "dev_server" / "demo.log", Summary()
    _say(console, f"log of the runs: {log}")
    with errors_to(log), compiling_beside():
        use_instance()
        engine = platform_engine()
        migrate(engine)
        _load(engine, data, students=students, weeks=weeks or COHORT_WEEKS, console=console)
        today = dt.datetime.now(load_settings().platform.zone).date()
        last = _choose_weeks(engine, weeks, console=console) if data else _choose_cohort(engine, today=today)
        materialize(
            None,
            last,
            reports=True,
            log_level="INFO",
            fits_every_week=False,
            includes_running_week=today - last <= dt.timedelta(days=today.weekday() + 1),
            summary=summary,
        )
    summary.show(console)
    start(port)
    _say_where(engine, console, port=port)
    _say(
        console,
        f"done in {time.monotonic() - started:.0f} s; your own log: {command('load FILE')}, then {command('materialize')}",
    )


@contextmanager
def compiling_beside() -> Iterator[None]:
    """Compile the statistics' kernels on another core meanwhile: on a fresh machine that takes longer than their work."""
    from seedtest_analytics.stats.irt.threads import usable_cores

    if usable_cores() < 2:
        yield
        return
    command = [sys.executable, "-m", "seedtest_analytics.stats.warm_up"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        try:
            yield
        finally:
            child.terminate()


@contextmanager
def errors_to(log: Path) -> Iterator[None]:
    """Write standard error, also that of child processes, to the end of a file."""
    make_private(log.parent)
    sys.stderr.flush()
    terminal = os.dup(2)
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


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
    yesterday = today - dt.timedelta(days=1)
    config = demo_cohort(students, weeks, until=yesterday, timezone=platform.timezone)
    _simulate(engine, config, console=console)


def demo_cohort(students: int, weeks: int, *, until: dt.date, timezone: str) -> CohortConfig:
    """A small cohort in which every asset has something to show, and no faulty row.

    Three kinds of students differ in activity and growth, two organisations have three classrooms each, three items
    become harder, and one topic has a bad week.
    """
    from seedtest_analytics.stats.simulate import CohortConfig

    return CohortConfig(
        students,
        weeks,
        seed=1,
        until=until,
        timezone=timezone,
        includes_part_week=True,
        has_hostile_rows=False,
        items_per_topic=30,
        questions_per_session=12.0,
        activity=(0.6, 1.0, 1.5),
        growth_logit=(-0.08, 0.0, 0.12),
        n_organisations=2,
        n_classrooms=6,
        n_drifting_items=3,
        drift_logit=2.2,
        drift_weeks=6,
        slump_logit=1.5,
    )


def _simulate(engine: Engine, config: CohortConfig, *, console: Console) -> None:
    from seedtest_analytics.ingest.cohort_files import write_cohort
    from seedtest_analytics.ingest.cohort_load import load_cohort

    with progress_bar(console) as progress:
        files = write_cohort(config, current_home() / "cohort", progress=progress)
        load_cohort(engine, files.folder, progress=progress)
    _say(
        console,
        f"cohort {config.name}: {files.students:,} students, {files.sessions:,} sessions, {files.attempts:,} attempts "
        f"from {config.first_monday} to {config.until}",
    )


def students_by_week(engine: Engine) -> dict[dt.date, int]:
    """Students with an exam result by Monday (UTC), oldest first. The attempts are not synced yet."""
    from sqlalchemy import text

    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT date_trunc('week', LEAST(created_at, updated_at) AT TIME ZONE 'UTC')::date, "
                "count(DISTINCT user_id) FROM exam_results "
                "WHERE LEAST(created_at, updated_at) BETWEEN '1990-01-01' AND now() GROUP BY 1 ORDER BY 1"
            )
        )
        return {monday: count for monday, count in rows}


def shown_weeks(students: dict[dt.date, int], n_weeks: int) -> tuple[dt.date, dt.date]:
    """First and last Monday of the last ``n_weeks`` of the log before its thin tail."""
    enough = THIN_SHARE * statistics.median(students.values())
    last = max(monday for monday, count in students.items() if count >= enough)
    return max(min(students), last - dt.timedelta(weeks=n_weeks - 1)), last


def _choose_cohort(engine: Engine, *, today: dt.date) -> dt.date:
    """Keep settings for the whole cohort. Returns the last day to compute."""
    start = min(students_by_week(engine))
    # By default the baseline ends 90 days before the week, when this cohort has just begun.
    baseline = {"DRIFT_BASELINE_FROM": start, "DRIFT_BASELINE_TO": start + dt.timedelta(weeks=BASELINE_WEEKS)}
    settings = COHORT_SETTINGS | {name: day.isoformat() for name, day in baseline.items()}
    _keep(start, settings)
    return today - dt.timedelta(days=1)


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
    _keep(first)
    return last + dt.timedelta(days=6)


def _keep(start: dt.date, settings: Mapping[str, str] | None = None) -> None:
    """Keep the settings in the home for `seedtest up`."""
    chosen = {**DEMO_SETTINGS, **(settings or {}), "SEEDTEST_START_DATE": start.isoformat()}
    home = current_home()
    keep_settings(home, {**chosen, **kept_settings(home)})
    for name, value in kept_settings(home).items():
        os.environ.setdefault(name, value)


def _say_where(engine: Engine, console: Console, *, port: int) -> None:
    """Print what to open next."""
    from sqlalchemy import text

    url = f"http://127.0.0.1:{port}"
    _say(console, f"open next: the graph {url}/asset-groups")
    _say(console, f"  a fit with its plots {url}/assets/survival_fit_meta, the KPIs {url}/assets/weekly_kpi/P")
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT url, (SELECT count(*) FROM report_artifacts) FROM report_artifacts ORDER BY size_bytes DESC LIMIT 1"
            )
        ).one_or_none()
    if row is not None:
        _say(console, f"  one of {row[1]:,} reports {row[0]}")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
