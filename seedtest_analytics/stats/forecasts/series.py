"""Input, settings and result of a forecast."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import LARGEST, count, number, numbers, refuse
from seedtest_analytics.stats.verification.expectations import ForecastScore

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]
Bounds = tuple[float, float]

SHARES = frozenset({"A_t", "R_t", "P", "S"})
"""KPIs that are shares or probabilities."""
ROUNDING = 1e-9
MAX_WEEKS = 5_200
"""A hundred years: a wrong date, not a series."""


@dataclass(frozen=True)
class WeeklySeries:
    """(T,) consecutive Mondays, values (NaN where a week has none) and evidence (0 there).

    ``standard_errors`` (T,) are those of measurement, NaN where not known. ``bounds`` are the least and the largest value
    that the quantity can have, None for an unbounded one.
    """

    metric: str
    weeks: Days
    values: Floats
    evidence: Floats
    standard_errors: Floats
    bounds: Bounds | None = None

    @property
    def n_known(self) -> int:
        """Weeks with a value."""
        return int(np.isfinite(self.values).sum())


def _bounds_of(metric: str) -> Bounds | None:
    """The least and the largest value of a metric: shares and probabilities lie in 0..1."""
    return (0.0, 1.0) if metric in SHARES or metric.startswith("topic:") else None


def weekly_series(
    metric: str,
    week_starts: ArrayLike,
    *,
    values: ArrayLike,
    evidence: ArrayLike | None = None,
    standard_errors: ArrayLike | None = None,
    bounds: Bounds | None = None,
) -> WeeklySeries:
    """Put observations on consecutive weeks; absent weeks become gaps.

    Args:
        metric: name of the series. It decides about the bounds of KPIs and topics.
        week_starts: (n,) different days, whole weeks apart.
        values: (n,) numbers; None, NaN and infinity mean that the week has no value.
        evidence: (n,) numbers from 0; a week with 0, or with a missing number, has no value.
        standard_errors: (n,) errors of measurement; a missing one, and 0, mean that it is not known.
        bounds: least and largest possible value of another metric.

    Raises:
        ValueError: for columns of unequal length, a repeated week, one that is not a whole number of weeks after the
            first, a value beyond the bounds, or negative evidence or errors.
    """
    try:
        weeks = np.asarray(week_starts, dtype="datetime64[D]")
    except (TypeError, ValueError):
        raise ValueError(f"{metric}: week starts must be days") from None
    if weeks.ndim != 1:
        raise ValueError(f"{metric}: week starts must be a list of days")
    y = _with_gaps(values, f"{metric}: value")
    w = np.ones(len(y)) if evidence is None else _with_gaps(evidence, f"{metric}: evidence")
    error = np.full(len(y), np.nan) if standard_errors is None else _with_gaps(standard_errors, f"{metric}: error")
    if not weeks.shape == y.shape == w.shape == error.shape:
        raise ValueError(f"{metric}: {len(weeks)} weeks, {len(y)} values and {len(w)} evidence counts must match")
    refuse(np.isnat(weeks), f"no week in {metric}", need="give each value its Monday")
    refuse((w < 0) | (error < 0), f"negative evidence or error in {metric}", need="give numbers from 0")
    limits = _bounds_of(metric) if bounds is None else bounds
    if limits is not None:
        low, high = numbers(limits, "bounds", like=(2,)).tolist()
        if not low < high:
            raise ValueError(f"{metric}: the bounds {low:g} and {high:g} leave no room")
        refuse(
            (y < low - ROUNDING) | (y > high + ROUNDING), f"a value of {metric} beyond {low:g}..{high:g}", need="check"
        )
        y, limits = np.clip(y, low, high), (low, high)
    if len(weeks) == 0:
        return WeeklySeries(metric, weeks, values=y, evidence=w, standard_errors=error, bounds=limits)
    position, rest = np.divmod((weeks - weeks.min()).astype(np.int64), 7)
    if rest.any() or len(np.unique(position)) < len(position):
        raise ValueError(f"{metric}: week starts must be different and whole weeks apart")
    n = int(position.max()) + 1
    if n > MAX_WEEKS:
        raise ValueError(f"{metric}: {n} weeks from first to last are more than {MAX_WEEKS}; check the dates")
    known = np.isfinite(y) & np.isfinite(w) & (w > 0)
    full_values, full_evidence, full_errors = np.full(n, np.nan), np.zeros(n), np.full(n, np.nan)
    full_values[position[known]], full_evidence[position[known]] = y[known], w[known]
    full_errors[position[known]] = np.where(error > 0, error, np.nan)[known]
    days = weeks.min() + 7 * np.arange(n)
    return WeeklySeries(
        metric, days, values=full_values, evidence=full_evidence, standard_errors=full_errors, bounds=limits
    )


def _with_gaps(values: ArrayLike, name: str) -> Floats:
    """Numbers with NaN for None and infinity."""
    try:
        given = np.asarray([np.nan if v is None else v for v in np.asarray(values, dtype=object).ravel()], np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers") from None
    if np.ndim(values) != 1:
        raise ValueError(f"{name} has {np.ndim(values)} dimensions, need 1")
    refuse(np.abs(np.where(np.isfinite(given), given, 0.0)) > LARGEST, f"a {name} beyond {LARGEST:g}", need="check it")
    return np.where(np.isfinite(given), given, np.nan)


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

    def __post_init__(self) -> None:
        for name in ("horizon_weeks", "min_points", "trend_points", "yearly_points"):
            count(getattr(self, name), name, low=1)
        count(self.scored_weeks or 0, "scored_weeks")
        for name in ("anomaly_threshold", "changepoint_prior_scale"):
            if number(getattr(self, name), name, low=0.0) == 0:
                raise ValueError(f"{name} must be above 0")
        if not 0 < number(self.interval_level, "interval_level") < 1:
            raise ValueError(f"interval_level {self.interval_level} must lie between 0 and 1")
        if any(np.isnat(np.datetime64(day)) for _, day in self.holidays):
            raise ValueError("a holiday has no day")


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
