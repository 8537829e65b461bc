"""Input, settings and result of a forecast."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.verification.expectations import ForecastScore

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class WeeklySeries:
    """(T,) consecutive Mondays, values (NaN where a week has none) and evidence (0 there)."""

    metric: str
    weeks: Days
    values: Floats
    evidence: Floats

    @property
    def n_known(self) -> int:
        """Weeks with a value."""
        return int(np.isfinite(self.values).sum())


def weekly_series(
    metric: str, week_starts: ArrayLike, *, values: ArrayLike, evidence: ArrayLike | None = None
) -> WeeklySeries:
    """Put observations on consecutive weeks; absent weeks become gaps.

    Raises:
        ValueError: for a repeated week, or one that is not a whole number of weeks after the first.
    """
    weeks = np.asarray(week_starts, dtype="datetime64[D]")
    y = np.asarray([np.nan if v is None else v for v in np.asarray(values, dtype=object)], dtype=np.float64)
    w = np.ones(len(y)) if evidence is None else np.asarray(evidence, dtype=np.float64)
    if not len(weeks) == len(y) == len(w):
        raise ValueError(f"{metric}: {len(weeks)} weeks, {len(y)} values and {len(w)} evidence counts must match")
    if len(weeks) == 0:
        return WeeklySeries(metric, weeks, values=y, evidence=w)
    position, rest = np.divmod((weeks - weeks.min()).astype(np.int64), 7)
    if rest.any() or len(np.unique(position)) < len(position):
        raise ValueError(f"{metric}: week starts must be different and whole weeks apart")
    n = int(position.max()) + 1
    known = np.isfinite(y) & np.isfinite(w) & (w > 0)
    full_values, full_evidence = np.full(n, np.nan), np.zeros(n)
    full_values[position[known]], full_evidence[position[known]] = y[known], w[known]
    return WeeklySeries(metric, weeks.min() + 7 * np.arange(n), values=full_values, evidence=full_evidence)


@dataclass(frozen=True)
class ForecastSettings:
    """How series are forecast.

    Prophet needs ``min_points`` weeks with a value. Below ``trend_points`` its trend is flat, because a line through few
    weeks predicts worse than their mean. ``scored_weeks`` None scores every week with enough weeks before it; a number
    scores only that many last weeks and saves one fit for each other week. ``holidays`` are (name, day); all days of one
    name share one effect on their week.
    """

    horizon_weeks: int = 4
    anomaly_threshold: float = 2.5
    interval_level: float = 0.8
    min_points: int = 4
    trend_points: int = 8
    yearly_points: int = 104
    changepoint_prior_scale: float = 0.05
    scored_weeks: int | None = None
    holidays: tuple[tuple[str, np.datetime64], ...] = ()


@dataclass(frozen=True)
class Changepoint:
    """A bend of the trend: the change of slope per week, in the metric's unit."""

    week: np.datetime64
    slope_change_per_week: float


@dataclass(frozen=True)
class SeriesForecast:
    """Everything that ``prophet_fit_meta`` and ``prophet_anomalies`` store about one series.

    ``expected`` (T,) is the forecast of each week by the weeks before it, ``expected_baseline`` that of the local level;
    ``anomaly_score`` (T,) is the signed z. ``forecast*`` (H,) are the weeks ahead with limits at ``interval_level``.
    ``method`` is ``prophet``, ``local_level`` or ``none``; ``reason`` says why it is not Prophet. ``score`` compares the
    one-step forecasts with the baseline; ``warnings`` are whole sentences.
    """

    metric: str
    method: str
    reason: str
    weeks: Days
    values: Floats
    evidence: Floats
    expected: Floats
    expected_baseline: Floats
    anomaly_score: Floats
    is_anomaly: NDArray[np.bool_]
    changepoints: tuple[Changepoint, ...]
    forecast_weeks: Days
    forecast: Floats
    forecast_lower: Floats
    forecast_upper: Floats
    interval_level: float
    trend: str
    score: ForecastScore | None
    beats_baseline: bool | None
    warnings: tuple[str, ...] = field(default=())
