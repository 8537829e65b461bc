"""P, the probability that a student's score reaches the goal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normal_goal_probability(
    mean: NDArray[np.float64], sd: NDArray[np.float64], *, target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``1 − Φ((target − mean) / sd)`` for each student; NaN where an input is missing or ``sd`` is not positive.

    Arrays of one shape, on one scale (logit). The Normal approximation of the legacy contract (section 4.6): the
    current ability's posterior is taken as N(mean, sd²) and no growth is projected.
    """
    from scipy.special import ndtr

    known = np.isfinite(mean) & np.isfinite(sd) & np.isfinite(target) & (sd > 0)
    z = np.full(np.shape(mean), np.nan)
    np.divide(mean - target, sd, out=z, where=known)
    probability: NDArray[np.float64] = ndtr(z)
    return probability
