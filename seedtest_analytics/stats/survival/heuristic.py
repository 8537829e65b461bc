"""The contract's heuristic of churn risk, evaluated at the landmark and defined for the long silent too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SILENCE_WEIGHT, GAP_WEIGHT, SESSIONS_WEIGHT = 0.6, 0.25, 0.15
GAP_SCALE_DAYS, SESSIONS_SCALE = 7.0, 10.0


def heuristic_parts(
    days_since_last: ArrayLike, mean_gap_days: ArrayLike, *, sessions: ArrayLike, horizon_days: float
) -> Floats:
    """(n, 3) parts of the heuristic, each already times its weight: silence, gap, few sessions.

    Fewer than two sessions in the window show no gap; the days since the last session are then a lower bound
    of it. (The legacy formula was NULL for whoever had been silent for the whole window, the most churned of
    all.)
    """
    silence, gap, count = (np.asarray(v, dtype=np.float64) for v in (days_since_last, mean_gap_days, sessions))
    gap = np.where(np.isnan(gap), silence, gap)
    return np.column_stack(
        [
            SILENCE_WEIGHT * np.clip(silence / horizon_days, 0.0, 1.0),
            GAP_WEIGHT * np.clip(gap / GAP_SCALE_DAYS, 0.0, 1.0),
            SESSIONS_WEIGHT * np.clip(1.0 - np.nan_to_num(count) / SESSIONS_SCALE, 0.0, 1.0),
        ]
    )


def heuristic_silence(
    days_since_last: ArrayLike, mean_gap_days: ArrayLike, *, sessions: ArrayLike, horizon_days: float
) -> Floats:
    """(n,) churn risk of the contract; NaN only for students who never started (``days_since_last`` NaN)."""
    return np.asarray(
        heuristic_parts(days_since_last, mean_gap_days, sessions=sessions, horizon_days=horizon_days).sum(axis=1)
    )
