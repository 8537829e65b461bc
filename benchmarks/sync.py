"""The sync of a fixed batch beside logs of growing size: its cost should follow the batch and not the history.

    python -m benchmarks.sync [--millions 1,4,16] [--batch 1000] [--quick]

As ``benchmarks.load``: DATABASE_URL, which should be empty, else an embedded PostgreSQL in a temporary folder. The exams
have ten questions. Ratios compare with the smallest log of the same run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, machine

if TYPE_CHECKING:
    from sqlalchemy import Engine

QUESTIONS = 10
EXAMS_AT_ONCE = 50_000
NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
ADD_EXAMS = """
INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at)
SELECT 's' || n, 'u' || n % 100000,
    jsonb_build_object('questions', (
        SELECT jsonb_agg(jsonb_build_object(
            'question_id', (n * 31 + i * 977) % 20000, 'is_correct', (n + i) % 3 > 0, 'topic', 'topic ' || i % 8,
            'time_spent_sec', 20 + (n + i) % 60, 'answered_at', to_jsonb(at + i * INTERVAL '1 minute')
        )) FROM generate_series(1, 10) AS i
    )), at, at
FROM (
    SELECT n, TIMESTAMPTZ '2020-01-01 00:00+00' + n * INTERVAL '100 seconds' AS at
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
) AS g
"""
CHANGE_EXAMS = """
UPDATE exam_results
SET result_json = jsonb_set(result_json, '{questions,0,used_hints}', to_jsonb(CAST(:hints AS integer))), updated_at = now()
WHERE session_id IN (SELECT 's' || 1 + n * CAST(:step AS bigint) FROM generate_series(0, CAST(:batch AS bigint) - 1) AS n)
"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", default="1,4,16", help="attempts of the logs, in millions, growing")
    parser.add_argument("--batch", type=int, default=1000, help="changed exams")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the attempts")
    arguments = parser.parse_args()
    share = 50 if arguments.quick else 1
    sizes = [round(float(size) * 1e6 / share) for size in arguments.millions.split(",")]
    steps = ("find changes", "batch of 10 exams", f"batch of {arguments.batch:,} exams")
    table = Table("attempts", *(cell for step in steps for cell in (f"{step}, s", "ratio")), title=machine())
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        os.chmod(folder, 0o755)
        rows = [(size, *measure(url, size // QUESTIONS, batches=(10, arguments.batch))) for size in sizes]
    for size, *seconds in rows:
        pairs = [(f"{value:.2f}", f"{value / first:.1f}") for value, first in zip(seconds, rows[0][1:], strict=True)]
        table.add_row(f"{size:,}", *(cell for pair in pairs for cell in pair))
    Console().print(table)


def measure(url: str, n_exams: int, *, batches: tuple[int, ...]) -> list[float]:
    """Grow the log to ``n_exams``. Seconds of a sync without a change, then of each batch beyond that."""
    from sqlalchemy import create_engine, text

    from seedtest_analytics.assets.attempts.sync import sync_attempts
    from seedtest_analytics.database.engine import normalised_url

    engine = create_engine(normalised_url(url))

    def sync() -> int:
        return sync_attempts(engine, NOW, timezone="UTC").changed_exams

    grow(engine, n_exams)
    sync()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    find = best_of_three(sync)
    seconds = [find]
    for batch in batches:
        times = []
        for hints in (1, 2, 3):
            with engine.begin() as connection:
                connection.execute(text(CHANGE_EXAMS), {"hints": hints, "batch": batch, "step": n_exams // batch})
            times.append(timed(sync))
        seconds.append(max(min(times) - find, 0.001))
    engine.dispose()
    return seconds


def grow(engine: Engine, n_exams: int) -> None:
    """Add exams until there are ``n_exams``."""
    from sqlalchemy import text

    with engine.connect() as connection:
        present = connection.execute(text("SELECT count(*) FROM exam_results")).scalar_one()
    for first in range(present + 1, n_exams + 1, EXAMS_AT_ONCE):
        with engine.begin() as connection:
            last = min(first + EXAMS_AT_ONCE - 1, n_exams)
            connection.execute(text(ADD_EXAMS), {"first": first, "last": last})


def best_of_three(function: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls."""
    return min(timed(function) for _ in range(3))


def timed(function: Callable[[], object]) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
