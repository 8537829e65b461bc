"""The audit by group and S beside a simple rule: what it reports, from outcomes known when the week begins."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.backtest.fairness import audit_week
from seedtest_analytics.assets.backtest.simple_rules import past_shares
from seedtest_analytics.assets.backtest.week import judge_week
from seedtest_analytics.settings import DifSettings, Settings
from seedtest_analytics.stats.verification.group_gaps import abroca
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import EPOCH, store_sessions, week
from tests.assets._week_runs import outcomes_of

N = 300
USERS = [f"u{n:03d}" for n in range(N)]
NOW = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
BY_ORG = Settings(dif=DifSettings(covariate="org_id"))


def store(engine: Engine, numbers: list[int], seed: int, blurred: int | None = None, rule: bool = False) -> None:
    """S and silence in weeks. Two thirds of the students are in organisation 1, the others in 2.

    ``blurred``: the organisation whose S is noise; ``rule``: silence depends on the organisation alone, S is noise.
    """
    random = np.random.default_rng(seed)
    org = np.where(np.arange(N) % 3 == 0, 2, 1)
    users: list[str] = []
    days: list[float] = []
    for number in numbers:
        chance = np.where(org == 1, 0.2, 0.8) if rule else random.uniform(0.05, 0.95, N)
        silent = random.random(N) < chance
        noise = random.uniform(0.05, 0.95, N)
        said = np.where((org == blurred) | rule, noise, chance)
        rows = [
            {"user": u, "week": week(number).start, "kpis": json.dumps({"S": s, "S_method": "m", "S_horizon_days": 14})}
            for u, s in zip(USERS, said.tolist(), strict=True)
        ]
        insert = "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))"
        execute(engine, insert, rows)
        end = (week(number).as_of - EPOCH) / dt.timedelta(days=1)
        users += [u for u, is_silent in zip(USERS, silent, strict=True) if not is_silent]
        days += (end + random.uniform(0, 14, N))[~silent].tolist()
    first = (week(min(numbers)).as_of - EPOCH) / dt.timedelta(days=1)
    users, days = [*USERS, *users], [*(first - 1 - random.random(N)).tolist(), *days]
    store_sessions(engine, users, np.array(days))
    execute(
        engine,
        "INSERT INTO exam_results (id, user_id, org_id, session_id, result_json, created_at, status) "
        "SELECT exam_result_id, user_id, CASE WHEN right(user_id, 3)::int % 3 = 0 THEN 2 ELSE 1 END, session_id, '{}', "
        "completed_at, 'ready' FROM attempt_log",
    )


def audited(engine: Engine, number: int, settings: Settings = BY_ORG) -> Any:
    return outcomes_of(engine, week(number), compute=audit_week, settings=settings)[0]


def row_of(engine: Engine, group: str) -> dict[str, Any]:
    (row,) = rows_of(engine, "SELECT * FROM fairness_audit WHERE prediction = 'S' AND group_name = :g", g=group)
    return row


def test_a_group_whose_risk_is_noise_is_found_and_told(database: Engine) -> None:
    store(database, [4, 6], seed=1, blurred=2)
    outcome = audited(database, 10)
    row, reference = row_of(database, "2"), row_of(database, "1")
    assert (row["ranking_verdict"], reference["ranking_verdict"]) == ("gap", "reference")
    assert (row["n_students"], row["n"], reference["n"]) == (100, 200, 400)
    assert row["auc_gap"] == pytest.approx(row["auc"] - reference["auc"])
    assert row["abroca"] >= abs(row["auc_gap"]) - 1e-9
    assert row["p_adjusted"] < 0.05
    assert abs(reference["calibration_intercept"]) < 4 * reference["calibration_intercept_se"]
    (check,) = outcome.checks
    assert not check.is_passed
    assert "S of 2: AUC differs by -" in check.description
    assert "auc_gaps" in outcome.metadata
    stored = {r["user_id"]: r for r in rows_of(database, "SELECT user_id, kpis FROM weekly_kpi")}
    assert len(stored) == N
    assert abroca([0.1, 0.2, 0.1, 0.2], [0, 1, 1, 0], is_focal=[1, 1, 0, 0]) == 1.0


def test_groups_that_are_alike_pass_and_a_small_one_cannot_be_judged(database: Engine) -> None:
    store(database, [1, 2, 3, 4, 5, 6], seed=2)
    assert audited(database, 10).checks[0].is_passed
    assert row_of(database, "2")["ranking_verdict"] == "no_gap_found"
    execute(database, "UPDATE exam_results SET org_id = 1 WHERE user_id > 'u090'")
    outcome = audited(database, 10)
    row = row_of(database, "2")
    assert row["ranking_verdict"] == "cannot_be_judged"
    assert row["minimum_detectable_abroca"] > 0.1
    assert outcome.checks[0].is_passed
    assert "1 cannot be judged" in outcome.checks[0].description


def test_only_outcomes_that_were_known_when_the_week_began_count_and_twice_is_once(database: Engine) -> None:
    store(database, [4, 6], seed=3)
    audited(database, 8)  # silence after week 6 is known when week 9 begins
    assert row_of(database, "1")["n"] == 200
    before = snapshot(database, "fairness_audit")
    audited(database, 8)
    assert snapshot(database, "fairness_audit") == before
    audited(database, 6)
    assert rows_of(database, "SELECT 1 FROM fairness_audit WHERE week_start = :w", w=week(6).start) == []


def test_without_a_covariate_or_a_second_group_there_are_no_rows_and_the_check_says_why(database: Engine) -> None:
    store(database, [4], seed=4)
    silent = audited(database, 10, settings=Settings())
    assert silent.checks[0].description == "DIF_COVARIATE is not set: there are no groups to compare"
    assert silent.published.staged == 0
    only = audited(database, 10, settings=Settings(dif=DifSettings(covariate="org_id", reference="7")))
    assert only.checks[0].description.startswith("nothing to compare by org_id")


def test_the_next_answer_is_audited_by_the_answers_in_its_topic(database: Engine) -> None:
    store(database, [4], seed=5)
    execute(
        database, "UPDATE attempt_log SET topic_id = CASE WHEN id % 2 = 0 THEN 'a' ELSE 'b' END, correct = id % 3 > 0"
    )
    execute(
        database,
        "INSERT INTO ability_topic_state (user_id, topic_id, week_start, deviation, deviation_se, ability, se, "
        "next_right, n_answers, answered_at, fitted_at) SELECT DISTINCT user_id, topic, :w, 0, 1, 0, 1, "
        "0.2 + right(user_id, 2)::int / 200.0, 1, :at, :at FROM attempt_log, unnest(ARRAY['a', 'c']) AS topic",
        {"w": week(4).start, "at": week(4).as_of},
    )
    audited(database, 10)
    (row,) = rows_of(database, "SELECT * FROM fairness_audit WHERE prediction = 'next_answer' AND group_name = '1'")
    (expected,) = rows_of(
        database,
        "SELECT count(*) AS n, count(*) FILTER (WHERE correct) AS events FROM attempt_log "
        "WHERE topic_id = 'a' AND completed_at >= :at AND completed_at < :until AND right(user_id, 3)::int % 3 > 0",
        at=week(4).as_of,
        until=week(4).as_of + dt.timedelta(days=7),
    )
    assert (row["n"], row["n_events"]) == (expected["n"], expected["events"])


@pytest.mark.parametrize("rule", [True, False])
def test_a_rule_by_organisation_that_is_better_than_the_risk_is_told(database: Engine, rule: bool) -> None:
    store(database, [4, 6], seed=6, rule=rule)
    outcome = outcomes_of(database, week(6), compute=lambda run: judge_week(run, NOW))[0]
    (row,) = rows_of(database, "SELECT * FROM prediction_backtest WHERE prediction = 'S_by_org_id'")
    (own,) = rows_of(database, "SELECT * FROM prediction_backtest WHERE prediction = 'S'")
    assert row["brier"] == own["brier"]
    assert (
        row["baseline"] == f"the share of the student's organisation that fell silent from the week of {week(4).start}"
    )
    assert row["auc_gain"] == pytest.approx(row["auc"] - row["auc_baseline"])
    (check,) = [c for c in outcome.checks if c.check.name == "better_than_baseline"]
    assert ("S_by_org_id: the share of" in check.description) == rule
    if rule:
        assert row["brier_gain"] + 1.96 * row["brier_gain_se"] < 0
        assert row["auc_gain"] < -4 * row["auc_gain_se"]
    else:
        assert check.is_passed
        assert row["brier_gain"] > 0


def test_the_share_of_a_small_group_is_drawn_to_that_of_all() -> None:
    silent = {"a": 1, "b": 1, "c": 0, "d": 0}
    shares, everybody = past_shares(silent, {"a": "x", "b": "x", "c": "y"})
    assert everybody == 0.5
    assert shares == pytest.approx({"x": (2 + 2.5) / 7, "y": 2.5 / 6})
