"""Adjusted p-values for many tests at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Adjustment = Literal["holm", "benjamini-hochberg"]


def adjust(p: Floats, method: Adjustment = "benjamini-hochberg") -> Floats:
    """(n,) adjusted p-values: family-wise (Holm 1979) or false discovery rate (Benjamini & Hochberg 1995).

    NaN stays NaN and does not count as a test.
    """
    adjusted = np.full(len(p), np.nan)
    given = np.flatnonzero(np.isfinite(p))
    n = len(given)
    order = given[np.argsort(p[given], kind="stable")]
    rank = np.arange(1, n + 1)
    if method == "holm":
        adjusted[order] = np.maximum.accumulate(p[order] * (n - rank + 1))
    else:
        adjusted[order] = np.minimum.accumulate((p[order] * n / rank)[::-1])[::-1]
    return np.asarray(np.minimum(adjusted, 1.0))
