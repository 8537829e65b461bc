"""Features of students on one scale, robust against the few who do everything ten times as often."""

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
"""Counts and times, whose distributions have long right tails, are scaled as log(1 + x)."""
CLIP = 4.0
"""Scaled values beyond this count as this: one student with 500 sessions shall not be a segment."""
NORMAL_IQR = 1.3489795


@dataclass(frozen=True)
class FeatureScale:
    """``(f(x) - centre) / spread`` by feature; NaN becomes the centre. ``dropped`` feature -> reason.

    ``centre`` and ``spread`` (q,) are median and normalised interquartile range (standard deviation where the
    middle half is alike) of ``f(x)``, which is log(1 + x) for counts and times.
    """

    names: tuple[str, ...]
    centre: Floats
    spread: Floats
    dropped: Mapping[str, str]

    def transform(self, features: Mapping[str, ArrayLike]) -> Floats:
        """(n, q) scaled features, within +-4.

        Raises:
            KeyError: naming the features that are missing.
        """
        absent = [name for name in self.names if name not in features]
        if absent:
            raise KeyError(f"features {absent} are needed and were not given")
        columns = [_shaped(name, features[name]) for name in self.names]
        scaled = (np.column_stack(columns) - self.centre) / self.spread
        return np.clip(np.nan_to_num(scaled, nan=0.0), -CLIP, CLIP)

    def scale_centres(self, centres: Mapping[str, ArrayLike]) -> Floats:
        """(k, q) scaled centres from raw ones; a feature that a past run did not have stands at its
        centre.
        """
        given = [np.asarray(v, dtype=np.float64) for v in centres.values()]
        n = len(given[0]) if given else 0
        return self.transform({name: centres.get(name, np.full(n, np.nan)) for name in self.names})


def _shaped(name: str, values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    return np.asarray(np.log1p(np.maximum(x, 0.0))) if name in LOG_FEATURES else x


def plan_scale(features: Mapping[str, ArrayLike]) -> FeatureScale:
    """Scale of (n,) columns; those without a value or without spread are left out with the reason."""
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
