"""Adjustment of p-values for many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import numbers

Floats = NDArray[np.float64]


def adjust(p: ArrayLike) -> Floats:
    """p-values of any shape, adjusted together to the false discovery rate (Benjamini & Hochberg 1995).

    The adjusted value of the k-th smallest of m is min over j ≥ k of p₍ⱼ₎ m / j. NaN stays NaN and is not counted in m.

    Raises:
        ValueError: for a p-value outside 0..1.
    """
    from scipy.stats import false_discovery_control

    p = numbers(p, "p-value", ndim=None, low=0.0, high=1.0, is_missing_allowed=True)
    adjusted = np.full(p.shape, np.nan)
    is_test = np.isfinite(p)
    if is_test.any():
        adjusted[is_test] = false_discovery_control(p[is_test])
    return adjusted
