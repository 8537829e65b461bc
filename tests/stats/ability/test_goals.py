"""The expected level on a later date, with everything that is uncertain about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.goals import GoalPath, goal_path
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import LevelWeeks, smooth
from tests.stats.ability._simulation import simulate


def levels(level: float = 0.5, slope: float = 0.01) -> LevelWeeks:
    one = np.ones(1)
    return LevelWeeks(
        one.astype(np.int32),
        one.astype(np.int32),
        level=level * one,
        level_se=0.3 * one,
        slope=slope * one,
        slope_se=0.005 * one,
        level_slope_covariance=0.0005 * one,
        silent_days=one,
    )


def test_goal_path_by_pace() -> None:
    h = Hyperparameters(level_walk=0.002, slope_mean=0.004, slope_variance=4e-6, slope_walk=1e-8)
    own = goal_path(levels(), h, days_ahead=50, target=1.0)
    assert own.level[0] == pytest.approx(1.0)
    assert own.se[0] ** 2 == pytest.approx(0.09 + 0.1 + 2500 * 25e-6 + 100 * 0.0005 + 1e-8 * 125000 / 3)
    assert own.probability[0] == pytest.approx(0.5)
    cohort = goal_path(levels(), h, days_ahead=50, pace="cohort")
    assert cohort.level[0] == pytest.approx(0.7)
    assert np.isnan(cohort.probability[0])
    none = goal_path(levels(), h, days_ahead=50, pace="none")
    assert none.level[0] == 0.5
    assert "practice continues" in own.assumption
    assert len({own.assumption, cohort.assumption, none.assumption}) == 3


@pytest.mark.parametrize("weeks", [2, 4, 16])
def test_a_projection_holds_the_error_of_the_mean_slope(weeks: int) -> None:
    """The variance grows by the square of what a step of the mean slope moves the expected level."""
    h = Hyperparameters(slope_mean=0.004, slope_variance=1e-5, form_variance=0.05)
    cohort = simulate(h, seed=960, n_students=60, weeks=weeks)

    def path(used: Hyperparameters) -> GoalPath:
        evidence = gather_evidence(cohort.answers, used, items=cohort.known_items)
        return goal_path(smooth(evidence, [7.0 * weeks]).levels, used, days_ahead=60)

    step, error = 0.002, 0.003
    moved = (path(replace(h, slope_mean=0.004 + step)).level - path(replace(h, slope_mean=0.004 - step)).level) / (
        2 * step
    )
    added = path(replace(h, slope_mean_variance=error**2)).se ** 2 - path(h).se ** 2
    assert np.sqrt(added) / error == pytest.approx(moved, rel=0.01)
    assert moved.min() > 59.99


@pytest.mark.parametrize("pace", ["own", "cohort"])
def test_paces_that_do_not_differ_hold_the_error_of_the_mean_slope(pace: Literal["own", "cohort"]) -> None:
    h = Hyperparameters(slope_mean_variance=9e-6)
    known = replace(h, slope_mean_variance=0.0)
    with_error, without = (goal_path(levels(), used, days_ahead=50, pace=pace).se for used in (h, known))
    assert with_error**2 - without**2 == pytest.approx(2500 * 9e-6)


@pytest.mark.parametrize(("days", "pace"), [(-1.0, "own"), (np.nan, "own"), (5.0, "fast")])
def test_goal_path_refuses(days: float, pace: Any) -> None:
    with pytest.raises(AbilityDataError):
        goal_path(levels(), Hyperparameters(), days_ahead=days, pace=pace)
