"""From the probability of a true level to that of a measurement of it.

truth ~ N(mu, sd²):        P(truth >= t) = Phi((mu - t) / sd)
measured = truth + error:  P(measured >= t) = Phi((mu - t) / sqrt(sd² + error_sd²))

And whether the errors of abilities are as large as they say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import codes, numbers

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


def variance_ratio(
    residual: ArrayLike, *, sensitivity: ArrayLike, se: ArrayLike, student: ArrayLike, week: ArrayLike, topic: ArrayLike
) -> tuple[float, float]:
    """The variance of abilities' true errors divided by ``se``², and its standard error by student.

    An ability that is off shifts all answers of the student in the week together. So over pairs i, j of answers in
    different topics, E(residual_i residual_j) = ratio · se² · sensitivity_i · sensitivity_j. What is wrong with single
    items or with the student's topics does not enter.

    Args:
        residual: (n,) right (1 or 0) less its predicted probability.
        sensitivity: (n,) derivative of the probability by the ability, per logit.
        se: (n,) published standard error of the ability, in logits, the same for a student in a week.
        student, week, topic: (n,) names or codes.

    Returns:
        (NaN, NaN) without a student who answered in two topics in a week.

    Raises:
        ValueError: for values that are not finite, a negative error, or unequal lengths.
    """
    r = numbers(residual, "residual")
    d = numbers(sensitivity, "sensitivity", like=r.shape)
    error = numbers(se, "se", like=r.shape, low=0.0)
    (who, n_students), (when, n_weeks), (what, n_topics) = (
        codes(values, name, length=len(r)) for name, values in (("student", student), ("week", week), ("topic", topic))
    )
    cell, at = np.unique((who.astype(np.int64) * n_weeks + when) * n_topics + what, return_inverse=True)
    found, expected = (np.bincount(at, weights=values, minlength=len(cell)) for values in (r, d * error))
    group, at = np.unique(cell // n_topics, return_inverse=True)
    products = [np.bincount(at, weights=sums) ** 2 - np.bincount(at, weights=sums**2) for sums in (found, expected)]
    pairs, model = (np.bincount(group // n_weeks, weights=values, minlength=n_students) for values in products)
    total = float(model.sum())
    if not total > 0:
        return float("nan"), float("nan")
    ratio = float(pairs.sum() / total)
    return ratio, float(np.sqrt(((pairs - ratio * model) ** 2).sum()) / total)
