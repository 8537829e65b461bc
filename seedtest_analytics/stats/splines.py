"""Restricted cubic splines, a smooth curve with few coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def spline_basis(x: Floats, knots: Floats) -> Floats:
    """(n, max(len(knots) - 1, 1)) columns 1, x and one for each inner knot; linear beyond the outer knots.

    Harrell, "Regression Modeling Strategies" (2015), section 2.4.5. `x` (n,), `knots` ascend.
    """
    columns = [np.ones_like(x)] if len(knots) < 2 else [np.ones_like(x), x]
    if len(knots) >= 3:
        last, before = knots[-1], knots[-2]
        scale = (last - knots[0]) ** 2
        cube_last, cube_before = np.maximum(x - last, 0) ** 3, np.maximum(x - before, 0) ** 3
        for knot in knots[:-2]:
            term = np.maximum(x - knot, 0) ** 3
            term = term - cube_before * (last - knot) / (last - before) + cube_last * (before - knot) / (last - before)
            columns.append(term / scale)
    return np.column_stack(columns)
