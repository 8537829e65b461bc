"""Forecasts of weekly series: Prophet where it can be fitted, else the local level, which is also the baseline."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.forecasts.bounded import bounded, slope_at, unbounded
from seedtest_analytics.stats.forecasts.local_level import LocalLevel, one_step, walk_local_level
from seedtest_analytics.stats.forecasts.prophet_model import ProphetFit, fit_prophet, holiday_weeks
from seedtest_analytics.stats.forecasts.scores import (
    MIN_ERRORS,
    NO_CHANGE,
    counted_errors,
    error_scale,
    lone_outliers,
    score_of,
)
from seedtest_analytics.stats.forecasts.series import Changepoint, ForecastSettings, SeriesForecast, WeeklySeries
from seedtest_analytics.stats.verification.expectations import ForecastScore, score_forecasts
from seedtest_analytics.stats.verification.verdict import judge_coverage

Floats = NDArray[np.float64]

SERIES_PER_PROCESS = 8
"""Fewer take less time than the start of a process, which imports Prophet."""
MIN_WEEKS_TO_JUDGE = 4
"""Prophet is replaced by the local level only if this many weeks compare their errors."""


@dataclass(frozen=True)
class _Walk:
    """One-step forecasts of (T,) weeks by both methods, from the weeks before without lone outliers.

    ``prophet`` is NaN where it is not asked. ``expected`` is the forecast of the method that was better until then, and
    ``scales`` is the standard deviation of its error with ``freedom`` degrees of freedom. Index T is the week ahead,
    with the evidence of the last known week; ``level`` is the local level's model for it. ``kept`` (T,) are the values
    without lone outliers; Prophet keeps those in weeks with a holiday, which explains them.
    """

    local: Floats
    prophet: Floats
    expected: Floats
    scales: Floats
    freedom: NDArray[np.int64]
    scores: Floats
    kept: Floats
    kept_for_prophet: Floats
    level: LocalLevel


@dataclass(frozen=True)
class _Ahead:
    """(H,) ``expected`` weeks ahead, the ``variance`` that the change of level or trend adds, and the trend."""

    expected: Floats
    variance: Floats
    trend: str
    changepoints: tuple[Changepoint, ...] = ()


def forecast_series(series: WeeklySeries, settings: ForecastSettings | None = None) -> SeriesForecast:
    """Forecast one series and score every week against the forecast made from the weeks before it.

    A bounded quantity is forecast on the scale of ``bounded``. A lone outlier does not enter later fits. Prophet is
    published unless its one-step errors are larger than the local level's and no holiday is ahead. A thin series gets an
    answer too: with fewer than ``min_points`` values (or a failing optimiser) the local level, without any value the
    ``method`` "none", each with its ``reason``. The input must not contain an incomplete week.
    """
    chosen = settings or ForecastSettings()
    if series.n_known == 0:
        return _nothing(series, chosen)
    free = unbounded(series)
    if series.n_known < chosen.min_points:
        reason = f"{series.n_known} weeks have a value, Prophet needs {chosen.min_points}"
        return _by_local_level(series, chosen, walk=_walk(free, chosen, has_prophet=False), reason=reason)
    try:
        walk = _walk(free, chosen, has_prophet=True)
        reason = _why_not_prophet(walk.prophet[:-1], walk.local[:-1], values=free.values)
        ahead = _weeks_ahead(series, chosen)
        if reason and not np.isin(ahead, holiday_weeks(chosen, series.weeks[0])).any():
            return _by_local_level(series, chosen, walk=walk, reason=reason)
        reason = reason and f"{reason}; Prophet is kept because only it knows the holiday ahead"
        final = _fit(replace(free, values=walk.kept_for_prophet), chosen, level=walk.level, ask=ahead)
    except RuntimeError as error:
        reason = f"Prophet could not be fitted: {error}"
        return _by_local_level(series, chosen, walk=_walk(free, chosen, has_prophet=False), reason=reason)
    slope = slope_at(float(np.nanmean(free.values)), series.bounds)
    bends = tuple(Changepoint(bend.week, bend.slope_change_per_week * slope) for bend in final.changepoints)
    found = _Ahead(final.expected, final.trend_variance, trend=final.trend, changepoints=bends)
    return _result(series, chosen, method="prophet", reason=reason, walk=walk, ahead=found)


def forecast_many(
    series: Sequence[WeeklySeries],
    settings: ForecastSettings | None = None,
    *,
    processes: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> list[SeriesForecast]:
    """Forecast series in at most ``processes`` parallel processes; order and results do not depend on their number.

    ``on_done`` is called with the number finished so far.

    Raises:
        ValueError: for ``processes`` that is not a whole number from 1.
    """
    count(processes, "processes", low=1)
    task = partial(forecast_series, settings=settings)
    processes = min(processes, len(series) // SERIES_PER_PROCESS)
    if processes <= 1:
        return _counted(map(task, series), on_done)
    # spawn: a forked child would inherit the locks and database connections of a Dagster step
    context = multiprocessing.get_context("spawn")
    size = max(1, min(16, len(series) // (4 * processes)))
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return _counted(pool.map(task, series, chunksize=size), on_done)


def _counted(forecasts: Iterable[SeriesForecast], on_done: Callable[[int], None] | None) -> list[SeriesForecast]:
    results = []
    for forecast in forecasts:
        results.append(forecast)
        if on_done:
            on_done(len(results))
    return results


def _walk(series: WeeklySeries, settings: ForecastSettings, *, has_prophet: bool) -> _Walk:
    """Forecast and score the weeks in their order, so that later weeks change nothing of an earlier one."""
    n, values = len(series.values), series.values
    known = np.isfinite(values)
    last = int(np.flatnonzero(known)[-1])
    from_week = 0 if settings.scored_weeks is None else n - settings.scored_weeks
    asked = (np.cumsum(known) - known >= settings.min_points) & known & (np.arange(n) >= from_week) & has_prophet
    evidence = np.append(np.where(known, series.evidence, np.nan), series.evidence[last])
    floors = _floors(series.standard_errors)
    local, prophet, expected, scales, scores = (np.full(n + 1, np.nan) for _ in range(5))
    freedom, kept, kept_for_prophet = np.zeros(n + 1, dtype=np.int64), values, values
    has_holiday = np.isin(series.weeks, holiday_weeks(settings, series.weeks[0]))
    for t in range(n + 1):
        outlier = lone_outliers(scores[:t])
        kept = np.where(outlier, np.nan, values[:t])
        kept_for_prophet = np.where(outlier & ~has_holiday[:t], np.nan, values[:t])
        walk = walk_local_level(np.append(kept, np.nan), np.append(series.evidence[:t], np.nan_to_num(evidence[t])))
        local[t], relative_sd, level = walk.expected[t], walk.relative_sd[t], walk.models[t]
        expected[t] = local[t]
        if t < n and asked[t]:
            prophet[t] = _fit(
                replace(series, values=kept_for_prophet), settings, level=level, ask=series.weeks[t : t + 1]
            ).expected[0]
            if not _why_not_prophet(prophet[:t], local[:t], values=values[:t]):
                expected[t], relative_sd = prophet[t], np.sqrt(level.relative_variance(evidence[: t + 1]))
        errors = values[:t] - expected[:t]
        scale, freedom[t] = error_scale(
            counted_errors(errors, scores[:t], scales=scales[:t]),
            relative_sd[:t],
            floor=floors[t] / relative_sd[t],
            no_change=NO_CHANGE * float(np.nanmax(np.abs(values[:t]), initial=0.0)),
        )
        scales[t] = scale * relative_sd[t]
        if t < n:
            scores[t] = score_of(values[t] - expected[t], scales[t], freedom=int(freedom[t]))
    return _Walk(
        local,
        prophet,
        expected=expected,
        scales=scales,
        freedom=freedom,
        scores=scores,
        kept=kept,
        kept_for_prophet=kept_for_prophet,
        level=level,
    )


def _floors(standard_errors: Floats) -> Floats:
    """(T + 1,) least standard deviation of each week's error; the week ahead has that of the last known week."""
    known = standard_errors[np.isfinite(standard_errors)]
    return np.append(standard_errors, known[-1] if len(known) else np.nan)


def _why_not_prophet(prophet: Floats, local: Floats, *, values: Floats) -> str:
    """Why the local level forecasts better, by their errors one week ahead; empty where it does not, or is not known."""
    both = np.isfinite(prophet) & np.isfinite(local) & np.isfinite(values)
    n = int(both.sum())
    if n < MIN_WEEKS_TO_JUDGE:
        return ""
    error, naive = (float(np.abs(values - expected)[both].mean()) for expected in (prophet, local))
    if error <= naive:
        return ""
    return f"Prophet's mean error {error:.4g} is larger than the local level's {naive:.4g} on {n} weeks"


def _fit(
    series: WeeklySeries, settings: ForecastSettings, *, level: LocalLevel, ask: NDArray[np.datetime64]
) -> ProphetFit:
    """Prophet on the known weeks; the local level of the series decides how much evidence counts."""
    known = np.flatnonzero(np.isfinite(series.values))
    weights = 1.0 / level.relative_variance(series.evidence[known])
    return fit_prophet(series.weeks[known], series.values[known], weights=weights, ask=ask, settings=settings)


def _weeks_ahead(series: WeeklySeries, settings: ForecastSettings) -> NDArray[np.datetime64]:
    return np.asarray(series.weeks[-1] + 7 * np.arange(1, settings.horizon_weeks + 1))


def _by_local_level(series: WeeklySeries, settings: ForecastSettings, *, walk: _Walk, reason: str) -> SeriesForecast:
    steps = one_step(walk.kept[None, :], series.evidence[None, :], model=walk.level)
    level = np.full(settings.horizon_weeks, steps.level[0])
    drift = steps.level_variance[0] + walk.level.signal_ratio * np.arange(settings.horizon_weeks)
    ahead = _Ahead(level, drift * np.nan_to_num(walk.level.noise_sd) ** 2, trend="level")
    return _result(series, settings, method="local_level", reason=reason, walk=walk, ahead=ahead)


def _result(
    series: WeeklySeries, settings: ForecastSettings, *, method: str, reason: str, walk: _Walk, ahead: _Ahead
) -> SeriesForecast:
    n = len(series.values)
    half = np.full(len(ahead.expected), np.nan)
    if walk.freedom[n] >= MIN_ERRORS:
        half = _quantile(settings, walk.freedom[n]) * np.sqrt(walk.scales[n] ** 2 + ahead.variance)
    expected, baseline = (bounded(values[:n], series.bounds) for values in (walk.expected, walk.local))
    score = _score(series, settings, walk=walk, expected=expected, baseline=baseline)
    is_judged = int(np.isfinite(walk.prophet).sum()) >= MIN_WEEKS_TO_JUDGE
    return SeriesForecast(
        metric=series.metric,
        method=method,
        reason=reason,
        weeks=series.weeks,
        values=series.values,
        evidence=series.evidence,
        expected=expected,
        expected_baseline=baseline,
        anomaly_score=walk.scores[:n],
        is_anomaly=np.abs(np.nan_to_num(walk.scores[:n])) >= settings.anomaly_threshold,
        changepoints=ahead.changepoints,
        forecast_weeks=_weeks_ahead(series, settings),
        forecast=bounded(ahead.expected, series.bounds),
        forecast_lower=bounded(ahead.expected - half, series.bounds),
        forecast_upper=bounded(ahead.expected + half, series.bounds),
        interval_level=settings.interval_level,
        trend=ahead.trend,
        score=score,
        beats_baseline=not reason if is_judged else None,
        warnings=() if score is None or score.n < MIN_WEEKS_TO_JUDGE else judge_coverage(score).reasons,
    )


def _quantile(settings: ForecastSettings, freedom: NDArray[np.int64] | np.int64) -> Floats:
    return np.asarray(stats.t.ppf(0.5 + settings.interval_level / 2, freedom))


def _score(
    series: WeeklySeries, settings: ForecastSettings, *, walk: _Walk, expected: Floats, baseline: Floats
) -> ForecastScore | None:
    """Score the published one-step forecasts beside the local level, with the limits of the time.

    Weeks without a forecast by Prophet are left out, because nothing is compared there.
    """
    n = len(series.values)
    known = np.isfinite(walk.prophet[:n]) & (walk.freedom[:n] >= MIN_ERRORS)
    half = np.where(known, _quantile(settings, np.maximum(walk.freedom[:n], 1)) * walk.scales[:n], np.nan)
    if not np.isfinite(half).any():
        return None
    return score_forecasts(
        expected,
        series.values,
        lower=bounded(walk.expected[:n] - half, series.bounds),
        upper=bounded(walk.expected[:n] + half, series.bounds),
        baseline=baseline,
        level=settings.interval_level,
        weights=1.0 / walk.level.relative_variance(np.where(series.evidence > 0, series.evidence, np.nan)),
    )


def _nothing(series: WeeklySeries, settings: ForecastSettings) -> SeriesForecast:
    n = len(series.values)
    ahead = np.full(settings.horizon_weeks if n else 0, np.nan)
    weeks = _weeks_ahead(series, settings) if n else series.weeks
    empty = np.full(n, np.nan)
    return SeriesForecast(
        metric=series.metric,
        method="none",
        reason="no week has a value",
        weeks=series.weeks,
        values=series.values,
        evidence=series.evidence,
        expected=empty,
        expected_baseline=empty,
        anomaly_score=empty,
        is_anomaly=np.zeros(n, dtype=bool),
        changepoints=(),
        forecast_weeks=weeks,
        forecast=ahead,
        forecast_lower=ahead,
        forecast_upper=ahead,
        interval_level=settings.interval_level,
        trend="none",
        score=None,
        beats_baseline=None,
    )
