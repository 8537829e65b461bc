"""From one-step errors to signed z scores that mean the same with eight weeks of history as with eighty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

MIN_ERRORS = 3
CLIP_SD = 2.5
"""An error already scored beyond this counts as this much in the scale of later weeks."""
SMALLEST_SCALE = 1e-12
LARGEST_Z = 37.0
"""Where a double runs out: the normal tail beyond it has no representable probability."""


def anomaly_scores(errors: Floats, relative_sd: Floats) -> Floats:
    """(T,) signed z of (T,) errors of forecasts made without the scored week; NaN before three earlier
    errors.

    ``relative_sd`` (T, T): row t holds the relative standard deviations (evidence) of weeks 0..t as known at
    week t. Each error over its own is divided by the root mean square of the *earlier* ones, which makes it a
    Student t with as many degrees of freedom as there are earlier errors; z is the normal quantile with the
    same tail probability. So |z| >= 2.5 has a chance of 1.2 % in a quiet series whatever its length, and a
    large enough shock passes any threshold (the legacy in-sample z was bounded by the root of n - 1).
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
    """The normal quantile with the tail probability of a Student t."""
    tail = float(special.stdtr(degrees_of_freedom, -abs(t)))
    z = float(-special.ndtri(tail)) if tail > 0 else LARGEST_Z
    return float(np.sign(t)) * min(z, LARGEST_Z)


def error_scale(errors: Floats, scores: Floats, *, relative_sd: Floats) -> tuple[float, int]:
    """Root mean square of (T,) errors over their (T,) relative standard deviations, without those scored
    beyond 2.5; and their number.
    """
    standardised = errors / relative_sd
    quiet = np.isfinite(standardised) & ~(np.abs(np.nan_to_num(scores)) > CLIP_SD)
    if not quiet.any():
        return float("nan"), 0
    return float(np.sqrt(np.mean(standardised[quiet] ** 2))), int(quiet.sum())
