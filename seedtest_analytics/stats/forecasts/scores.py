"""From one-step errors to signed z scores that have the same meaning after eight weeks as after eighty.

t_k = (e_k / r_k) / √(mean over j < k of (e_j / r_j)²) ~ Student t with k - 1 degrees of freedom,   z = Φ⁻¹(F_t(t_k))

The scale of the errors is never below the measurement error of the week. Where that is not known, weeks without any
change tell nothing about the size of ordinary changes, so they do not count in the scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from seedtest_analytics.stats.checks import LARGEST, count, number, numbers

Floats = NDArray[np.float64]

MIN_ERRORS = 3
CLIP_SD = 2.5
"""A single error with a larger score counts as this much in the scale of later weeks."""
NO_CHANGE = 1e-4
"""An error below this part of the largest value so far is rounding, or a series that stands still."""
SMALLEST_SD = 1e-100
LARGEST_Z = 37.0
"""Beyond it the normal tail probability underflows."""


def anomaly_scores(
    errors: ArrayLike, relative_sd: ArrayLike, *, floors: ArrayLike | None = None, no_change: float = 0.0
) -> Floats:
    """(T,) signed z of (T,) errors of forecasts made without the scored week; NaN before three earlier errors.

    Only *earlier* errors scale an error, so |z| >= 2.5 has a probability of 1.2 % in a quiet series of any length, and
    a large enough shock passes any threshold. (The legacy in-sample z was bounded by the root of n - 1.)

    Args:
        errors: (T,), NaN where a week has none.
        relative_sd: (T, T) of which row t has the relative standard deviations r (evidence) of weeks 0..t as known at
            week t, above 0; NaN for weeks without an error.
        floors: (T,) smallest standard deviation that an error can have, above 0; NaN (or None) where it is not known.
        no_change: size up to which an error without a floor does not count as a change.

    Raises:
        ValueError: for other shapes, infinite errors or negative scales.
    """
    e = numbers(errors, "error", is_missing_allowed=True)
    n = len(e)
    sd = numbers(relative_sd, "relative SD", like=(n, n), ndim=2, low=SMALLEST_SD, is_missing_allowed=True)
    least = (
        np.full(n, np.nan) if floors is None else numbers(floors, "floor", like=(n,), low=0, is_missing_allowed=True)
    )
    number(no_change, "no_change", low=0.0)
    scores, scales = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(n):
        counted = counted_errors(e[:t], scores[:t], scales=scales[:t])
        scale, freedom = error_scale(counted, sd[t, :t], floor=least[t] / sd[t, t], no_change=no_change)
        scales[t] = scale * sd[t, t]
        scores[t] = score_of(e[t], scales[t], freedom=freedom)
    return scores


def lone_outliers(scores: Floats) -> NDArray[np.bool_]:
    """(T,) weeks beyond 2.5 whose neighbours with a score are not.

    They do not enter later fits. Two in consecutive weeks are a change of level or of size, which later fits follow.
    """
    scored = np.flatnonzero(np.isfinite(scores))
    is_far = np.abs(scores[scored]) > CLIP_SD
    beside = np.append(is_far[1:], False) | np.append(False, is_far[:-1])
    lone = np.zeros(len(scores), dtype=bool)
    lone[scored] = is_far & ~beside
    return lone


def counted_errors(errors: Floats, scores: Floats, *, scales: Floats) -> Floats:
    """(t,) errors as they count in later scales: a lone outlier counts as 2.5, so it does not hide the next."""
    return np.where(lone_outliers(scores), np.sign(errors) * CLIP_SD * scales, errors)


def error_scale(counted: Floats, relative_sd: Floats, *, floor: float, no_change: float) -> tuple[float, int]:
    """The root mean square of (t,) earlier standardised errors, at least ``floor``, and its degrees of freedom.

    NaN where fewer than three errors tell it. Without a floor (NaN), errors up to ``no_change`` do not tell it.
    """
    is_told = np.isfinite(counted) & (relative_sd > 0)
    if not floor > 0:
        floor = 0.0
        is_told &= np.abs(np.nan_to_num(counted)) > no_change
    freedom = int(is_told.sum())
    if freedom < MIN_ERRORS:
        return float("nan"), freedom
    return max(float(np.sqrt(np.mean((counted[is_told] / relative_sd[is_told]) ** 2))), floor), freedom


def score_of(error: float, scale: float, *, freedom: int) -> float:
    """Signed z of one error; NaN without an error or a scale."""
    if not np.isfinite(error) or not scale > 0:
        return float("nan")
    with np.errstate(over="ignore"):
        return _z(float(np.clip(np.divide(error, scale), -1e300, 1e300)), freedom)


def t_to_z(t: float, degrees_of_freedom: int) -> float:
    """The normal quantile with the same tail probability as a Student t.

    Raises:
        ValueError: for a t that is not finite, or fewer than one degree of freedom.
    """
    if isinstance(t, float) and LARGEST < abs(t) < np.inf:
        t = float(np.sign(t)) * LARGEST
    return _z(number(t, "t"), count(degrees_of_freedom, "degrees of freedom", low=1))


def _z(t: float, freedom: int) -> float:
    tail = float(special.stdtr(freedom, -abs(t)))
    z = float(-special.ndtri(tail)) if tail > 0 else LARGEST_Z
    return float(np.sign(t)) * min(z, LARGEST_Z)
