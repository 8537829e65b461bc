"""From the probability of a true level to that of a measurement of it.

truth ~ N(mu, sd²):        P(truth >= t) = Phi((mu - t) / sd)
measured = truth + error:  P(measured >= t) = Phi((mu - t) / sqrt(sd² + error_sd²))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def probability_of_measured(probability: ArrayLike, sd: ArrayLike, *, error_sd: ArrayLike) -> Floats:
    """(n,) probability that a *measured* level reaches the target, given the ``probability`` for the true level.

    If the distribution of the truth was right, the result is calibrated against measurements; if ``sd`` was too small,
    it is not.

    Args:
        probability: (n,) within 0..1.
        sd: (n,) standard deviation of the true level behind the probability; with 0 or NaN the probability is kept.
        error_sd: (n,) standard error of the measurement, in the same unit.
    """
    from scipy.special import ndtr, ndtri

    p, spread, error = (np.asarray(values, dtype=np.float64) for values in (probability, sd, error_sd))
    is_known = np.isfinite(spread) & (spread > 0.0)
    safe = np.where(is_known, spread, 1.0)
    shrunken = ndtr(ndtri(p) * safe / np.hypot(safe, error))
    return np.asarray(np.where(is_known, shrunken, p))
