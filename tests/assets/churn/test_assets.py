"""Churn in the graph: the panel, the stored model, the risks, S, and nothing from the future in any of them."""

import datetime as dt
import logging
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine, text

from benchmarks._landmarks import PANEL_COVARIATES, activity_log, landmark_panel
from seedtest_analytics.assets.churn.assets import survival_fit, survival_scoring
from seedtest_analytics.assets.churn.fit import fit_week
from seedtest_analytics.assets.churn.panel import COLUMNS, load_panel, load_scored
from seedtest_analytics.assets.churn.scores import score_week, stage_churn_risk
from seedtest_analytics.assets.churn.stored_model import json_text, model_from_json, model_json
from seedtest_analytics.assets.framework.shards import WHOLE
from seedtest_analytics.assets.kpis.assets import weekly_kpi_s
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week, instant_of
from seedtest_analytics.reporting import plain_words
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.settings import Settings, SurvivalSettings, load_settings
from seedtest_analytics.stats.survival.churn import ChurnSettings
from seedtest_analytics.stats.survival.churn_fit import fit_churn
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import EPOCH, materialize, postgres_of, store_sessions, store_simulated, week
from tests.assets._week_runs import outcomes_of, week_run

LOG = logging.getLogger(__name__)
RISK_TABLES = ("survival_fit_meta", "survival_risk", "survival_risk_history")


def random_sessions(seed: int, end: dt.datetime) -> tuple[list[str], np.ndarray]:
    """Sessions on, just before and just after day borders, some after the end."""
    rng = np.random.default_rng(seed)
    users = [f"s{n}" for n in rng.integers(0, 9, 120)]
    border = np.round((end - EPOCH) / dt.timedelta(days=1) - rng.integers(-10, 160, 120))
    jitter = rng.choice([0.0, 1e-6 / 86_400, -1e-6 / 86_400, 0.3, 9 / 24, 15 / 24], 120)
    return users, border + jitter


@pytest.mark.parametrize(("seed", "zone"), [(1, "UTC"), (2, "Asia/Seoul"), (3, "America/New_York")])
def test_the_panel_equals_the_plain_one_on_random_logs(database: Engine, seed: int, zone: str) -> None:
    local = ZoneInfo(zone)
    as_of = instant_of(dt.date(2025, 6, 4 + seed), local)
    closed_or_running = Week(dt.date(2025, 6, 2), as_of, timezone=zone)
    users, days = random_sessions(seed, as_of)
    store_sessions(database, users, days)
    with database.begin() as connection:
        panel = load_panel(connection, closed_or_running, lookback_days=60)
    stored = rows_of(
        database,
        "SELECT user_id, extract(EPOCH FROM completed_at AT TIME ZONE :zone)::float8 / 86400 AS day "
        "FROM attempt_log WHERE completed_at < :as_of",
        zone=zone,
        as_of=as_of,
    )
    names = sorted({row["user_id"] for row in stored})
    log = activity_log([names.index(r["user_id"]) for r in stored], [r["day"] for r in stored], n_users=len(names))
    end_day = (as_of.astimezone(local).date() - dt.date(1970, 1, 1)).days
    mondays = [day for day in range(end_day - 60, end_day) if day % 7 == 4]
    expected = landmark_panel(log, mondays, data_end_day=end_day, max_silence_days=60)
    assert len(panel) == len(expected) > 20
    # Users without a row at any landmark have no number in the database's panel.
    _, expected_user = np.unique(expected.user, return_inverse=True)
    _, user = np.unique(panel.user, return_inverse=True)
    np.testing.assert_array_equal(user, expected_user)
    np.testing.assert_array_equal(panel.landmark_day, expected.landmark_day)
    np.testing.assert_array_equal(panel.duration_days, expected.duration_days)
    np.testing.assert_array_equal(panel.is_return, expected.is_return)
    for name in PANEL_COVARIATES:
        np.testing.assert_allclose(panel.covariates[name], expected.covariates[name], rtol=1e-5, atol=2e-3)


def test_kpis_of_the_week_that_ended_at_the_landmark_are_its_covariates(database: Engine) -> None:
    monday = dt.date(2025, 2, 3)
    store_sessions(database, ["u", "u", "u"], np.array([20_090.5, 20_100.5, 20_130.5]))
    for number in range(3):
        execute(
            database,
            "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES ('u', :week, jsonb_build_object('A_t', :value))",
            {"week": monday + dt.timedelta(days=7 * (number - 1)), "value": number / 4},
        )
    with database.begin() as connection:
        last = Week(monday, dt.datetime(2025, 2, 10, tzinfo=dt.UTC), timezone="UTC")
        panel = load_panel(connection, last, lookback_days=28)
        connection.execute(statement("kpis/population.sql"), {"since": last.days_before(90), "as_of": last.as_of})
        scored = load_scored(connection, last)
    by_landmark = dict(zip(panel.landmark_day.tolist(), panel.covariates["A_t"].tolist(), strict=True))
    landmark = (monday - dt.date(1970, 1, 1)).days
    assert by_landmark[landmark] == 0.0
    assert np.isnan(by_landmark[landmark - 7])
    assert scored.covariates["A_t"].tolist() == [0.25]


@pytest.mark.parametrize("family", ["cox", "weibull"])
def test_a_stored_model_predicts_and_explains_as_the_fitted_one(family: str) -> None:
    import json

    from tests.stats.survival.simulated import FIRST_DAY, mondays, simulated_log

    log, _ = simulated_log(80, seed=5)
    panel = landmark_panel(log, mondays()[6:], data_end_day=FIRST_DAY + 140)
    fitted = fit_churn(panel, ChurnSettings(family=family, folds=2, follow_up_days=21))
    stored = model_json(fitted)
    assert stored is not None
    again = model_from_json(json.loads(stored))
    some = {name: values[:200] for name, values in panel.covariates.items()}
    for horizon in (14.0, 21.0):
        for one, other in zip(fitted.predict_silence(some, horizon), again.predict_silence(some, horizon), strict=True):
            np.testing.assert_array_equal(one, other)
    assert fitted.reasons(some) == again.reasons(some)
    np.testing.assert_array_equal(fitted.relative_hazard(some), again.relative_hazard(some))


def test_json_has_no_number_that_json_does_not_know() -> None:
    assert json_text({"a": [float("nan"), np.float64("inf"), np.array([1.5])]}) == '{"a": [null, null, [1.5]]}'


def run(engine: Engine, *weeks: Week, settings: SurvivalSettings | None = None) -> list[Any]:
    """Fit and score the weeks."""
    chosen = Settings(survival=settings or SurvivalSettings())
    return [
        outcome
        for compute in (fit_week, score_week)
        for w in weeks
        for outcome in outcomes_of(engine, w, compute=compute, settings=chosen)
    ]


def score(engine: Engine, at: Week, settings: SurvivalSettings | None = None) -> Any:
    """The outcome of scoring one week."""
    chosen = Settings(survival=settings or SurvivalSettings())
    return outcomes_of(engine, at, compute=score_week, settings=chosen)[0]


def materialize_risk(engine: Engine, key: str) -> dg.ExecuteInProcessResult:
    """Fit, risks and S of one week."""
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"postgres": postgres_of(engine)}
        assets = [survival_fit, survival_scoring, weekly_kpi_s]
        return dg.materialize(assets, partition_key=key, resources=resources, instance=instance)


def test_the_graph_fits_scores_and_fills_s_and_twice_is_once(database: Engine) -> None:
    store_simulated(database, 180, seed=11)
    execute(database, "INSERT INTO session (id, user_id, created_at) VALUES ('x', 'new', '2025-01-07')")
    start = week(17).start.isoformat()
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) SELECT DISTINCT user_id, CAST(:start AS date), "
        "jsonb_build_object('I_t', 0.5) FROM attempt_log WHERE completed_at < :as_of",
        {"start": start, "as_of": week(17).as_of},
    )
    result = materialize_risk(database, start)
    failed = [e.check_name for e in result.get_asset_check_evaluations() if not e.passed]
    assert failed == []
    (fit,) = rows_of(database, "SELECT * FROM survival_fit_meta")
    assert fit["family"] == "cox_efron"
    assert fit["is_usable"]
    assert fit["hazard_ratios"].keys() == fit["coefficients"].keys()
    assert fit["hazard_ratios"]["days_since_last"] == pytest.approx(np.exp(fit["coefficients"]["days_since_last"]))
    assert fit["survival_curve"][0] == {"t": 0, "S": 1}
    assert 0.5 < fit["calibration"]["calibration_slope"] < 2.0
    risks = rows_of(
        database, "SELECT r.*, k.kpis FROM survival_risk AS r INNER JOIN weekly_kpi AS k USING (user_id, week_start)"
    )
    assert len(risks) > 100
    for row in risks:
        assert row["risk_lower"] <= row["risk_score"] <= row["risk_upper"]
        assert 0 < row["rank_percentile"] < 1
        assert row["run_id"] == row["kpis"]["S_fit_run_id"] == fit["run_id"]
        assert row["kpis"]["S"] == pytest.approx(row["risk_score"], abs=1e-12)
        assert row["kpis"]["I_t"] == 0.5
        assert (row["method"], row["kpis"]["S_method"]) == ("cox_efron", "cox")
        assert row["kpis"]["S_reasons"] == [reason["text"] for reason in row["reasons"]]
        # The words of the codes are those of the sentences, so that older and newer readers read the same.
        words = [plain_words.churn_reason(code) for code in row["kpis"]["S_reason_codes"]]
        assert words == row["kpis"]["S_reasons"]
        assert row["state"] == ("stopped" if row["days_silent"] >= 14 else "active")
    assert any(row["reasons"] for row in risks)
    never = rows_of(database, "SELECT * FROM survival_risk_history WHERE state = 'never_started'")
    assert [(row["user_id"], row["risk_score"]) for row in never] == [("new", None)]
    before = snapshot(database, *RISK_TABLES, "weekly_kpi")
    assert materialize_risk(database, start).success
    assert snapshot(database, *RISK_TABLES, "weekly_kpi") == before


def test_what_happens_after_the_week_changes_nothing_about_it(database: Engine) -> None:
    days = store_simulated(database, 90, seed=12)
    then = week(15)
    run(database, then)
    query = "SELECT user_id, risk_score, reasons, run_id FROM survival_risk_history ORDER BY user_id"
    before = rows_of(database, query)
    assert (EPOCH + dt.timedelta(days=float(days.max()))) > then.as_of
    execute(
        database,
        "UPDATE attempt_log SET completed_at = completed_at + interval '1 day' * (id % 29), user_id = 'u0001' "
        "WHERE completed_at >= :as_of",
        {"as_of": then.as_of},
    )
    run(database, then)
    assert rows_of(database, query) == before


def test_too_little_data_gives_the_heuristic_by_name(database: Engine) -> None:
    store_sessions(database, ["a", "b", "b"], np.array([20_100.5, 20_101.5, 20_103.5]))
    then = week(1)
    fit, risk = run(database, then)
    assert [c.check.name for c in fit.checks if not c.is_passed] == ["enough_events"]
    assert [c.check.name for c in risk.checks if not c.is_passed] == ["by_model"]
    (row,) = rows_of(database, "SELECT family, is_usable, model, reasons FROM survival_fit_meta")
    assert (row["family"], row["is_usable"], row["model"]) == ("heuristic", False, None)
    assert any("students, 20 are needed" in reason for reason in row["reasons"])
    execute(database, "INSERT INTO weekly_kpi (user_id, week_start) VALUES ('a', '2025-01-13')")
    result = materialize(database, weekly_kpi_s, partition_key="2025-01-13")
    assert result.success
    both = rows_of(
        database,
        "SELECT r.method, r.risk_score, k.kpis FROM survival_risk AS r INNER JOIN weekly_kpi AS k USING (user_id)",
    )
    assert len(both) == 2
    for one in both:
        assert one["method"] == one["kpis"]["S_method"] == "heuristic"
        assert one["risk_score"] == pytest.approx(one["kpis"]["S"])
        assert "students, 20 are needed" in one["kpis"]["S_method_reason"]


def judge(engine: Engine, number: int, is_usable: bool) -> None:
    """Set the verdict on the fit of a week."""
    execute(
        engine,
        "UPDATE survival_fit_meta SET is_usable = :usable, reasons = CAST(:reasons AS jsonb) WHERE week_start = :w",
        {"w": week(number).start, "usable": is_usable, "reasons": "[]" if is_usable else '["slope 3"]'},
    )


def run_id_of(engine: Engine, number: int) -> str:
    rows = rows_of(engine, "SELECT run_id FROM survival_fit_meta WHERE week_start = :w", w=week(number).start)
    return str(rows[0]["run_id"])


def kpi_keys(engine: Engine, at: Week) -> list[dict[str, Any]]:
    """What `weekly_kpi/S` writes of each student as of ``at``."""
    with week_run(engine, at, settings=load_settings(), is_dry_run=True) as run:
        run.connection.execute(statement("kpis/population.sql"), {"since": at.days_before(120), "as_of": at.as_of})
        stage_churn_risk(run)
        kpis: list[dict[str, Any]] = list(run.connection.execute(text("SELECT kpis FROM staged_kpi")).scalars())
    assert kpis
    return kpis


def test_an_earlier_fit_that_stands_in_is_told_until_the_own_one_is_usable(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store_simulated(database, 90, seed=13)
    run(database, week(14), week(15))
    judge(database, 15, is_usable=False)
    outcome = score(database, week(15))
    assert rows_of(database, "SELECT DISTINCT run_id FROM survival_risk") == [{"run_id": run_id_of(database, 14)}]
    (check,) = outcome.checks
    assert not check.is_passed
    note = outcome.metadata["fit_note"]
    assert note in check.description
    assert note in caplog.text
    assert f"the churn fit of {week(15).key} is not usable (slope 3)" in note
    assert f"the last good one, of {week(14).key}, is used" in note
    key = week(15).start.isoformat()
    assert materialize(database, weekly_kpi_s, partition_key=key).success
    stored = rows_of(database, "SELECT kpis FROM weekly_kpi")
    assert {row["kpis"]["S_fit_note"] for row in stored} == {note}
    assert {row["kpis"]["S_fit_run_id"] for row in stored} == {run_id_of(database, 14)}
    judge(database, 15, is_usable=True)
    outcome = score(database, week(15))
    assert [c.is_passed for c in outcome.checks] == [True]
    assert "fit_note" not in outcome.metadata
    assert materialize(database, weekly_kpi_s, partition_key=key).success
    for row in rows_of(database, "SELECT kpis FROM weekly_kpi"):
        assert "S_fit_note" not in row["kpis"]
        assert row["kpis"]["S_fit_run_id"] == run_id_of(database, 15)


def test_a_week_that_was_not_fitted_yet_takes_the_newest_fit_without_a_word(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """As who falls silent on a Monday morning: the running week has no fit before five."""
    store_simulated(database, 90, seed=13)
    run(database, week(14))
    running = Week(week(15).start, week(14).as_of + dt.timedelta(hours=3), timezone="UTC")
    for keys in kpi_keys(database, running):
        assert keys["S_fit_run_id"] == run_id_of(database, 14)
        assert "S_fit_note" not in keys
    outcome = score(database, running)
    assert [check.is_passed for check in outcome.checks] == [True]
    assert "the last good one" not in caplog.text


@pytest.mark.parametrize(("lookback_days", "stands_in"), [(35, True), (34, False)])
def test_a_fit_older_than_the_look_back_stands_in_no_more(
    database: Engine, monkeypatch: pytest.MonkeyPatch, lookback_days: int, stands_in: bool
) -> None:
    monkeypatch.setenv("SURVIVAL_LOOKBACK_DAYS", str(lookback_days))
    store_simulated(database, 90, seed=13)
    run(database, week(12), week(17))
    judge(database, 17, is_usable=False)
    settings = SurvivalSettings(lookback_days=lookback_days)
    outcome = score(database, week(17), settings)
    assert outcome.metadata["fit"] == (run_id_of(database, 12) if stands_in else "none")
    (check,) = outcome.checks
    assert not check.is_passed
    assert "slope 3" in check.description
    for keys in kpi_keys(database, week(17)):
        if stands_in:
            assert "slope 3" in keys["S_fit_note"]
            assert keys["S_method"] == "cox"
            continue
        assert (keys["S_method"], "S_fit_note" in keys) == ("heuristic", False)
        assert "slope 3" in keys["S_method_reason"]
        assert f"no fit of the {lookback_days} days before is usable" in keys["S_method_reason"]


def test_the_newest_fit_too_is_used_no_longer_than_the_look_back(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fits have stopped altogether."""
    monkeypatch.setenv("SURVIVAL_LOOKBACK_DAYS", "28")
    store_simulated(database, 90, seed=13)
    run(database, week(12))
    assert {keys["S_method"] for keys in kpi_keys(database, week(16))} == {"cox"}
    (reason,) = {keys.get("S_method_reason") for keys in kpi_keys(database, week(17))}
    assert reason == f"the newest churn fit, of {week(12).key}, is more than 28 days old"


def test_an_older_week_done_again_leaves_the_current_table(database: Engine) -> None:
    store_simulated(database, 90, seed=14)
    run(database, week(14), week(15))
    before = snapshot(database, "survival_risk")
    run(database, week(13))
    assert snapshot(database, "survival_risk") == before
    assert rows_of(database, "SELECT DISTINCT week_start FROM survival_risk") == [{"week_start": week(15).start}]


def test_the_operator_can_keep_the_heuristic(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store_simulated(database, 90, seed=15)
    run(database, week(15))
    monkeypatch.setenv("SURVIVAL_UPDATE_KPI", "false")
    key = week(15).start.isoformat()
    assert materialize(database, weekly_kpi_s, partition_key=key).success
    methods = rows_of(
        database, "SELECT DISTINCT kpis ->> 'S_method' AS method, kpis ->> 'S_method_reason' AS why FROM weekly_kpi"
    )
    assert methods == [{"method": "heuristic", "why": "SURVIVAL_UPDATE_KPI is off"}]


def test_the_columns_of_the_panel_are_the_covariates_of_the_model() -> None:
    assert set(COLUMNS) >= {*ChurnSettings().covariates}


def test_the_report_document_has_risk_forecast_and_segment_of_its_week(database: Engine) -> None:
    then = week(10)
    keys = {"w": then.start, "at": then.as_of}
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES "
        "('u', :w, '{\"S\": 0.25, \"S_fit_run_id\": \"fit\"}'), ('v', :w, '{\"S\": 0.9}')",
        keys,
    )
    execute(
        database,
        "INSERT INTO survival_fit_meta (run_id, formula, family, event_threshold_days, hazard_ratios, "
        "hazard_ratio_intervals, model, fitted_at) VALUES ('fit', 'f', 'cox_efron', 14, '{\"A_t_missing\": 2.0}', "
        "'{\"A_t_missing\": [1.5, 2.5]}', "
        '\'{"design": {"columns": [{"covariate": "A_t", "is_missing_indicator": true}]}}\', :at)',
        keys,
    )
    execute(
        database,
        "INSERT INTO growth_brms_meta (run_id, formula, week_start, fitted_at, is_usable, model_spec) "
        "VALUES ('g', 'f', :w, :at, true, '{\"score_unit\": \"share right\"}')",
        keys,
    )
    execute(
        database,
        "INSERT INTO growth_prediction (user_id, week_start, run_id, intercept_mean, intercept_sd, slope_mean, slope_sd, "
        "projected, projected_lower, projected_upper, sigma, p, p_lower, p_upper, target, target_level, target_source, "
        "horizon_date, horizon_source, n_weeks, n_answers) VALUES ('u', :w, 'g', 0.5, 0.1, 0.01, 0.004, 0.6, 0.4, 0.8, 0.1, "
        "0.3, 0.2, 0.5, 0.7, 0.9, 'default', CAST(:w AS date) + 35, 'configured', 8, 120)",
        keys,
    )
    execute(
        database,
        "INSERT INTO prophet_fit_meta (run_id, metric, forecast, fit_meta, fitted_at, week_start) VALUES "
        '(\'p\', \'I_t\', \'[{"ds": "2025-03-24", "yhat": 0.1, "yhat_lower": 0.0, "yhat_upper": 0.2}]\', '
        "'{\"status\": \"prophet\", \"insample\": []}', :at, :w), ('later', 'I_t', '[]', '{\"status\": \"prophet\"}', "
        ":at, CAST(:w AS date) + 7)",
        keys,
    )
    execute(
        database,
        "INSERT INTO prophet_anomalies (run_id, week_start, metric, value, expected, anomaly_score) "
        "VALUES ('p', CAST(:w AS date) - 7, 'I_t', 0.5, 0.1, 3.5)",
        keys,
    )
    execute(
        database,
        "INSERT INTO user_segment (user_id, segment_label, features_snapshot, assigned_at, run_id, week_start, "
        "segment_id) VALUES ('u', 'long_rare', '{\"gap\": 9}', :at, 'c', :w, 3)",
        keys,
    )
    execute(
        database,
        "INSERT INTO segment_profile (run_id, segment_id, week_start, segment_label, segment_description, centre, "
        "scaled_centre, n, share, is_new) VALUES ('c', 3, :w, 'long_rare', 'Apart.', '{}', '{}', 1, 1, true)",
        keys,
    )
    parameters = {
        "week_start": then.start,
        "as_of": then.as_of,
        "timezone": "UTC",
        "max_users": None,
        "user_id": None,
        **WHOLE.parameters,
    }
    with database.connect() as connection:
        rows = connection.execute(statement("reports/documents.sql"), parameters).scalars().all()
    documents = {document.user_id: document for document in map(ReportDocument.from_json, rows)}
    one, other = documents["u"], documents["v"]
    assert one.survival_risk is not None
    assert one.survival_risk.churn_risk == 0.25
    (effect,) = one.survival_risk.effects
    assert (effect.column.covariate, effect.column.is_missing_indicator) == ("A_t", True)
    assert (effect.ratio, effect.limits) == (2.0, (1.5, 2.5))
    assert one.bayesian_growth is not None
    growth = one.bayesian_growth
    assert (growth.P, growth.projected, growth.n_weeks) == (None, None, 8), "P of the week is not from the fit"
    assert one.bayesian_growth.is_share
    assert other.bayesian_growth is None
    assert other.survival_risk is None
    assert one.user_segment is not None
    assert (one.user_segment.segment_label, one.user_segment.segment_description) == ("long_rare", "Apart.")
    assert other.user_segment is None
    for document in (one, other):
        assert document.prophet_forecast is not None
        assert [point.yhat for point in document.prophet_forecast.forecast_data] == [0.1]
        assert [a.anomaly_score for a in document.prophet_forecast.anomalies] == [3.5]
