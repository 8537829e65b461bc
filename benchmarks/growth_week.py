"""A week of growth through PostgreSQL: weekly scores read, fitted by Stan, every student's prediction published.

    python -m benchmarks.growth_week [--students 1000000] [--weeks 12] [--quick]

The database is that of ``benchmarks.load``: DATABASE_URL, else an embedded PostgreSQL in a temporary folder. The tables
of weekly shares right are filled by one statement before the clock starts; from there on the functions are the
assets' own, in one transaction and a separate process: read, statistics, Stan (2 chains of 1,000 draws, the
assets' default), all predictions, checks of the contract, publication, plots, commit. Each size is run twice: a first
publication, then the same week again, when every row is found unchanged. "Even": twenty questions a week, so
students share designs. "Uneven": five to forty, so nearly every student's design is their own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, in_own_process, machine

MONDAY = dt.date(2026, 11, 9)
MISSING = 0.2
DEFAULT_TARGET = 0.5
ANSWERED = {"even": "20", "uneven": "5 + floor(36 * random())"}

# A calibration, so that target abilities become shares right.
_CALIBRATION = """
INSERT INTO mirt_fit_meta
    (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, data_fingerprint)
VALUES ('irt', '{"model": "Rasch", "scale_origin": "own"}', '{"group_mean": 0.0, "group_sd": 1.0}',
    CAST(:monday AS date), :monday, 'v', true, gen_random_uuid());
"""
_ITEMS = """
INSERT INTO mirt_item_params_history (run_id, item_id, model, a, b, c, n_responses, is_anchor, week_start)
SELECT 'irt', n::text, 'Rasch', 1, -1.5 + 0.15 * n, 0, 100, false, :monday FROM generate_series(1, 20) AS n
"""
# One student in five has their own goal, one in ten a day for it.
_GOALS = """
INSERT INTO interest_goal (user_id, topic_id, target_level, priority, created_at, target_date)
SELECT md5(n::text)::uuid::text, 'algebra', round((n % 7) / 4.0, 2), 0, CAST(:monday AS date) - 100,
    CASE WHEN n % 10 = 0 THEN CAST(:monday AS date) + 30 + n % 90 END
FROM generate_series(1, :students) AS n WHERE n % 5 = 0
"""
_ANSWERS = """
CREATE TEMP TABLE growth_answer ON COMMIT DROP AS
SELECT 'x'::text AS user_id, n::bigint AS item_id, 1 AS correct, 0 AS week FROM generate_series(1, 20) AS n
"""
_COUNTS = """
CREATE TEMP TABLE growth_count ON COMMIT DROP AS
WITH student AS MATERIALIZED (
    SELECT md5(n::text)::uuid::text AS user_id,
        0.12 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS level,
        0.008 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS gain
    FROM generate_series(1, :students) AS n
), week AS MATERIALIZED (
    SELECT user_id, week, {answered} AS answered,
        0.5 + level + (0.01 + gain) * week + 0.1 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS share
    FROM student CROSS JOIN generate_series(0, :weeks - 1) AS week
    WHERE random() >= :missing
)
SELECT user_id, week::integer, answered::bigint,
    round(answered * least(greatest(share, 0), 1))::bigint AS right_answers
FROM week
"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=1_000_000)
    parser.add_argument("--weeks", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the students")
    arguments = parser.parse_args()
    logging.getLogger("seedtest_analytics").setLevel(logging.WARNING)
    n_students = arguments.students // 20 if arguments.quick else arguments.students
    Console(width=150).print(through_the_database(n_students, arguments.weeks))


def through_the_database(n_students: int, n_weeks: int) -> Table:
    """Seconds of each part and peak memory, for even and uneven numbers of answers, first and second time."""
    table = Table(
        "students",
        "answers",
        "scores",
        "published",
        "read s",
        "fit s",
        "P, staged s",
        "publish, plots, commit s",
        "all s",
        "peak MB",
        title=machine(),
    )
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
        in_own_process(prepare, url, n_students)
        for answers in ANSWERED:
            for published in ("first", "again"):
                run = in_own_process(week_of_growth, url, n_students, n_weeks, answers)
                scores, *seconds = run.result
                table.add_row(f"{n_students:,}", answers, scores, published, *seconds, f"{run.megabytes:,.0f}")
    return table


def prepare(url: str, n_students: int) -> None:
    """Calibration and goals, once."""
    from sqlalchemy import text

    from seedtest_analytics.database.engine import engine_for, normalised_url

    with engine_for(normalised_url(url)).begin() as connection:
        parameters = {"monday": MONDAY, "students": n_students}
        for query in (_CALIBRATION, _ITEMS, _GOALS):
            connection.execute(text(query), parameters)


def week_of_growth(url: str, n_students: int, n_weeks: int, answers: str) -> list[str]:
    """Number of scores, then seconds of reading, Stan, predictions, the rest, and everything."""
    from sqlalchemy import text

    from seedtest_analytics.assets.framework.week_run import WeekRun
    from seedtest_analytics.assets.growth.bayesian.evidence import evidence_of
    from seedtest_analytics.assets.growth.bayesian.fit import Samplers
    from seedtest_analytics.assets.growth.bayesian.scores import read_scores
    from seedtest_analytics.assets.growth.bayesian.week import publish_growth
    from seedtest_analytics.partitions import week_at
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.resources.r.resource import RResource
    from seedtest_analytics.resources.stan.resource import StanResource
    from seedtest_analytics.settings import GrowthSettings, KpiSettings, PlatformSettings, Settings

    laps = Laps()
    log = logging.getLogger("benchmarks.growth_week")
    log.setLevel(logging.INFO)
    log.addHandler(laps)
    samplers = Samplers(StanResource(), RResource(), log=log)
    settings = GrowthSettings(score_source="accuracy", lookback_weeks=n_weeks)
    week = week_at(MONDAY, dt.datetime(2027, 1, 1, tzinfo=dt.UTC), platform=PlatformSettings())
    parameters = {"students": n_students, "weeks": n_weeks, "missing": MISSING}
    lock = f"growth:{week.key}"
    with PostgresResource.having(url=url).transaction(lock) as connection:
        connection.execute(text("SELECT setseed(0.5)"))
        connection.execute(text(_ANSWERS))
        connection.execute(text(_COUNTS.format(answered=ANSWERED[answers])), parameters)
        laps.start()
        scores = read_scores(connection, week, settings=settings)
        n_scores = len(scores.score)
        laps.lap()
        run = WeekRun(
            week,
            connection,
            settings=Settings(growth=settings, kpis=KpiSettings(default_target=DEFAULT_TARGET)),
            log=log,
            is_dry_run=False,
            lock=lock,
        )
        outcomes = publish_growth(run, scores, evidence=evidence_of(run), samplers=samplers)
    laps.lap()
    assert all(check.is_passed for outcome in outcomes for check in outcome.checks), outcomes
    return [f"{n_scores:,}", *(f"{seconds:.1f}" for seconds in laps.seconds), f"{sum(laps.seconds):.1f}"]


class Laps(logging.Handler):
    """Seconds between the steps that the assets log."""

    ENDS = ("usable", "students predicted")

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seconds: list[float] = []

    def start(self) -> None:
        """Start the clock."""
        self._last = time.perf_counter()

    def lap(self) -> None:
        """End a step."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now

    def emit(self, record: logging.LogRecord) -> None:
        """End the step that the message reports."""
        if record.getMessage().endswith(self.ENDS):
            self.lap()


if __name__ == "__main__":
    main()
