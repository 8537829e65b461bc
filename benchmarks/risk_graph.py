"""Churn as the graph computes it: panel in SQL, fit, scores and their publication, in an embedded PostgreSQL.

Sessions are drawn in arrays, copied as (user, day) and made attempts of by one statement; each student has the KPIs of
the 14 weeks that landmarks and scoring read. Each step runs in a separate process, so that its peak memory is its
own; the server's memory is bounded by its settings and is not counted, what it spills to disk is.
"""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from benchmarks._measure import database, in_own_process, machine
from benchmarks._sessions import FIRST_DAY, WEEKS, simulated_sessions
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import Settings, SurvivalSettings

EPOCH = dt.date(1970, 1, 1)
END = EPOCH + dt.timedelta(days=FIRST_DAY + 7 * WEEKS)
LOOKBACK_DAYS = 91
"""The landmarks of 13 weeks."""

ATTEMPTS = """
INSERT INTO attempt_log (
    id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, attempt_no, session_id,
    user_id, exam_result_id, question_ordinal, is_answered, answer_no, occurrence_no
)
SELECT
    no, md5(user_no::text)::uuid, 1 + no % 500, true, 0, false, at, at, 1, 's' || no, 'u' || user_no,
    lpad(to_hex(no), 32, '0')::uuid, 1, true, 1, 1
FROM (
    SELECT row_number() OVER () AS no, user_no, to_timestamp(day * 86400) AS at FROM bench_session
) AS s
"""
KPIS = """
INSERT INTO weekly_kpi (user_id, week_start, kpis)
SELECT user_id, CAST(:last AS date) - 7 * ago, jsonb_build_object('A_t', random(), 'E_t', random(), 'R_t', random())
FROM (SELECT DISTINCT user_id FROM attempt_log) AS u CROSS JOIN generate_series(0, 13) AS ago
"""


def week() -> Week:
    """The last week of the log, closed."""
    return Week(END - dt.timedelta(days=7), dt.datetime.combine(END, dt.time(), dt.UTC), timezone="UTC")


def store(url: str, n_users: int) -> int:
    """Fill the log and the KPIs; number of sessions."""
    from sqlalchemy import create_engine, text

    from seedtest_analytics.database.engine import normalised_url

    user, day = simulated_sessions(n_users)
    engine = create_engine(normalised_url(url))
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        connection.execute(text("CREATE TEMP TABLE bench_session (user_no integer, day float8) ON COMMIT DROP"))
        cursor = connection.connection.cursor()
        with cursor.copy("COPY bench_session FROM STDIN WITH (FORMAT csv)") as copy:
            for start in range(0, len(user), 500_000):
                rows = zip(user[start : start + 500_000].tolist(), day[start : start + 500_000].tolist(), strict=True)
                copy.write("\n".join(f"{u},{d!r}" for u, d in rows) + "\n")
        connection.execute(text(ATTEMPTS))
        connection.execute(text(KPIS), {"last": week().start})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE attempt_log, weekly_kpi"))
    return len(user)


def panel(url: str) -> int:
    """The panel in SQL, read into arrays; number of rows."""
    from seedtest_analytics.assets.churn.panel import load_panel
    from seedtest_analytics.resources.postgres import PostgresResource

    with PostgresResource.having(url=url).transaction("benchmark") as connection:
        return len(load_panel(connection, week(), lookback_days=LOOKBACK_DAYS))


def fit(url: str) -> int:
    """Panel, fit with forward check, publication; number of rows of the panel."""
    from seedtest_analytics.assets.churn.fit import fit_week
    from seedtest_analytics.resources.postgres import PostgresResource

    with PostgresResource.having(url=url).transaction("benchmark") as connection:
        (outcome,) = fit_week(week_run(connection))
    return int(outcome.metadata["landmarks"])


def score(url: str) -> int:
    """Everybody's risk, limits and reasons, published into the history and the current table; number of students."""
    from seedtest_analytics.assets.churn.scores import score_week
    from seedtest_analytics.resources.postgres import PostgresResource

    with PostgresResource.having(url=url).transaction("benchmark") as connection:
        (outcome,) = score_week(week_run(connection))
    return int(outcome.published.staged)


def week_run(connection: Connection) -> WeekRun:
    """The benchmark's week, with the churn look-back of the benchmark."""
    settings = Settings(survival=SurvivalSettings.model_validate({"SURVIVAL_LOOKBACK_DAYS": LOOKBACK_DAYS}))
    log = logging.getLogger("benchmark")
    return WeekRun(week(), connection, settings=settings, log=log, is_dry_run=False, lock="benchmark")


STEPS = (("panel in SQL, read", panel), ("panel, fit, publish", fit), ("score, publish", score))


def main(sizes: tuple[int, ...]) -> None:
    """Print one table."""
    table = Table(
        "users", "sessions", "step", "rows", "seconds", "peak MB of the process", "spilled MB", title=machine()
    )
    for n_users in sizes:
        with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as folder, database(Path(folder)) as url:
            sessions = in_own_process(store, url, n_users).result
            for name, step in STEPS:
                before = spilled_bytes(url)
                run = in_own_process(step, url)
                rows, seconds, megabytes = run.result, run.seconds, run.megabytes
                spilled = (spilled_bytes(url) - before) / 1e6
                table.add_row(
                    f"{n_users:,}",
                    f"{sessions:,}",
                    name,
                    f"{rows:,}",
                    f"{seconds:.1f}",
                    f"{megabytes:,.0f}",
                    f"{spilled:,.0f}",
                )
    Console(width=130).print(table)


def spilled_bytes(url: str) -> int:
    """What the server has written to temporary files so far."""
    from sqlalchemy import create_engine, text

    from seedtest_analytics.database.engine import normalised_url

    engine = create_engine(normalised_url(url))
    with engine.connect() as connection:
        query = "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.execute(text(query)).scalar_one())
