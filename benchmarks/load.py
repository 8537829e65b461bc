"""Rows a second and memory of simulating and loading attempts.

    python -m benchmarks.load [--attempts 1000000]

Uses DATABASE_URL where it is set (its tables are migrated; the cohort stays in it), else an embedded PostgreSQL in a
temporary folder. Each measurement is a separate process, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

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
                rows, seconds, megabytes = in_own_process(function, given)
                table.add_row(step, f"{rows:,}", f"{seconds:.1f}", f"{rows / seconds:,.0f}", f"{megabytes:,.0f}")
    Console().print(table)


def machine() -> str:
    """Processor, cores, memory, versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory_gb = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GB; Python {platform.python_version()}"


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """URL of a migrated database."""
    from sqlalchemy import create_engine

    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
    from seedtest_analytics.database.engine import normalised_url
    from seedtest_analytics.database.migrations import migrate

    given = os.environ.get("DATABASE_URL")
    server = None
    if given is None:
        server = EmbeddedPostgres(folder / "postgres")
        os.chmod(folder, 0o755)
        server.start()
        server.ensure_database("bench")
    try:
        url = given or (server.url("bench") if server else "")
        engine = create_engine(normalised_url(url))
        migrate(engine)
        engine.dispose()
        yield url
    finally:
        if server is not None:
            server.stop()


def simulate(folder: Path, attempts: int, seed: int) -> int:  # noqa: PLR0917
    """Write a cohort of about this many attempts."""
    from seedtest_analytics.ingest.cohort_files import write_cohort
    from seedtest_analytics.stats.simulate import CohortConfig

    config = CohortConfig(max(1, attempts // ATTEMPTS_PER_STUDENT), 26, seed=seed, until=UNTIL)
    return write_cohort(config, folder, progress=lambda stage, share: None).attempts


def load(folder: Path, url: str) -> int:
    """Load the cohort's attempts."""
    from sqlalchemy import create_engine

    from seedtest_analytics.database.engine import normalised_url
    from seedtest_analytics.ingest import load_attempt_log

    return load_attempt_log(create_engine(normalised_url(url)), [folder / "attempts-*.parquet"]).rows_read


def _measured(function: Callable[..., int], arguments: tuple[Any, ...]) -> tuple[int, float, float]:
    start = time.perf_counter()
    rows = function(*arguments)
    return rows, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(function: Callable[..., int], arguments: tuple[Any, ...]) -> tuple[int, float, float]:
    """Rows, seconds (imports included) and peak resident megabytes; raises where the process dies."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, arguments).result()


if __name__ == "__main__":
    main()
