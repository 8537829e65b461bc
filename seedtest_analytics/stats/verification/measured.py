"""From the probability of a true level to that of a measurement of it.

truth ~ N(mu, sd²):        P(truth >= t) = Phi((mu - t) / sd)
measured = truth + error:  P(measured >= t) = Phi((mu - t) / sqrt(sd² + error_sd²))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import numbers, positive

Floats = NDArray[np.float64]


def probability_of_measured(probability: ArrayLike, sd: ArrayLike, *, error_sd: ArrayLike) -> Floats:
    """(n,) probability that a *measured* level reaches the target, given the ``probability`` for the true level.

    If the distribution of the truth was right, the result is calibrated against measurements; if ``sd`` was too small,
    it is not.

    Args:
        probability: (n,) within 0..1.
        sd: (n,) standard deviation of the true level behind the probability; with 0 or NaN the probability is kept.
        error_sd: (n,) standard error of the measurement from 0, in the same unit; one number holds for all.

    Raises:
        ValueError: for a probability outside 0..1, a negative error, or shapes that do not match.
    """
    from scipy.special import ndtr, ndtri

    p = numbers(probability, "probability", ndim=None, low=0.0, high=1.0, is_missing_allowed=True)
    spread = numbers(sd, "sd", ndim=None, is_missing_allowed=True)
    error = numbers(error_sd, "error_sd", ndim=None, low=0.0, is_missing_allowed=True)
    try:
        p, spread, error = np.broadcast_arrays(p, spread, error)
    except ValueError:
        raise ValueError(f"shapes {p.shape}, {spread.shape} and {error.shape} do not match") from None
    is_known = np.isfinite(spread) & (spread > 0.0)
    safe = np.where(is_known, spread, 1.0)
    shrunken = ndtr(ndtri(p) * safe / np.hypot(safe, error))
    return np.asarray(np.where(is_known, shrunken, p))


def widened_error(se: ArrayLike, slope: float, *, discrimination: float = 1.0) -> Floats:
    """(n,) standard errors of abilities that make predicted answers with calibration ``slope`` below 1 right.

    The curve of an answer is flattened by sqrt(1 + pi a² se² / 8) (MacKay 1992). A wider error flattens it by 1 / slope
    more: se'² = ((1 + c se²) / slope² - 1) / c with c = pi a² / 8. A slope of 1 or more keeps the errors.

    Raises:
        ValueError: for a negative error, or a slope or discrimination that is not above 0.
    """
    error = numbers(se, "se", low=0.0, is_missing_allowed=True)
    positive(slope, "slope")
    positive(discrimination, "discrimination")
    c = np.pi * discrimination**2 / 8.0
    flattened = (1.0 + c * error**2) / min(1.0, slope) ** 2
    return np.asarray(np.sqrt((flattened - 1.0) / c))
