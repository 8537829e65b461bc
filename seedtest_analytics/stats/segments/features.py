"""Features of students on one robust scale, z = (f(x) - median) / (IQR / 1.349).

A few students who do everything ten times as often do not determine the scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CONTRACT_FEATURES = (
    "engagement",
    "improvement",
    "efficiency",
    "recovery",
    "sessions",
    "gap",
    "avg_rt",
    "avg_hints",
    "total_attempts",
)
LOG_FEATURES = frozenset({"sessions", "gap", "avg_rt", "avg_hints", "total_attempts"})
"""Counts and times have long right tails, so they are scaled as log(1 + x)."""
CLIP = 4.0
"""Scaled values are clipped here, so that one student with 500 sessions is not a segment."""
NORMAL_IQR = 1.3489795


@dataclass(frozen=True)
class FeatureScale:
    """``(f(x) - centre) / spread`` by feature; NaN becomes the centre. ``dropped`` has the reason by feature.

    ``centre`` and ``spread`` (q,) are the median and the normalised interquartile range of ``f(x)``, or its standard
    deviation where the middle half is equal.
    """

    names: tuple[str, ...]
    centre: Floats
    spread: Floats
    dropped: Mapping[str, str]

    def transform(self, features: Mapping[str, ArrayLike]) -> Floats:
        """(n, q) scaled features, within +-4.

        Raises:
            KeyError: names the missing features.
        """
        absent = [name for name in self.names if name not in features]
        if absent:
            raise KeyError(f"features {absent} are needed and were not given")
        columns = [_shaped(name, features[name]) for name in self.names]
        scaled = (np.column_stack(columns) - self.centre) / self.spread
        return np.clip(np.nan_to_num(scaled, nan=0.0), -CLIP, CLIP)

    def scale_centres(self, centres: Mapping[str, ArrayLike]) -> Floats:
        """(k, q) scaled centres from raw ones; a feature that a past run did not have gets the centre."""
        given = [np.asarray(v, dtype=np.float64) for v in centres.values()]
        n = len(given[0]) if given else 0
        return self.transform({name: centres.get(name, np.full(n, np.nan)) for name in self.names})


def _shaped(name: str, values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    return np.asarray(np.log1p(np.maximum(x, 0.0))) if name in LOG_FEATURES else x


def plan_scale(features: Mapping[str, ArrayLike]) -> FeatureScale:
    """Scale of (n,) columns; columns without values or without spread are left out with the reason."""
    names, centres, spreads, dropped = [], [], [], {}
    for name, values in features.items():
        x = _shaped(name, values)
        known = x[np.isfinite(x)]
        if len(known) == 0:
            dropped[name] = "no value for any student"
            continue
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
        spread = (high - low) / NORMAL_IQR or float(known.std())
        if spread <= 1e-9 * max(1.0, abs(float(middle))):
            dropped[name] = "the same value for every student"
            continue
        names.append(name)
        centres.append(float(middle))
        spreads.append(float(spread))
    return FeatureScale(tuple(names), np.array(centres), spread=np.array(spreads), dropped=dropped)
