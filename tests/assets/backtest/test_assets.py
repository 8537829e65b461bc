"""The backtest: predictions as they stood, outcomes after the week, a baseline that was known then."""

import datetime as dt
import json
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.backtest.week import judge_week
from seedtest_analytics.partitions import WEEK
from seedtest_analytics.stats.verification.probabilities import score_probabilities
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import EPOCH, store_sessions, week
from tests.assets._week_runs import outcomes_of

NOW = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)


def judge(engine: Engine, number: int, now: dt.datetime = NOW) -> Any:
    return outcomes_of(engine, week(number), compute=lambda run: judge_week(run, now))[0]


def row_of(engine: Engine, number: int, prediction: str) -> dict[str, Any] | None:
    rows = rows_of(
        engine,
        "SELECT * FROM prediction_backtest WHERE week_start = :w AND prediction = :p",
        w=week(number).start,
        p=prediction,
    )
    return rows[0] if rows else None


def store_kpis(engine: Engine, number: int, kpis: dict[str, dict[str, Any]]) -> None:
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        [{"user": user, "week": week(number).start, "kpis": json.dumps(value)} for user, value in kpis.items()],
    )


def store_cohort(engine: Engine, numbers: list[int], seed: int, skilled: bool = True) -> dict[int, Any]:
    """Students whose silence over the 14 days after a week has the chance S (or, without skill, one of its own)."""
    rng = np.random.default_rng(seed)
    users = [f"u{n:03d}" for n in range(300)]
    truth: dict[int, Any] = {}
    for number in numbers:
        chance = rng.uniform(0.05, 0.95, len(users))
        silent = rng.random(len(users)) < chance
        said = chance if skilled else rng.permutation(chance)
        keys = {"S_method": "cox_efron", "S_horizon_days": 14}
        store_kpis(engine, number, {user: {"S": float(s), **keys} for user, s in zip(users, said, strict=True)})
        end = (week(number).as_of - EPOCH) / dt.timedelta(days=1)
        days = end + rng.uniform(0, 14, len(users))
        active = [user for user, is_silent in zip(users, silent, strict=True) if not is_silent]
        # ids of attempts must differ between weeks
        store_sessions_of_week(engine, number, active, days[~silent])
        truth[number] = (said, silent)
    return truth


def store_sessions_of_week(engine: Engine, number: int, users: list[str], days: np.ndarray) -> None:
    execute(engine, "UPDATE attempt_log SET exam_result_id = gen_random_uuid()")
    store_sessions(engine, users, days)


def test_s_is_scored_against_silence_beside_the_share_known_then(database: Engine) -> None:
    truth = store_cohort(database, [10, 12], seed=1)
    judge(database, 12)
    row = row_of(database, 12, "S")
    assert row is not None
    said, silent = truth[12]
    known = float(truth[10][1].mean())
    expected = score_probabilities(said, silent, baseline=known, clusters=np.arange(300))
    for name in ("brier", "brier_baseline", "brier_skill", "log_score", "calibration_slope", "ici", "auc"):
        assert row[name] == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert row["n"] == row["cohort_size"] == 300
    assert row["method"] == "cox_efron"
    assert f"{known:.3f}" in row["baseline"]
    assert row["is_credible"]
    assert len(row["curve"]["predicted"]) == 10


def test_a_prediction_worse_than_its_baseline_is_told(database: Engine) -> None:
    store_cohort(database, [10, 12], seed=2, skilled=False)
    outcome = judge(database, 12)
    (check,) = [c for c in outcome.checks if c.check.name == "better_than_baseline"]
    assert not check.is_passed
    assert "S: its Brier score" in check.description
    assert "[" not in check.description
    row = row_of(database, 12, "S")
    assert row is not None
    assert row["brier_skill"] < 0
    assert not row["is_credible"]
    # A week whose outcomes are not known yet does not hide it: it is the newest result that the UI shows.
    (later,) = [c for c in judge(database, 14, week(14).as_of).checks if c.check.name == "better_than_baseline"]
    assert not later.is_passed
    known = f"the newest week with known outcomes, {week(12).start}: "
    assert later.description == known + check.description
    assert later.metadata == check.metadata


def test_what_was_published_and_what_the_model_said_are_judged_apart(database: Engine) -> None:
    """The published number is right here, the model's is not, and a withheld one is judged for the model alone."""
    truth = store_cohort(database, [10, 12], seed=4)
    execute(
        database,
        "UPDATE weekly_kpi SET kpis = kpis || jsonb_build_object('S_model', 1 - (kpis ->> 'S')::float8) "
        "|| CASE WHEN user_id < 'u010' THEN '{\"S\": null}'::jsonb ELSE '{}'::jsonb END WHERE week_start = :w",
        {"w": week(12).start},
    )
    outcome = judge(database, 12)
    said, silent = truth[12]
    shown, model = row_of(database, 12, "S"), row_of(database, 12, "S_model")
    assert shown is not None
    assert model is not None
    assert (shown["n"], model["n"]) == (290, 300)
    assert shown["brier"] == pytest.approx(np.mean((said[10:] - silent[10:]) ** 2))
    assert model["brier"] == pytest.approx(np.mean((1 - said - silent) ** 2))
    assert (shown["is_credible"], model["is_credible"]) == (True, False)
    (check,) = [c for c in outcome.checks if c.check.name == "better_than_baseline"]
    assert check.is_passed, "the check is about what readers see"
    judge(database, 10)
    assert row_of(database, 10, "S_model") is None


def test_a_week_is_judged_when_its_outcomes_are_known_and_not_before(database: Engine) -> None:
    store_cohort(database, [12], seed=3)
    known_at = week(12).as_of + dt.timedelta(days=14)
    judge(database, 12, known_at - dt.timedelta(seconds=1))
    assert row_of(database, 12, "S") is None
    judge(database, 12, known_at)
    row = row_of(database, 12, "S")
    assert row is not None
    assert row["judged_until"] == known_at
    assert "these very outcomes" in row["baseline"]
    before = snapshot(database, "prediction_backtest")
    judge(database, 12, NOW)
    assert snapshot(database, "prediction_backtest") == before
    running = judge(database, 12, week(12).as_of - dt.timedelta(days=1))
    assert running.published.staged == 0


def test_abilities_are_scored_by_the_next_weeks_first_answers_with_their_uncertainty(database: Engine) -> None:
    then = week(10)
    execute(
        database,
        "INSERT INTO mirt_ability (user_id, theta, se, version, week_start, run_id, fitted_at) "
        "VALUES ('a', 1.0, 0.5, 'v', :w, 'r', :at), ('b', -1.0, 0.5, 'v', :w, 'r', :at)",
        {"w": then.start, "at": then.as_of},
    )
    execute(
        database,
        "INSERT INTO mirt_fit_meta (run_id, fitted_at, week_start, version, is_usable, data_fingerprint) "
        "VALUES ('r', :at, :w, 'v', true, gen_random_uuid())",
        {"w": then.start, "at": then.as_of},
    )
    execute(
        database,
        "INSERT INTO mirt_item_params_history (run_id, item_id, model, a, b, c, n_responses, p_correct, is_anchor, "
        "week_start) VALUES ('r', '1', '2PL', 1.2, 0.3, NULL, 50, 0.4, false, :w)",
        {"w": then.start},
    )
    end = (then.as_of - EPOCH) / dt.timedelta(days=1)
    store_sessions(database, ["a", "b", "b"], np.array([end + 1, end + 2, end + 7.5]))
    execute(database, "UPDATE attempt_log SET item_id = 1, answer_no = 1, correct = user_id = 'a'")
    judge(database, 10)
    row = row_of(database, 10, "theta")
    assert row is not None
    slope = 1.2 / np.sqrt(1 + np.pi * 1.2**2 * 0.25 / 8)
    p = 1 / (1 + np.exp(-slope * (np.array([1.0, -1.0]) - 0.3)))
    assert row["n"] == 2
    assert row["log_score"] == pytest.approx(-np.mean(np.log([p[0], 1 - p[1]])))
    assert row["log_score_baseline"] == pytest.approx(-np.mean(np.log([0.4, 0.6])))


@pytest.mark.parametrize("unit", ["logit", "share right"])
def test_p_is_judged_by_the_ability_of_the_week_of_its_own_day(database: Engine, unit: str) -> None:
    """The spread of a share right is in another unit than the measurement's error: that P is taken as it is."""
    then = week(10)
    execute(
        database,
        "INSERT INTO mirt_ability (user_id, theta, se, version, week_start, run_id, fitted_at) "
        "SELECT u, -0.2, 0.3, '10', :w, 'r', :at FROM unnest(ARRAY['dated', 'undated', 'later', 'vague']) AS u",
        {"w": then.start, "at": then.as_of},
    )
    execute(
        database,
        "INSERT INTO mirt_fit_meta (run_id, metrics, fitted_at, week_start, version, is_usable, data_fingerprint) "
        "VALUES ('r', '{\"group_mean\": 0.0, \"group_sd\": 1.0}', :at, :w, 'v', true, gen_random_uuid())",
        {"w": then.start, "at": then.as_of},
    )
    # Freed of the prior (reliability 0.5), 0.25 is an ability of 0.5 and 0.4 one of 0.8.
    for number, user, theta, se in (
        (12, "dated", 0.25, 0.5**0.5),
        (14, "undated", 0.4, 0.5**0.5),
        (14, "vague", 2.0, 0.95),
        (11, "undated", -3.0, 0.1),
        (12, "undated", -3.0, 0.1),
    ):
        execute(
            database,
            "INSERT INTO ability_window (user_id, week_start, window_name, window_start_at, window_end_at, theta, se, "
            "n_answers, run_id) VALUES (:user, :w, 'recent', CAST(:at AS timestamptz) - interval '14 days', :at, "
            ":theta, :se, 5, 'r')",
            {"user": user, "w": week(number).start, "at": week(number).as_of, "theta": theta, "se": se},
        )
    own_day = (then.start + 3 * WEEK).isoformat()  # the first day after week 12
    # The measurement's standard error is 1 (se² / reliability), so with sigma 1 a P of Phi(z) says Phi(z / sqrt 2).
    keys = {"P_method": "normal", "P_target": 0.6, "sigma": 1.0, "P_score_unit": "logit"}
    store_kpis(
        database,
        10,
        {
            "dated": {"P": 0.3, "P_horizon_date": own_day, **keys, "P_score_unit": unit},
            "undated": {"P": 0.7, **keys},
            "vague": {"P": 0.7, **keys},
            "later": {"P": 0.5, "P_horizon_date": "2026-06-01", **keys},
        },
    )
    judge(database, 10)
    row = row_of(database, 10, "P")
    assert row is not None
    assert (row["n"], row["n_events"]) == (2, 1)
    normal = NormalDist()
    widened = normal.cdf(normal.inv_cdf(0.3) / math.sqrt(2))
    said = widened if unit == "logit" else 0.3
    assert row["brier"] == pytest.approx((said**2 + widened**2) / 2)
    not_widened = [note for note in row["notes"] if "not widened" in note]
    if unit == "logit":
        assert not_widened == []
    else:
        assert not_widened[0].startswith("P of 1 of 2 students is about a share right")
    assert row["brier_baseline"] == pytest.approx(0.5)
    assert any("measurement's own error" in note for note in row["notes"])


def test_drift_of_the_last_weeks_is_told(database: Engine) -> None:
    for number in range(12):
        shift = 0.0 if number < 8 else 0.25
        execute(
            database,
            "INSERT INTO prediction_backtest (week_start, prediction, method, judged_until, cohort_size, n, "
            "observed_share, predicted_share, baseline, is_credible) VALUES (:w, 'S', 'm', :at, 500, 500, "
            ":observed, 0.3, 'b', true)",
            {"w": week(number).start, "at": week(number).as_of, "observed": 0.3 + shift + 0.01 * (number % 2)},
        )
    outcome = outcomes_of(database, week(12), compute=lambda run: judge_week(run, NOW), is_dry_run=True)[0]
    (check,) = [c for c in outcome.checks if c.check.name == "no_drift"]
    assert not check.is_passed
    assert "more often than predicted" in check.description


def test_a_forecast_is_judged_by_the_weeks_that_came(database: Engine) -> None:
    insample = [{"y": 0.1}, {"y": 0.2}, {"y": None}]
    forecast = [
        {"ds": week(n).start.isoformat(), "yhat": 0.3, "yhat_lower": 0.2, "yhat_upper": 0.4} for n in (11, 12, 13)
    ]
    meta = {"status": "prophet", "interval_level": 0.8, "insample": insample}
    execute(
        database,
        "INSERT INTO prophet_fit_meta (run_id, metric, forecast, fit_meta, fitted_at, week_start) "
        "VALUES ('p', 'I_t', CAST(:forecast AS jsonb), CAST(:meta AS jsonb), :at, :w)",
        {"forecast": json.dumps(forecast), "meta": json.dumps(meta), "at": week(10).as_of, "w": week(10).start},
    )
    for number, value in ((11, 0.35), (12, 0.5), (13, 9.0)):
        store_kpis(database, number, {"u": {"I_t": value}})
    judge(database, 10, week(12).as_of)
    row = row_of(database, 10, "forecast:I_t")
    assert row is not None
    assert row["n"] == 2
    assert row["mae"] == pytest.approx((0.05 + 0.2) / 2)
    assert row["mae_baseline"] == pytest.approx((0.15 + 0.3) / 2)
    assert (row["coverage"], row["coverage_level"]) == (0.5, 0.8)
    assert row["judged_until"] == week(12).as_of
    judge(database, 10, week(10).as_of)
    assert row_of(database, 10, "forecast:I_t") is None
