"""Adjustment of p-values for many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def adjust(p: Floats) -> Floats:
    """p-values of any shape, adjusted together to the false discovery rate (Benjamini & Hochberg 1995).

    The adjusted value of the k-th smallest of m is min over j ≥ k of p₍ⱼ₎ m / j. NaN stays NaN and is not counted in m.
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full(p.shape, np.nan)
    is_test = np.isfinite(p)
    adjusted[is_test] = false_discovery_control(p[is_test])
    return adjusted
