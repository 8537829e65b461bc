"""P by the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.kpi.goal import goal_probability_after, normal_goal_probability


def test_probability_that_the_ability_reaches_the_target() -> None:
    """By a table of Φ: 0.5 at the mean, 0.8413 one SD above it, 0.0228 two SDs below it."""
    mean, sd = np.array([0.3, 1.0, -1.0]), np.array([0.4, 0.5, 0.5])
    found = normal_goal_probability(mean, sd, target=np.array([0.3, 0.5, 0.0]))
    assert found == pytest.approx([0.5, 0.841345, 0.022750], abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "sd", "target"), [(np.nan, 1, 0), (0, np.nan, 0), (0, 1, np.nan), (0, 0, 0), (0, -1, 0)]
)
def test_missing_inputs_give_nan(mean: float, sd: float, target: float) -> None:
    found = normal_goal_probability(np.array([float(mean)]), np.array([float(sd)]), target=np.array([float(target)]))
    assert np.isnan(found[0])


def after(before: float, *, sd_before: float = 0.5, sd: float = 0.5, pace: float = 0.2, weeks: float = 0.0) -> float:
    given = {"sd_before": sd_before, "sd": sd, "pace": pace, "weeks": weeks}
    (found,) = goal_probability_after(np.array([before]), **{name: np.array([value]) for name, value in given.items()})
    return float(found)


def test_in_silence_p_stays_but_for_the_time_to_the_goal() -> None:
    """By Φ: 0.8413 is an expected score 0.5 above the goal with an SD of 0.5; a week less costs 0.2 of it."""
    assert after(0.841345) == pytest.approx(0.841345, abs=1e-6)
    assert after(0.841345, weeks=-1.0) == pytest.approx(0.725747, abs=1e-5)
    assert after(0.841345, weeks=-1.0, pace=-0.2) == pytest.approx(0.919243, abs=1e-5)


def test_a_projection_over_the_same_time_becomes_wider_and_never_surer() -> None:
    assert after(0.841345, sd=1.0) == pytest.approx(0.691462, abs=1e-5)
    assert after(0.841345, sd=0.25) == pytest.approx(0.841345, abs=1e-6)
    assert after(0.841345, sd=0.25, weeks=-1.0) == pytest.approx(0.884930, abs=1e-5)


def test_a_certain_p_stays_certain() -> None:
    assert (after(0.0), after(1.0)) == pytest.approx((0.0, 1.0), abs=1e-6)
