"""Past outcomes decide what a week publishes, whichever order weeks are computed in."""

import dataclasses
import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.churn.scores import score_week
from seedtest_analytics.assets.kpis.assets import compute_week
from seedtest_analytics.assets.verdicts import publish
from seedtest_analytics.assets.verdicts.evidence import RISKS, decide_for
from seedtest_analytics.assets.verdicts.publish import apply_goal_verdicts, apply_risk_verdicts
from seedtest_analytics.assets.verdicts.week import record_week
from seedtest_analytics.database.publish import create_staging
from seedtest_analytics.settings import BacktestSettings, Settings
from seedtest_analytics.stats.verification.recalibration import decide
from tests._database import execute, rows_of
from tests.assets._activity import EPOCH, store_sessions, week
from tests.assets._week_runs import outcomes_of, week_run

USERS = [f"u{n:03d}" for n in range(200)]
PUBLISHED_WEEK = 12


def store_kpis(engine: Engine, number: int, kpis: dict[str, dict[str, Any]]) -> None:
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        [{"user": user, "week": week(number).start, "kpis": json.dumps(value)} for user, value in kpis.items()],
    )


def store_silence(engine: Engine, numbers: list[int], *, seed: int, slope: float, method: str = "cox") -> None:
    """S of past weeks about their next seven days, with the truth's logit ``slope`` times that of S."""
    random = np.random.default_rng(seed)
    for number in numbers:
        x = random.normal(0, 2, len(USERS))
        silent = random.random(len(USERS)) < 1 / (1 + np.exp(-slope * x))
        keys = {"S_method": method, "S_horizon_days": 7}
        said = 1 / (1 + np.exp(-x))
        store_kpis(engine, number, {u: {"S": float(s), **keys} for u, s in zip(USERS, said, strict=True)})
        end = (week(number).as_of - EPOCH) / dt.timedelta(days=1)
        active = [user for user, is_silent in zip(USERS, silent, strict=True) if not is_silent]
        execute(engine, "UPDATE attempt_log SET exam_result_id = gen_random_uuid()")
        store_sessions(engine, active, end + random.uniform(0, 7, len(active)))


def applied(
    engine: Engine,
    name: str,
    rows: dict[str, dict[str, Any]],
    *,
    settings: Settings | None = None,
    number: int = PUBLISHED_WEEK,
) -> dict[str, dict[str, Any]]:
    """The staged keys after the verdict."""
    with week_run(engine, week(number), settings=settings, is_dry_run=True) as run:
        create_staging(run.connection, "staged_kpi", columns={"user_id": "text", "kpis": "jsonb"})
        run.connection.execute(
            text("INSERT INTO staged_kpi VALUES (:user, CAST(:kpis AS jsonb))"),
            [{"user": user, "kpis": json.dumps(keys)} for user, keys in rows.items()],
        )
        apply_risk_verdicts(run, horizon_days=7) if name == "S" else apply_goal_verdicts(run)
        return dict(run.connection.execute(text("SELECT user_id, kpis FROM staged_kpi")).tuples().all())


RISK = {"S": 0.9, "S_lower": 0.88, "S_upper": 0.92, "S_method": "cox", "S_reasons": ["silent"], "S_horizon_days": 7}


def test_a_risk_that_was_too_extreme_is_recalibrated_and_says_so(database: Engine) -> None:
    store_silence(database, list(range(4, 11)), seed=21, slope=0.5)
    kpis = applied(database, "S", {"a": RISK, "b": {**RISK, "S": None}})
    assert kpis["b"] == {**RISK, "S": None}, "a student without a number has no verdict"
    found = kpis["a"]
    assert found["S_verdict"] == "recalibrated"
    assert "too extreme" in found["S_verdict_reason"]
    assert found["S"] == pytest.approx(0.75, abs=0.04)
    assert found["S_model"] == 0.9
    assert found["S_lower"] < 0.7
    assert found["S_reasons"] == ["silent"]
    assert applied(database, "S", {"a": RISK}, settings=Settings(backtest=BacktestSettings(decides=False)))["a"] == RISK


def test_a_risk_without_a_say_becomes_the_share_of_all_or_nothing(database: Engine) -> None:
    store_silence(database, list(range(2, 11)), seed=22, slope=0.0)
    shown = applied(database, "S", {"a": RISK})["a"]
    assert shown["S_verdict"] == "base_rate"
    assert shown["S"] == pytest.approx(0.5, abs=0.05)
    assert "S_reasons" not in shown
    never = Settings(backtest=BacktestSettings(widest_base_rate=0.0))
    withheld = applied(database, "S", {"a": RISK}, settings=never)["a"]
    assert (withheld["S"], withheld["S_verdict"], withheld["S_model"]) == (None, "withheld", 0.9)
    assert withheld["S_reason"].startswith("withheld: in past weeks")
    assert not {"S_lower", "S_upper", "S_reasons"} & set(withheld)


def decision(engine: Engine, number: int = PUBLISHED_WEEK, method: str = "cox", horizon_days: int = 7) -> Any:
    with engine.connect() as connection:
        return decide_for(
            connection, week(number), past=RISKS, method=method, horizon_days=horizon_days, settings=Settings()
        )


def test_a_decision_reads_earlier_weeks_and_outcomes_known_when_its_week_began(database: Engine) -> None:
    store_silence(database, list(range(4, 11)), seed=23, slope=0.5)
    before = decision(database)
    assert before.n_weeks == 7
    store_silence(database, [11, 12, 13], seed=24, slope=-1.0)  # week 11's outcomes are known at the end of week 12
    assert decision(database) == before
    assert decision(database, number=13).n_weeks == 8
    assert decision(database, method="weibull").verdict == "too_early"
    assert decision(database, horizon_days=14).verdict == "too_early"


def test_a_decision_reads_what_the_model_said_and_not_what_was_published(database: Engine) -> None:
    store_silence(database, list(range(4, 11)), seed=25, slope=0.5)
    before = decision(database)
    execute(
        database,
        "UPDATE weekly_kpi SET kpis = kpis || jsonb_build_object('S_model', kpis -> 'S', 'S', "
        "CASE WHEN week_start < :w THEN NULL ELSE 0.5 END)",
        {"w": week(7).start},
    )
    assert decision(database) == before


def test_the_table_has_the_decisions_of_the_week_and_the_check_tells_silenced_models(database: Engine) -> None:
    store_silence(database, list(range(2, 11)), seed=22, slope=0.0)
    store_kpis(database, PUBLISHED_WEEK, {"a": {"S_verdict": "base_rate", "S_method": "cox", "S_horizon_days": 7}})
    (outcome,) = outcomes_of(database, week(PUBLISHED_WEEK), compute=record_week)
    (row,) = rows_of(database, "SELECT * FROM prediction_verdict")
    assert (row["prediction"], row["method"], row["students"], row["verdict"]) == ("S", "cox", 1, "base_rate")
    assert row["brier_reference"] < row["brier_model"]
    assert row["n"] == 200 * 9
    assert row["base_lower"] < row["base_rate"] < row["base_upper"]
    (check,) = [found for found in outcome.checks if found.check.name == "models_speak"]
    assert not check.is_passed
    assert "S (cox): in past weeks" in check.description


def test_the_list_of_risks_and_s_are_one_number(database: Engine) -> None:
    store_silence(database, list(range(4, 11)), seed=26, slope=0.5, method="heuristic")
    execute(database, """UPDATE weekly_kpi SET kpis = kpis || '{"S_horizon_days": 14}'""")
    this = week(PUBLISHED_WEEK)
    settings = Settings().overridden("kpis", {"users_since_days": 90})
    outcomes_of(database, this, compute=lambda run: compute_week(run, ["S"]), settings=settings)
    outcomes_of(database, this, compute=score_week, settings=settings)
    risks = {row["user_id"]: row for row in rows_of(database, "SELECT * FROM survival_risk")}
    kpis = {
        row["user_id"]: row["kpis"]
        for row in rows_of(database, "SELECT user_id, kpis FROM weekly_kpi WHERE week_start = :w", w=this.start)
    }
    assert len(risks) > 150
    for user, row in risks.items():
        assert row["verdict"] == kpis[user]["S_verdict"] == "recalibrated"
        assert row["risk_score"] == pytest.approx(kpis[user]["S"], abs=1e-12)
        assert row["risk_upper"] == pytest.approx(kpis[user]["S_upper"], abs=1e-12)


def store_goals(engine: Engine, numbers: list[int], *, seed: int, slope: float) -> None:
    """P of past weeks about the next week, and abilities measured then with a standard error of 1 (reliability one half)."""
    random = np.random.default_rng(seed)
    at = {"w": week(0).start, "at": week(0).as_of}
    execute(
        engine,
        "INSERT INTO mirt_fit_meta (run_id, metrics, fitted_at, week_start, version, is_usable, data_fingerprint) "
        "VALUES ('r', '{\"group_mean\": 0.0, \"group_sd\": 1.0}', :at, :w, 'v', true, gen_random_uuid())",
        at,
    )
    for number in numbers:
        z = random.normal(0, 1.5, len(USERS))
        measured = slope * z + random.normal(0, 1, len(USERS)) + slope * random.normal(0, 1, len(USERS))
        after = week(number + 2)
        keys = {"P_method": "normal", "P_target": 0.0, "sigma": 1.0, "P_score_unit": "logit"}
        keys["P_horizon_date"] = (after.start + dt.timedelta(days=3)).isoformat()
        said = [0.5 + 0.5 * float(np.tanh(v * 0.8)) for v in z]
        store_kpis(engine, number, {u: {"P": p, **keys} for u, p in zip(USERS, said, strict=True)})
        execute(
            engine,
            "INSERT INTO mirt_ability (user_id, theta, se, version, week_start, run_id, fitted_at) "
            "SELECT u, 0, 0.3, :v, :w, 'r', :at FROM unnest(CAST(:users AS text[])) AS u",
            {"v": str(number), "w": week(number).start, "at": week(number).as_of, "users": USERS},
        )
        execute(
            engine,
            "INSERT INTO ability_window (user_id, week_start, window_name, window_start_at, window_end_at, theta, se, "
            "n_answers, run_id) VALUES (:user, :w, 'recent', CAST(:at AS timestamptz) - interval '14 days', :at, :theta, "
            ":se, 5, 'r')",
            [
                {"user": u, "w": after.start, "at": after.as_of, "theta": m / 2, "se": 0.5**0.5}
                for u, m in zip(USERS, measured.tolist(), strict=True)
            ],
        )


def test_a_goal_probability_that_was_too_sure_gets_the_spread_that_outcomes_show(database: Engine) -> None:
    store_goals(database, list(range(2, 9)), seed=27, slope=0.3)
    goal = {"P": 0.9, "sigma": 0.5, "P_method": "normal", "P_target": 0.2, "P_score_unit": "logit", "P_projected": 0.84}
    other = {**goal, "P_method": "bayesian"}
    kpis = applied(database, "P", {"a": goal, "b": other})
    found = kpis["a"]
    assert found["P_verdict"] == "recalibrated"
    assert 0.5 < found["P"] < 0.85
    assert found["P_model"] == 0.9
    assert found["sigma_model"] == 0.5
    assert found["sigma"] > 0.6
    assert found["P_projected"] > 0.2
    assert found["P_lower"] < found["P"] < found["P_upper"]
    assert kpis["b"]["P_verdict"] == "too_early", "each method is decided by its own past"
    assert (kpis["b"]["P"], "P_model" in kpis["b"]) == (0.9, False)
    assert kpis["b"]["P_upper"] - kpis["b"]["P_lower"] > 0.2


def test_an_ability_that_was_less_certain_than_it_said_gets_a_wider_error(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision itself is tested elsewhere; here is what theta becomes by it."""
    keys = {"theta": 0.4, "ability_estimate": 0.4, "theta_se": 0.3, "theta_method": "dynamic"}
    early = applied(database, "P", {"a": keys})["a"]
    assert early["theta_verdict"] == "too_early"
    assert early["theta_se"] == 0.3

    def decided(verdict: str, slope: float) -> Any:
        decision = dataclasses.replace(decide([], [], week=[]), verdict=verdict, slope=slope, reason="why")
        return lambda *_, **__: decision

    monkeypatch.setattr(publish, "decide_for", decided("recalibrated", 0.8))
    wider = applied(database, "P", {"a": keys})["a"]
    assert wider["theta_se"] == pytest.approx(0.3 / 0.8)
    assert (wider["theta_se_model"], wider["theta_verdict"], wider["theta"]) == (0.3, "recalibrated", 0.4)
    monkeypatch.setattr(publish, "decide_for", decided("as_is", 1.0))
    kept = applied(database, "P", {"a": keys})["a"]
    assert (kept["theta_se"], kept["theta_verdict"], "theta_se_model" in kept) == (0.3, "as_is", False)
    monkeypatch.setattr(publish, "decide_for", decided("withheld", 1.0))
    none = applied(database, "P", {"a": keys})["a"]
    assert (none["theta"], none["theta_se"], none["theta_verdict_reason"]) == (None, None, "why")
