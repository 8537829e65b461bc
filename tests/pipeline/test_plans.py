"""No statement of a day or week scans the history: each is explained, while its job runs, on two years of data."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, event, text

from seedtest_analytics.assets.framework.shards import WHOLE
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.evidence import evidence_of
from seedtest_analytics.assets.growth.bayesian.scores import load_scores
from seedtest_analytics.assets.growth.mixed_model.week import load_topic_weeks
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.drift.week import compare_week
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.build import build_definitions
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings, GrowthSettings, Settings
from tests.assets._activity import postgres_of
from tests.assets._week_runs import week_run

WEEK = dt.date(2026, 3, 9)
N_WEEKS, N_STUDENTS, ANSWERS = 104, 60, 10
FILL = """
INSERT INTO attempt_log (
    id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, attempt_no, session_id,
    user_id, topic_id, exam_result_id, question_ordinal, is_answered, answer_no, occurrence_no, recorded_time_ms
)
SELECT
    row_number() OVER (), md5(u::text)::uuid, 1 + (u * 7 + w * 11 + a) % 300, (u + w * a) % 3 > 0, 0, false, at, at, 1,
    's' || w || '-' || u, 'u' || u, 't' || a % 3, lpad(to_hex(w * 1000 + u), 32, '0')::uuid, a, true, 1, 1, 5000
FROM generate_series(0, :n_weeks - 1) AS w
CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN generate_series(1, :answers) AS a
CROSS JOIN LATERAL (SELECT CAST(:last AS timestamptz) - 7 * (:n_weeks - 1 - w) * interval '1 day'
    + u * interval '1 hour' + a * interval '1 minute' AS at) AS x
ORDER BY at;
INSERT INTO weekly_kpi (user_id, week_start, kpis)
SELECT 'u' || u, CAST(:week AS date) - 7 * w, jsonb_build_object(
    'I_t', 0.1, 'E_t', 0.2, 'R_t', 0.3, 'A_t', 0.4, 'P', 0.5, 'S', 0.2 + u % 5 * 0.1, 'A_t_n_attempts', 5, 'sessions', 2)
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u;
INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, correct, rt_median)
SELECT 'u' || u, 't' || t, CAST(:week AS date) - 7 * w, 3, 2, 5000
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN generate_series(0, 2) AS t;
INSERT INTO mirt_ability (user_id, version, week_start, theta, se, model, fitted_at, run_id, n_answers)
SELECT 'u' || u, to_char(m, 'IYYY-"W"IW'), m, 0.1, 0.3, 'Rasch', m + 7, 'irt', 20
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN LATERAL (SELECT CAST(:week AS date) - 7 * w AS m) AS x;
INSERT INTO student_topic_theta_history (user_id, topic_id, week_start, theta, se, model, version, fitted_at, run_id, n_answers)
SELECT 'u' || u, 't' || t, m, 0.1, 0.3, 'Rasch', to_char(m, 'IYYY-"W"IW'), m + 7, 'irt', 20
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN generate_series(0, 2) AS t CROSS JOIN LATERAL (SELECT CAST(:week AS date) - 7 * w AS m) AS x;
INSERT INTO survival_risk_history (user_id, week_start, risk_score, state, reasons)
SELECT 'u' || u, CAST(:week AS date) - 7 * w, 0.2, 'active', '[]'
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u;
INSERT INTO ability_window (user_id, week_start, window_name, window_start_at, window_end_at, theta, se, n_answers, run_id)
SELECT 'u' || u, m, name, m - 7, m + 7, 0.1, 0.4, 9, 'irt'
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN LATERAL (SELECT CAST(:week AS date) - 7 * w AS m) AS x CROSS JOIN (VALUES ('recent'), ('previous')) AS n (name);
INSERT INTO growth_prediction (
    user_id, week_start, run_id, intercept_mean, intercept_sd, slope_mean, slope_sd, projected, projected_lower,
    projected_upper, sigma, p, p_lower, p_upper, target, target_level, target_source, horizon_date, horizon_source, n_weeks,
    n_answers
)
SELECT 'u' || u, m, 'brms', 0, 1, 0, 1, 0, -1, 1, 1, 0.5, 0.4, 0.6, 0, 0, 'default', m + 28, 'configured', 5, 50
FROM generate_series(:n_weeks - 1, 0, -1) AS w CROSS JOIN generate_series(1, :n_students) AS u
CROSS JOIN LATERAL (SELECT CAST(:week AS date) - 7 * w AS m) AS x;
ANALYZE;
"""
HISTORIES = {
    "attempt_log",
    "weekly_kpi",
    "features_topic_daily",
    "mirt_ability",
    "student_topic_theta_history",
    "survival_risk_history",
    "growth_prediction",
    "ability_window",
}
BY_DESIGN = {
    "ability_answer": "ability over time reads every answer",
    "risk_session": "tenure and the silence before the first window depend on all sessions of a student",
    "attempts, unanswered": "the log and its source are compared as a whole",
    "to_char(date_trunc('month'": "the months of the whole log are shown",
}
"""Part of a statement: why it may read everything."""
JOBS = (
    "rescore_weeks",
    "aggregate_features_daily",
    "compute_daily_kpis",
    "fit_survival_churn",
    "cluster_segments",
    "backtest_predictions",
)


@pytest.fixture(scope="module")
def history(shared_database: Engine) -> Engine:
    """Two years of a small school, in the order of time as the platform writes it."""
    values = {
        "n_weeks": N_WEEKS,
        "n_students": N_STUDENTS,
        "answers": ANSWERS,
        "week": WEEK,
        "last": dt.datetime.combine(WEEK, dt.time(9), dt.UTC),
    }
    with shared_database.begin() as connection:
        for part in FILL.split(";\n"):
            if part.strip():
                prepared = text(part)
                connection.execute(prepared, {name: values[name] for name in prepared.compile().params})
    return shared_database


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """The histories that a plan reads as a whole."""
    is_whole = plan["Node Type"] == "Seq Scan" or (
        plan["Node Type"] in ("Index Scan", "Index Only Scan") and "Index Cond" not in plan and not _is_one_row(plan)
    )
    if is_whole and plan.get("Relation Name") in HISTORIES:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        below_limit = plan["Node Type"] == "Limit"
        yield from scans({**part, "Below Limit": below_limit})


def _is_one_row(plan: dict[str, Any]) -> bool:
    """max(week_start) by an index reads one row."""
    return bool(plan.get("Below Limit"))


@contextmanager
def explained() -> Iterator[list[str]]:
    """What is executed meanwhile and scans a history."""
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if connection.dialect.name != "postgresql":  # Dagster's own storage
            return
        bare = re.sub(r"^\s*(--[^\n]*\n\s*)*", "", statement)
        if not re.match(r"(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE TEMP TABLE \w+ .*AS\b)", bare, re.DOTALL):
            return
        if any(part in statement for part in BY_DESIGN):
            return
        with connection.connection.cursor() as own:
            own.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            ((plans,),) = own.fetchall()
        for table in sorted(set(scans(plans[0]["Plan"]))):
            found.append(f"{table}: {bare}")

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("job", JOBS)
def test_no_statement_of_a_week_scans_the_history(history: Engine, job: str) -> None:
    definitions = build_definitions({"postgres": postgres_of(history)})
    with dg.DagsterInstance.ephemeral() as instance, explained() as found:
        resolved = definitions.resolve_job_def(job)
        assert resolved.execute_in_process(instance=instance, partition_key=WEEK.isoformat()).success
    assert found == []


@pytest.mark.parametrize("compute", [calibrate_week, compare_week, score_week])
def test_no_statement_of_a_calibration_scans_the_history(history: Engine, compute: Callable[[WeekRun], Any]) -> None:
    """With a look-back; without one the answers of all weeks are calibrated."""
    at = Week(WEEK, dt.datetime.combine(WEEK + dt.timedelta(7), dt.time(), dt.UTC), timezone="UTC")
    settings = Settings(calibration=CalibrationSettings(lookback_days=30))
    with explained() as found, week_run(history, at, settings=settings, is_dry_run=True) as run:
        compute(run)
    assert found == []


def test_no_statement_of_the_growth_scores_scans_the_history(history: Engine) -> None:
    """With a look-back of eight weeks; one that grows with the history reads up to 26."""
    at = Week(WEEK, dt.datetime.combine(WEEK + dt.timedelta(7), dt.time(), dt.UTC), timezone="UTC")
    settings = Settings(growth=GrowthSettings(lookback_weeks=8))
    with explained() as found, week_run(history, at, settings=settings, is_dry_run=True) as run:
        evidence_of(run)
        load_scores(run.connection, at, settings=settings.growth)
        load_topic_weeks(run.connection, at, settings=settings.glmm)
    assert found == []


def test_the_reports_of_a_week_scan_no_history(history: Engine) -> None:
    at = dt.datetime.combine(WEEK + dt.timedelta(7), dt.time(), dt.UTC)
    parameters = {
        "week_start": WEEK,
        "as_of": at,
        "timezone": "UTC",
        "max_users": None,
        "user_id": None,
        **WHOLE.parameters,
    }
    with history.connect() as connection, explained() as found:
        connection.execute(statement("reports/documents.sql"), parameters)
    assert found == []


def test_a_scan_is_found(history: Engine) -> None:
    with history.connect() as connection, explained() as found:
        connection.execute(text("SELECT count(*) FROM attempt WHERE correct"))
        connection.execute(text("SELECT count(*) FROM weekly_kpi WHERE kpis ->> 'A_t' = '1'"))
        connection.execute(text("SELECT max(week_start) FROM weekly_kpi"))
    assert [line.split(":")[0] for line in found] == ["attempt_log", "weekly_kpi"]
