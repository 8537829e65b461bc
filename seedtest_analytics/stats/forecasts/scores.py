"""From one-step errors to signed z scores that have the same meaning after eight weeks as after eighty.

t_k = (e_k / r_k) / √(mean over j < k of (e_j / r_j)²) ~ Student t with k - 1 degrees of freedom,   z = Φ⁻¹(F_t(t_k))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

MIN_ERRORS = 3
CLIP_SD = 2.5
"""An error with a larger score counts as this much in the scale of later weeks."""
SMALLEST_SCALE = 1e-12
LARGEST_Z = 37.0
"""Beyond it the normal tail probability underflows."""


def anomaly_scores(errors: Floats, relative_sd: Floats) -> Floats:
    """(T,) signed z of (T,) errors of forecasts made without the scored week; NaN before three earlier errors.

    Row t of ``relative_sd`` (T, T) has the relative standard deviations r (evidence) of weeks 0..t as known at week t.
    Only *earlier* errors scale an error, so |z| >= 2.5 has a probability of 1.2 % in a quiet series of any length, and
    a large enough shock passes any threshold. (The legacy in-sample z was bounded by the root of n - 1.)
    """
    counted = np.full(len(errors), np.nan)
    scores = np.full(len(errors), np.nan)
    for t in np.flatnonzero(np.isfinite(errors)):
        past = counted[:t] / relative_sd[t, :t]
        past = past[np.isfinite(past)]
        counted[t] = errors[t]
        if len(past) < MIN_ERRORS:
            continue
        scale = max(float(np.sqrt(np.mean(past**2))), SMALLEST_SCALE) * relative_sd[t, t]
        scores[t] = t_to_z(float(errors[t] / scale), len(past))
        if abs(scores[t]) > CLIP_SD:
            counted[t] = np.sign(errors[t]) * CLIP_SD * scale
    return scores


def t_to_z(t: float, degrees_of_freedom: int) -> float:
    """The normal quantile with the same tail probability as a Student t."""
    tail = float(special.stdtr(degrees_of_freedom, -abs(t)))
    z = float(-special.ndtri(tail)) if tail > 0 else LARGEST_Z
    return float(np.sign(t)) * min(z, LARGEST_Z)


def error_scale(errors: Floats, scores: Floats, *, relative_sd: Floats) -> tuple[float, int]:
    """Root mean square of (T,) standardised errors without those scored beyond 2.5, and their number."""
    standardised = errors / relative_sd
    quiet = np.isfinite(standardised) & ~(np.abs(np.nan_to_num(scores)) > CLIP_SD)
    if not quiet.any():
        return float("nan"), 0
    return float(np.sqrt(np.mean(standardised[quiet] ** 2))), int(quiet.sum())
