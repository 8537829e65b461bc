"""Rows a second and memory of simulating and loading attempts.

    python -m benchmarks.load [--attempts 1000000]

Uses DATABASE_URL where it is set (its tables are migrated; the cohort stays in it), else an embedded PostgreSQL in a
temporary folder. Each measurement is a separate process, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, in_own_process, machine

ATTEMPTS_PER_STUDENT = 345  # of 26 weeks
UNTIL = dt.date(2026, 11, 21)


def main() -> None:
    """Measure a quarter of the attempts, then all: equal memory means that it does not grow with the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the attempts")
    arguments = parser.parse_args()
    attempts = arguments.attempts // 20 if arguments.quick else arguments.attempts
    table = Table("step", "rows", "seconds", "rows/s", "peak MB of the process", title=machine())
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        os.chmod(folder, 0o755)
        for seed, size in ((1, attempts // 4), (2, attempts)):
            logs = Path(folder) / f"cohort{seed}"
            for step, function, given in (
                ("simulate", simulate, (logs, size, seed)),
                ("load", load, (logs, url)),
                ("load again", load, (logs, url)),
            ):
                run = in_own_process(function, *given)
                rate = run.result / run.seconds
                table.add_row(step, f"{run.result:,}", f"{run.seconds:.1f}", f"{rate:,.0f}", f"{run.megabytes:,.0f}")
    Console().print(table)


def simulate(folder: Path, attempts: int, seed: int) -> int:
    """Write a cohort of about this many attempts."""
    from seedtest_analytics.ingest.cohort_files import write_cohort
    from seedtest_analytics.stats.simulate import CohortConfig

    config = CohortConfig(max(1, attempts // ATTEMPTS_PER_STUDENT), 26, seed=seed, until=UNTIL)
    return write_cohort(config, folder, progress=lambda stage, share, rows=0: None).attempts


def load(folder: Path, url: str) -> int:
    """Load the cohort's attempts."""
    from sqlalchemy import create_engine

    from seedtest_analytics.database.engine import normalised_url
    from seedtest_analytics.ingest import load_attempt_log

    return load_attempt_log(create_engine(normalised_url(url)), [folder / "attempts-*.parquet"]).rows_read


if __name__ == "__main__":
    main()
