"""Subsets of rows that keep all rows of a student together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
_MULTIPLIER = 2_654_435_761
"""Knuth's multiplicative hash spreads neighbouring codes and selects the same students in every run."""


def parts_of(codes: Codes, n_parts: int) -> NDArray[np.int64]:
    """(n,) part (0 to ``n_parts`` - 1) of each row, the same for all rows of a code."""
    return (codes.astype(np.int64) * _MULTIPLIER >> 7) % n_parts


def whole_students(codes: Codes, max_rows: int) -> NDArray[np.intp]:
    """Rows of students who have about ``max_rows`` rows together; all rows where there are no more."""
    if len(codes) <= max_rows:
        return np.arange(len(codes))
    return np.flatnonzero(parts_of(codes, len(codes) // max_rows + 1) == 0)
