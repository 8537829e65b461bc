"""The scale on which a bounded quantity is forecast, so that no forecast or limit leaves its bounds.

    φ = arcsin √((y - low) / (high - low)),   0 <= φ <= π/2

The standard deviation of a share of n answers is 1 / (2 √n) on this scale for any share (Fisher 1922), and 0 and 1
are ordinary points, which they are not for the logit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.forecasts.series import Bounds, WeeklySeries

Floats = NDArray[np.float64]

RIGHT_ANGLE = np.pi / 2
SMALLEST_SLOPE = 0.02
"""Near a bound the scale is steep; an error of measurement is widened by at most the reciprocal of this."""


def unbounded(series: WeeklySeries) -> WeeklySeries:
    """The series as angles; itself where it has no bounds."""
    if series.bounds is None:
        return series
    low, high = series.bounds
    angle = np.arcsin(np.sqrt((series.values - low) / (high - low)))
    slope = np.maximum(np.sin(2.0 * angle), SMALLEST_SLOPE) * (high - low)
    return replace(series, values=angle, standard_errors=series.standard_errors / slope, bounds=None)


def bounded(angle: Floats, bounds: Bounds | None) -> Floats:
    """Values of the quantity at these angles, within its bounds."""
    if bounds is None:
        return angle
    low, high = bounds
    return np.asarray(low + (high - low) * np.sin(np.clip(angle, 0.0, RIGHT_ANGLE)) ** 2)


def slope_at(angle: float, bounds: Bounds | None) -> float:
    """Change of the quantity for a small change of the angle."""
    return 1.0 if bounds is None else float((bounds[1] - bounds[0]) * np.sin(2.0 * np.clip(angle, 0.0, RIGHT_ANGLE)))
