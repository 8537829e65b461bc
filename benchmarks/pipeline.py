"""The pipeline on a million attempts: sync, calibration, scoring, features, KPIs, and a week's query plan.

    python -m benchmarks.pipeline [--attempts 1000000] [--quick]

As ``benchmarks.load``, whose database and processes it uses: DATABASE_URL, else an embedded PostgreSQL in a temporary
folder. Each step runs its job over the range given, in a separate process.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, in_own_process, machine
from benchmarks.load import UNTIL, load, simulate

LAST_MONDAY = dt.date(2026, 11, 9)
STEPS = (
    ("sync of the attempt log", "sync_attempts", None, None, "attempt_log"),
    ("calibration and scoring, 1 week", "calibrate_irt", LAST_MONDAY, LAST_MONDAY, "mirt_ability"),
    ("features, 1 day", "aggregate_features_daily", LAST_MONDAY, LAST_MONDAY, "features_topic_daily"),
    (
        "features, 182 days in one statement",
        "aggregate_features_daily",
        LAST_MONDAY - dt.timedelta(days=175),
        LAST_MONDAY + dt.timedelta(days=6),
        "features_topic_daily",
    ),
    ("six KPIs, 1 week", "compute_daily_kpis", LAST_MONDAY, LAST_MONDAY, "weekly_kpi"),
    ("six KPIs, 4 weeks", "compute_daily_kpis", LAST_MONDAY - dt.timedelta(days=21), LAST_MONDAY, "weekly_kpi"),
)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the attempts")
    arguments = parser.parse_args()
    attempts = arguments.attempts // 20 if arguments.quick else arguments.attempts
    table = Table("step", "attempts", "rows out", "seconds", "attempts/s", "peak MB of the process", title=machine())
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        os.chmod(folder, 0o755)
        logs = Path(folder) / "cohort"
        total = in_own_process(simulate, logs, attempts, 1).result
        loaded = in_own_process(load, logs, url)
        seconds, megabytes = loaded.seconds, loaded.megabytes
        table.add_row(
            "load of the log", f"{total:,}", "", f"{seconds:.1f}", f"{total / seconds:,.0f}", f"{megabytes:,.0f}"
        )
        for title, job, first, last, output in STEPS:
            run = in_own_process(run_job, url, job, first, last, output)
            rows, seconds, megabytes = run.result, run.seconds, run.megabytes
            table.add_row(
                title, f"{total:,}", f"{rows:,}", f"{seconds:.1f}", f"{total / seconds:,.0f}", f"{megabytes:,.0f}"
            )
        week, everything = week_of_attempts(url)
    console = Console()
    console.print(table)
    console.print(
        f"attempts of the last week: {week * 1000:.1f} ms, of all {total:,}: {everything * 1000:.1f} ms "
        f"(ratio {week / everything:.3f}); log until {UNTIL}"
    )


def run_job(url: str, job: str, first: dt.date | None, last: dt.date | None, output: str) -> int:
    """Run a job over its range in this process; rows of its output table afterwards."""
    os.environ |= {
        "DATABASE_URL": url,
        "METRICS_USE_IRT_THETA": "true",
        "AGG_INCLUDE_THETA": "true",
        "MIRT_LOOKBACK_DAYS": "60",
    }
    import dagster as dg
    from sqlalchemy import text

    from seedtest_analytics.build import build_definitions
    from seedtest_analytics.cli.materialize import console_log
    from seedtest_analytics.cli.steps import Step
    from seedtest_analytics.resources.postgres import PostgresResource

    step = Step(job, job, first=first, last=last)
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_definitions()
            .resolve_job_def(job)
            .execute_in_process(instance=instance, tags=step.tags, run_config=console_log("ERROR"))
        )
    assert result.success
    with PostgresResource().engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {output}")).scalar_one())


def week_of_attempts(url: str) -> tuple[float, float]:
    """Seconds of aggregating one week's attempts and all attempts, each the best of three."""
    from sqlalchemy import create_engine, text

    from seedtest_analytics.database.engine import normalised_url

    query = "SELECT count(*), avg(correct::integer) FROM attempt WHERE completed_at >= :a AND completed_at < :b"
    end = dt.datetime.combine(LAST_MONDAY + dt.timedelta(days=7), dt.time(), dt.UTC)
    ranges = ({"a": end - dt.timedelta(days=7), "b": end}, {"a": end - dt.timedelta(days=3650), "b": end})
    best = []
    with create_engine(normalised_url(url)).connect() as connection:
        for range_ in ranges:
            times = []
            for _ in range(3):
                started = time.perf_counter()
                connection.execute(text(query), range_).all()
                times.append(time.perf_counter() - started)
            best.append(min(times))
    return best[0], best[1]


if __name__ == "__main__":
    main()
