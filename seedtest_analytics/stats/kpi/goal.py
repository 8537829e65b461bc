"""P, the probability that a student's ability reaches the goal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normal_goal_probability(
    mean: NDArray[np.float64], sd: NDArray[np.float64], *, target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(θ ≥ target) = 1 − Φ((target − mean) / sd), with θ ~ N(mean, sd²); NaN for missing inputs and sd ≤ 0.

    Arrays of one shape, in logits of the platform scale. This is the normal approximation of the legacy contract
    (section 4.6): θ is the current ability, without projected growth.
    """
    from scipy.special import ndtr

    known = np.isfinite(mean) & np.isfinite(sd) & np.isfinite(target) & (sd > 0)
    z = np.full(np.shape(mean), np.nan)
    np.divide(mean - target, sd, out=z, where=known)
    probability: NDArray[np.float64] = ndtr(z)
    return probability
