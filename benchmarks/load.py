"""Rows a second and memory of simulating and loading attempts.

    python -m benchmarks.load [--attempts 1000000]
    python -m benchmarks.load --public

With --public, each published log in the folder `shared` beside the checkout is loaded as `seedtest load` does it, in a dry
run: its format, what was recognised, and its rows.

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
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PUBLIC = (
    ("attempts_ednet_main.parquet",),
    ("attempts_assist17_small.parquet",),
    ("attempts_assist17_native_rt_hints_1pct.parquet",),
    ("statics_train.parquet",),
    ("statics_test.parquet",),
    ("churn/oulad_assessment_submissions.parquet", "churn/oulad_assessments.csv"),
)
"""Logs of attempts among the published data, with the files that belong to them."""


def main() -> None:
    """Measure a quarter of the attempts, then all: equal memory means that it does not grow with the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the attempts")
    parser.add_argument("--public", action="store_true", help="try the published logs instead")
    arguments = parser.parse_args()
    if arguments.public:
        Console(width=140).print(public_logs())
        return
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


def public_logs() -> Table:
    """A row for each published log."""
    table = Table("log", "read as", "rows", "attempts", "rejected", "gaps", "merged", "seconds", title=machine())
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        os.chmod(folder, 0o755)
        for files in PUBLIC:
            run = in_own_process(trial, [SHARED / name for name in files], url)
            form, read, attempts, rejected, gaps = run.result
            merged = read - rejected - attempts
            counts = (f"{count:,}" for count in (read, attempts, rejected, gaps, merged))
            table.add_row(Path(files[0]).stem, form, *counts, f"{run.seconds:.1f}")
    return table


def trial(files: list[Path], url: str) -> tuple[str, int, int, int, int]:
    """Recognise and load files without writing: the format, rows read, attempts, rows rejected, rows with gaps."""
    from zoneinfo import ZoneInfo

    from sqlalchemy import create_engine

    from seedtest_analytics.database.engine import normalised_url
    from seedtest_analytics.ingest import LoadOptions, load_attempt_log
    from seedtest_analytics.ingest.recognise import Given, recognise
    from seedtest_analytics.ingest.unpack import unpack

    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder:
        found = unpack(files, Path(folder))
        known = [note.partition(" is of the format ")[2].partition(":")[0] for note in found.notes]
        plan = recognise(list(found.names), Given(), names=found.names, zone=ZoneInfo("UTC"))
        options = LoadOptions(
            mapping=plan.mapping, encoding=plan.encoding, rules=plan.rules, names=found.names, is_dry_run=True
        )
        summary = load_attempt_log(create_engine(normalised_url(url)), list(found.names), options=options)
    form = next(filter(None, known), "the loader's columns")
    return form, summary.rows_read, summary.attempts, summary.rows_rejected, summary.rows_with_gaps


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
