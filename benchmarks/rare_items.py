"""A log in which items hardly return: who has an ability, and what the intervals cover, from the file to the tables.

    python -m benchmarks.rare_items [--quick] [--home FOLDER] [--weeks N]

120 students answer 130,000 questions out of 40,000 of 100 topics in 40 weeks. The program writes the log, loads it into
an embedded PostgreSQL, calibrates and scores the last weeks with the defaults, and compares the tables with the truth.
The scale's origin and unit are those of the calibration's students, so abilities are compared after a linear change.
`--quick`: 40 students, 4,000 items of 20 topics, 10 weeks. Seed 77.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Engine

from benchmarks.ability import Cohort, cohort
from benchmarks.published import connected_engine_of, read
from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres

FIRST_MONDAY = dt.date(2026, 2, 16)
ZONE = "Asia/Seoul"
Z_95 = 1.959964
SEED = 77
QUICK = {"n_students": 40, "n_items": 4_000, "n_topics": 20, "weeks": 10, "per_week": 30.0}
FULL = {"n_students": 120, "n_items": 40_000, "n_topics": 100, "weeks": 40, "per_week": 45.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--home", type=Path, help="where the database goes; default: a temporary folder")
    parser.add_argument("--weeks", type=int, default=2, help="weeks to calibrate and score")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    made = cohort(SEED, **size)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        home = (arguments.home or Path(folder) / "home").resolve()
        home.mkdir(parents=True, exist_ok=True)
        log = Path(folder) / "rare.parquet"
        frame_of(made).to_parquet(log)
        first = FIRST_MONDAY + dt.timedelta(weeks=int(size["weeks"]) - arguments.weeks)
        last = FIRST_MONDAY + dt.timedelta(weeks=int(size["weeks"]), days=-1)
        seedtest(home, "load", str(log))
        seedtest(home, "materialize", "--from", str(first), "--to", str(last), *only("sync_attempts", "calibrate_irt"))
        server = EmbeddedPostgres(home / "postgres")
        server.start()
        try:
            report(connected_engine_of(server), made, week=last - dt.timedelta(days=6))
        finally:
            server.stop()


def frame_of(made: Cohort) -> pd.DataFrame:
    """The answers as an attempt log."""
    answers = made.answers
    start = pd.Timestamp(FIRST_MONDAY, tz=ZONE)
    user = [f"s{code:04}" for code in answers.student]
    return pd.DataFrame(
        {
            "user_id": user,
            "item_id": answers.item + 1,
            "correct": answers.correct == 1,
            "completed_at": (start + pd.to_timedelta(answers.day, unit="D")).floor("us"),
            "topic_id": [f"t{code:03}" for code in answers.topic],
            "session_id": [f"{name}-{day}" for name, day in zip(user, answers.day.astype(int), strict=True)],
        }
    )


def only(*jobs: str) -> list[str]:
    return [word for job in jobs for word in ("--only", job)]


def seedtest(home: Path, *arguments: str) -> None:
    """Run a command of the platform on the home, with the defaults."""
    command = [sys.executable, "-m", "seedtest_analytics.cli.app", "--home", str(home)]
    command += ["--set", f"SEEDTEST_START_DATE={FIRST_MONDAY - dt.timedelta(days=7)}", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "DAGSTER_HOME": str(home)}, stdout=subprocess.DEVNULL)


def report(engine: Engine, made: Cohort, *, week: dt.date) -> None:
    """Print what the tables of the last week hold beside the truth."""
    fit = read(
        engine, "SELECT is_usable, metrics -> 'warnings' AS said FROM mirt_fit_meta ORDER BY week_start DESC LIMIT 1"
    )
    items = read(engine, "SELECT count(*) AS n FROM mirt_item_params")["n"][0]
    n_items, n_students = len(np.unique(made.answers.item)), len(np.unique(made.answers.student))
    day = (week - FIRST_MONDAY).days + 7
    levels = read(engine, f"SELECT user_id, level AS theta, se FROM ability_state WHERE week_start = '{week}'")
    topics = read(
        engine, f"SELECT user_id, topic_id, ability AS theta, se FROM ability_topic_state WHERE week_start = '{week}'"
    )
    student, owner = (found["user_id"].str[1:].astype(int).to_numpy() for found in (levels, topics))
    truth = made.level[student, day]
    deviation = made.deviation[owner, topics["topic_id"].str[1:].astype(int).to_numpy()]
    line = np.polyfit(levels["theta"], truth, 1)
    print(f"{len(made.answers):,} answers; calibration usable: {fit['is_usable'][0]}; {'; '.join(fit['said'][0])}")
    print("| number | value |\n|---|---|")
    print(f"| answered items with parameters | {items / n_items:.1%} |")
    print(f"| students with an ability | {len(levels) / n_students:.1%} |")
    print(f"| 95 % intervals of levels cover | {_covered(levels, truth, line):.3f} |")
    print(f"| 95 % intervals of topics cover | {_covered(topics, made.level[owner, day] + deviation, line):.3f} |")


def _covered(found: pd.DataFrame, truth: NDArray[np.float64], line: NDArray[np.float64]) -> float:
    error = np.polyval(line, found["theta"]) - truth
    return float((np.abs(error) < Z_95 * line[0] * found["se"]).mean())


if __name__ == "__main__":
    main()
