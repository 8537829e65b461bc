"""P by the Normal approximation, as rows of keys."""

import json
from typing import Any

import pandas as pd
import pytest

from seedtest_analytics.assets.kpis.goal import goal_rows


def keys_of(**fields: Any) -> dict[str, Any]:
    row = {
        "user_id": "kim",
        "theta": 0.5,
        "se": 0.5,
        "target": 0.0,
        "n_answers": 12,
        "target_source": "goal",
        "method_reason": None,
        **fields,
    }
    frame = goal_rows(pd.DataFrame([row]))
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
    }


@pytest.mark.parametrize("missing", ["theta", "se"])
def test_an_unknown_ability_has_a_reason_and_its_target(missing: str) -> None:
    assert keys_of(**{missing: None, "n_answers": None}) == {
        "P": None,
        "P_reason": "no ability is known yet",
        "P_target": 0.0,
        "P_target_source": "goal",
    }


def test_why_a_student_has_no_bayesian_probability_is_kept_also_without_an_ability() -> None:
    why = "no score in the look-back of the growth fit"
    assert keys_of(method_reason=why)["P_method_reason"] == why
    assert keys_of(method_reason=why, theta=None)["P_method_reason"] == why
    assert "P_method_reason" not in keys_of()
