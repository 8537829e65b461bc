"""Scores of expected values and their intervals: forecasts of KPIs and series.

skill = 1 - MAE / MAE of the baseline
interval score = (u - l) + (2 / α) (l - y)₊ + (2 / α) (y - u)₊     (Winkler 1972), lower is better
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import number, numbers
from seedtest_analytics.stats.verification.probabilities import wilson_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ForecastScore:
    """Scores weighted by evidence.

    ``coverage`` is the share of observations inside the interval, with Wilson's 95 % limits at the effective number of
    observations; ``bias`` is mean observed minus expected.
    """

    n: int
    mae: float
    mae_baseline: float
    rmse: float
    skill: float
    bias: float
    level: float
    coverage: float
    coverage_lower: float
    coverage_upper: float
    mean_width: float
    interval_score: float
    is_covered_as_stated: bool


def score_forecasts(
    expected: ArrayLike,
    observed: ArrayLike,
    *,
    lower: ArrayLike,
    upper: ArrayLike,
    baseline: ArrayLike,
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> ForecastScore:
    """Score (n,) forecasts beside the (n,) forecasts of a naive ``baseline``; rows with NaN are left out.

    Raises:
        ValueError: without a complete row, for columns of unequal length or infinite numbers, a negative weight, or a
            level outside (0, 1).
    """
    named = {"expected": expected, "observed": observed, "lower": lower, "upper": upper, "baseline": baseline}
    n = numbers(expected, "expected", is_missing_allowed=True).shape
    number(level, "level")
    columns = [numbers(c, name, like=n, is_missing_allowed=True) for name, c in named.items()]
    w = np.ones(n) if weights is None else numbers(weights, "weight", like=n, low=0.0, is_missing_allowed=True)
    whole = np.isfinite(np.column_stack([*columns, w])).all(axis=1) & (w > 0)
    if not whole.any() or not 0 < level < 1:
        raise ValueError(f"no complete row to score among {len(w)}, or a level ({level}) outside 0..1")
    e, y, low, high, naive = (c[whole] for c in columns)
    w = w[whole] / w[whole].sum()
    error, alpha = y - e, 1.0 - level
    mae, mae_baseline = float(w @ np.abs(error)), float(w @ np.abs(y - naive))
    inside = (y >= low) & (y <= high)
    coverage = float(w @ inside)
    limits = wilson_interval(coverage, 1.0 / float(w @ w))
    miss = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return ForecastScore(
        n=len(y),
        mae=mae,
        mae_baseline=mae_baseline,
        rmse=float(np.sqrt(w @ error**2)),
        skill=1.0 - mae / mae_baseline if mae_baseline > 0 else float("nan"),
        bias=float(w @ error),
        level=level,
        coverage=coverage,
        coverage_lower=float(limits[0]),
        coverage_upper=float(limits[1]),
        mean_width=float(w @ (high - low)),
        interval_score=float(w @ (high - low + 2.0 / alpha * miss)),
        is_covered_as_stated=bool(limits[0] <= level <= limits[1]),
    )
