"""P, the probability that a student's ability reaches the goal."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import numbers


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
