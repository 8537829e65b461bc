"""P by the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.kpi.goal import normal_goal_probability


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
