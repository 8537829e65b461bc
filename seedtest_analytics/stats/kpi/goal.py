"""P, the probability that a student's ability reaches the goal, and what it becomes without a new answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import numbers

_SUREST, _LEAST_SD = 1e-9, 1e-9


def normal_goal_probability(mean: ArrayLike, sd: ArrayLike, *, target: ArrayLike) -> NDArray[np.float64]:
    """P(θ ≥ target) = 1 − Φ((target − mean) / sd), with θ ~ N(mean, sd²); NaN for missing inputs and sd ≤ 0.

    Arrays of one shape, in logits of the platform scale. This is the normal approximation of the legacy contract
    (section 4.6): θ is the current ability, without projected growth.

    Raises:
        ValueError: for arrays of different shapes, or entries that are infinite or not numeric.
    """
    from scipy.special import ndtr

    mean = numbers(mean, "mean", ndim=None, is_missing_allowed=True)
    sd = numbers(sd, "sd", ndim=None, like=mean.shape, is_missing_allowed=True)
    target = numbers(target, "target", ndim=None, like=mean.shape, is_missing_allowed=True)
    known = np.isfinite(mean) & np.isfinite(sd) & np.isfinite(target) & (sd > 0)
    z = np.full(np.shape(mean), np.nan)
    with np.errstate(over="ignore"):
        np.divide(mean - target, sd, out=z, where=known)
    probability: NDArray[np.float64] = ndtr(z)
    return probability


def goal_probability_after(
    before: ArrayLike, *, sd_before: ArrayLike, sd: ArrayLike, pace: ArrayLike, weeks: ArrayLike
) -> NDArray[np.float64]:
    """What P becomes without a new answer: the expected score moves by the time to the goal alone.

    P = Φ((sd₀ Φ⁻¹(P₀) + pace · weeks) / s), where s is sd if the goal's day has come nearer, else max(sd, sd₀): a
    projection over the same time does not become surer in silence.

    Args:
        before: P₀ of an earlier instant, each array (n,).
        sd_before, sd: SD of the projected score then and now, above 0.
        pace: gain of the score a week.
        weeks: by how much the time to the goal's day has grown (negative: the day has come nearer).

    Raises:
        ValueError: for arrays of different lengths, entries that are missing, infinite or not numeric, probabilities outside
            0..1, or an SD that is not above 0.
    """
    from scipy.special import ndtr, ndtri

    before = numbers(before, "before", low=0.0, high=1.0)
    sd_before, sd = (
        numbers(values, name, like=before.shape, low=_LEAST_SD)
        for values, name in ((sd_before, "sd_before"), (sd, "sd"))
    )
    pace, weeks = (numbers(values, name, like=before.shape) for values, name in ((pace, "pace"), (weeks, "weeks")))
    expected = sd_before * ndtri(np.clip(before, _SUREST, 1.0 - _SUREST)) + pace * weeks
    probability: NDArray[np.float64] = ndtr(expected / np.where(weeks < 0, sd, np.maximum(sd, sd_before)))
    return probability
