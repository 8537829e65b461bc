"""P by the Normal formula, as rows of keys."""

import datetime as dt
import json
from typing import Any

import pandas as pd
import pytest

from seedtest_analytics.assets.kpis.goal import goal_rows, with_expectation
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

WEEK = dt.date(2026, 3, 2)
FIT = Hyperparameters(level_walk=0.001, slope_walk=0.0, growth_days=14.0)
STATE = {
    "method": "dynamic",
    "state_week": WEEK,
    "slope": 0.07,
    "slope_se": 0.035,
    "level_slope_covariance": 0.0,
    "answered_at": dt.datetime(2026, 3, 7, 9, tzinfo=dt.UTC),
    "horizon_date": dt.date(2026, 5, 8),
    "horizon_source": "goal_date",
    "days_ahead": 60.0,
}
"""A gain of 0.01 ± 0.005 a day."""


def keys_of(**fields: Any) -> dict[str, Any]:
    row = {
        "user_id": "kim",
        "theta": 0.5,
        "se": 0.5,
        "target": 0.0,
        "n_answers": 12,
        "target_source": "goal",
        "method_reason": None,
        "method": "EAP",
        "answered_at": None,
        "state_week": None,
        **fields,
    }
    frame = goal_rows(with_expectation(pd.DataFrame([row]), {WEEK: FIT}))
    assert list(frame.columns) == ["user_id", "kpis"]
    return dict(json.loads(frame["kpis"][0]))


def test_a_known_ability_has_a_probability_with_its_evidence() -> None:
    """Φ(1) is 0.8413."""
    keys = keys_of()
    assert keys.pop("P") == pytest.approx(0.841345, abs=1e-6)
    assert keys == {
        "sigma": 0.5,
        "P_method": "normal",
        "P_score_unit": "logit",
        "P_target": 0.0,
        "P_target_source": "goal",
        "theta": 0.5,
        "ability_estimate": 0.5,
        "theta_n_answers": 12,
        "theta_se": 0.5,
        "theta_method": "EAP",
    }


def test_an_ability_of_the_look_back_has_the_age_of_its_evidence() -> None:
    keys = keys_of(answered_at=STATE["answered_at"])
    assert (keys["theta_method"], keys["theta_answered_at"]) == ("EAP", "2026-03-07T09:00:00+00:00")
    assert "theta_answered_at" not in keys_of()


@pytest.mark.parametrize("missing", ["theta", "se"])
def test_an_unknown_ability_has_a_reason_and_its_target(missing: str) -> None:
    assert keys_of(**{missing: None, "n_answers": None}) == {
        "P": None,
        "P_reason": "no ability is known yet",
        "P_reason_code": "no_ability",
        "P_target": 0.0,
        "P_target_source": "goal",
    }


def test_why_a_student_has_no_bayesian_probability_is_kept_also_without_an_ability() -> None:
    why = "no score in the look-back of the growth fit"
    assert keys_of(method_reason=why)["P_method_reason"] == why
    assert keys_of(method_reason=why, theta=None)["P_method_reason"] == why
    assert "P_method_reason" not in keys_of()


def test_a_state_is_projected_to_the_day_of_the_goal() -> None:
    """In 60 days: 0.5 + 60 · 0.01 = 1.1, variance 0.5² + 60 · 0.001 + (60 · 0.005)² = 0.4; Φ(1.1 / √0.4) = 0.9590."""
    keys = keys_of(**STATE)
    assert keys["P"] == pytest.approx(0.9590, abs=1e-4)
    assert keys["P_projected"] == pytest.approx(1.1)
    assert keys["sigma"] == pytest.approx(0.4**0.5)
    assert (keys["theta"], keys["theta_se"], keys["theta_method"]) == (0.5, 0.5, "dynamic")
    assert (keys["P_horizon_date"], keys["P_horizon_source"]) == ("2026-05-08", "goal_date")
    assert keys["theta_answered_at"] == "2026-03-07T09:00:00+00:00"
    assert "own" not in keys["P_assumption"]
    assert keys["P_assumption"].startswith("practice continues")


def test_students_with_and_without_a_state_are_told_apart() -> None:
    plain = {"user_id": "lee", "theta": 0.5, "se": 0.5, "target": 0.0, "n_answers": 3, "target_source": "default"}
    rows = pd.DataFrame([{**plain, "method": "EAP", "method_reason": None, "state_week": None}, {**plain, **STATE}])
    frame = with_expectation(rows, {WEEK: FIT})
    assert frame["expected"].tolist() == pytest.approx([0.5, 1.1])
    assert frame["assumption"].notna().tolist() == [False, True]
