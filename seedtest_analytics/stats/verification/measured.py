"""What a probability about a true level says about a measurement of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def probability_of_measured(probability: ArrayLike, sd: ArrayLike, *, error_sd: ArrayLike) -> Floats:
    """(n,) probability that a *measured* level reaches the target, where ``probability`` is that of the true one.

    The truth is said to be N(mu, sd²) about a target t, so probability = Phi((mu - t) / sd); the measurement adds an
    error N(0, error_sd²) of its own, and Phi((mu - t) / sqrt(sd² + error_sd²)) is what can be compared with it. Where
    the truth was right, the result is calibrated against measurements; where ``sd`` was too small it is not.

    Args:
        probability: (n,) within 0..1.
        sd: (n,) standard deviation of the level that the probability rests on; 0 or NaN: the probability is kept.
        error_sd: (n,) standard error of the measurement, in the same unit.
    """
    from scipy.special import ndtr, ndtri

    p, spread, error = (np.asarray(values, dtype=np.float64) for values in (probability, sd, error_sd))
    is_known = np.isfinite(spread) & (spread > 0.0)
    safe = np.where(is_known, spread, 1.0)
    shrunken = ndtr(ndtri(p) * safe / np.hypot(safe, error))
    return np.where(is_known, shrunken, p)
