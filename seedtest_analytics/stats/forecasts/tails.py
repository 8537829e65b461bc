"""Scores of errors whose tails are heavier than those of the Normal distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEGREES_OF_FREEDOM = (np.inf, 20.0, 10.0, 7.0, 5.0, 4.0, 3.0)
MIN_ERRORS = 200
"""Fewer errors do not show their tails; they count as Normal."""
UPPER_QUARTILE = 0.75
LARGEST_ERROR_SD = 4.0
"""Errors beyond this many standard deviations may be the anomalies that are looked for, and choose no tails."""


def tail_degrees(errors: Floats) -> float:
    """Degrees of freedom of the Student t distribution that gives errors (n,) around 0 the largest likelihood.

    Its scale follows from the median of |errors|, and errors beyond 4 standard deviations are left out of the likelihood,
    which is that of the truncated distribution. So outliers neither stretch it nor make its tails. Infinite: Normal tails.
    """
    from scipy import stats

    if len(errors) < MIN_ERRORS:
        return np.inf
    median = float(np.median(np.abs(errors)))
    if median == 0.0:
        return np.inf
    largest = LARGEST_ERROR_SD * median / float(stats.norm.ppf(UPPER_QUARTILE))
    used = errors[np.abs(errors) <= largest]
    best, best_value = np.inf, -np.inf
    for degrees in DEGREES_OF_FREEDOM:
        law = stats.norm() if np.isinf(degrees) else stats.t(degrees)
        scale = median / float(law.ppf(UPPER_QUARTILE))
        inside = 1.0 - 2.0 * float(law.sf(largest / scale))
        value = float(law.logpdf(used / scale).mean()) - np.log(scale * inside)
        if value > best_value:
            best, best_value = degrees, value
    return best


def normal_scores(z: Floats, degrees: float) -> Floats:
    """The Normal deviate with the same probability of a larger error as ``z``, whose median fits a Normal distribution.

    With t distributed errors |score| > 2.5 then happens as often as with Normal ones: in 1.2 % of the cases.
    """
    from scipy.special import ndtri, stdtr
    from scipy.stats import norm, t

    if np.isinf(degrees):
        return z
    stretch = float(norm.ppf(UPPER_QUARTILE) / t(degrees).ppf(UPPER_QUARTILE))
    tail = np.maximum(stdtr(degrees, -np.abs(z) / stretch), 1e-300)
    return np.asarray(-np.sign(z) * ndtri(tail))
