"""Forecasts of weekly series: Prophet where it can be fitted, else the local level, which is also the baseline."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.forecasts.local_level import LocalLevel, LocalWalk, one_step, walk_local_level
from seedtest_analytics.stats.forecasts.prophet_model import ProphetFit, fit_prophet
from seedtest_analytics.stats.forecasts.scores import MIN_ERRORS, anomaly_scores, error_scale
from seedtest_analytics.stats.forecasts.series import Changepoint, ForecastSettings, SeriesForecast, WeeklySeries
from seedtest_analytics.stats.verification.expectations import ForecastScore, score_forecasts
from seedtest_analytics.stats.verification.verdict import judge_forecasts

Floats = NDArray[np.float64]

SERIES_PER_PROCESS = 8
"""Fewer take less time than the start of a process, which imports Prophet."""
MIN_WEEKS_TO_JUDGE = 4


@dataclass(frozen=True)
class _Walk:
    """One-step forecasts of a method.

    ``expected`` (T,) and ``relative_sd`` (T, T) are as in ``LocalWalk``; ``is_own`` (T,) is False where the local level
    made the forecast for lack of weeks.
    """

    expected: Floats
    relative_sd: Floats
    is_own: NDArray[np.bool_]


@dataclass(frozen=True)
class _Ahead:
    """(H,) ``expected`` weeks ahead, the ``variance`` that the change of level or trend adds, and the trend."""

    expected: Floats
    variance: Floats
    trend: str
    changepoints: tuple[Changepoint, ...] = ()


def forecast_series(series: WeeklySeries, settings: ForecastSettings | None = None) -> SeriesForecast:
    """Forecast one series and score every week against the forecast made from the weeks before it.

    A thin series gets an answer too: with fewer than ``min_points`` values (or a failing optimiser) the local level,
    without any value the ``method`` "none", each with its ``reason``. The input must not contain an incomplete week.
    """
    chosen = settings or ForecastSettings()
    if series.n_known == 0:
        return _nothing(series, chosen)
    local = walk_local_level(series.values, series.evidence)
    if series.n_known < chosen.min_points:
        reason = f"{series.n_known} weeks have a value, Prophet needs {chosen.min_points}"
        return _by_local_level(series, chosen, local=local, reason=reason)
    try:
        walk = _prophet_walk(series, chosen, local=local)
        final = _fit(series, chosen, level=local.models[-1], until=len(series.values), ask=_weeks_ahead(series, chosen))
    except RuntimeError as error:
        return _by_local_level(series, chosen, local=local, reason=f"Prophet could not be fitted: {error}")
    ahead = _Ahead(final.expected, final.trend_variance, trend=final.trend, changepoints=final.changepoints)
    return _result(series, chosen, method="prophet", reason="", walk=walk, local=local, ahead=ahead)


def forecast_many(
    series: Sequence[WeeklySeries],
    settings: ForecastSettings | None = None,
    *,
    processes: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> list[SeriesForecast]:
    """Forecast series in at most ``processes`` parallel processes; order and results do not depend on their number.

    ``on_done`` is called with the number finished so far.
    """
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


def _fit(
    series: WeeklySeries, settings: ForecastSettings, *, level: LocalLevel, until: int, ask: NDArray[np.datetime64]
) -> ProphetFit:
    """Prophet on the weeks before ``until``; the local level of the series decides how much evidence counts."""
    known = np.flatnonzero(np.isfinite(series.values[:until]))
    weights = 1.0 / level.relative_variance(series.evidence[known])
    return fit_prophet(series.weeks[known], series.values[known], weights=weights, ask=ask, settings=settings)


def _prophet_walk(series: WeeklySeries, settings: ForecastSettings, *, local: LocalWalk) -> _Walk:
    """Prophet one step ahead; weeks with too few weeks before them keep the local level's forecast."""
    n = len(series.values)
    known = np.isfinite(series.values)
    earlier = np.cumsum(known) - known
    from_week = 0 if settings.scored_weeks is None else n - settings.scored_weeks
    is_own = (earlier >= settings.min_points) & known & (np.arange(n) >= from_week)
    expected = local.expected.copy()
    for t in np.flatnonzero(is_own):
        fit = _fit(series, settings, level=local.models[t], until=int(t), ask=series.weeks[t : t + 1])
        expected[t] = fit.expected[0]
    evidence = np.where(known, series.evidence, np.nan)
    relative_sd = np.sqrt([model.relative_variance(evidence) for model in local.models[:-1]])
    return _Walk(expected, relative_sd, is_own=is_own)


def _weeks_ahead(series: WeeklySeries, settings: ForecastSettings) -> NDArray[np.datetime64]:
    return np.asarray(series.weeks[-1] + 7 * np.arange(1, settings.horizon_weeks + 1))


def _by_local_level(
    series: WeeklySeries, settings: ForecastSettings, *, local: LocalWalk, reason: str
) -> SeriesForecast:
    model = local.models[-1]
    steps = one_step(series.values[None, :], series.evidence[None, :], model=model)
    level = np.full(settings.horizon_weeks, steps.level[0])
    drift = steps.level_variance[0] + model.signal_ratio * np.arange(settings.horizon_weeks)
    ahead = _Ahead(level, drift * np.nan_to_num(model.noise_sd) ** 2, trend="level")
    walk = _Walk(local.expected, local.relative_sd, is_own=np.isfinite(local.expected))
    return _result(series, settings, method="local_level", reason=reason, walk=walk, local=local, ahead=ahead)


def _result(
    series: WeeklySeries,
    settings: ForecastSettings,
    *,
    method: str,
    reason: str,
    walk: _Walk,
    local: LocalWalk,
    ahead: _Ahead,
) -> SeriesForecast:
    errors = series.values - walk.expected
    scores = anomaly_scores(errors, walk.relative_sd)
    scale, count = error_scale(errors, scores, relative_sd=walk.relative_sd[-1])
    half = np.full(len(ahead.expected), np.nan)
    if count >= MIN_ERRORS:
        half = stats.t.ppf(0.5 + settings.interval_level / 2, count) * np.sqrt(scale**2 + ahead.variance)
    score = _score(series, settings, walk=walk, local=local, scores=scores) if method == "prophet" else None
    warnings = () if score is None or score.n < MIN_WEEKS_TO_JUDGE else judge_forecasts(score).reasons
    return SeriesForecast(
        metric=series.metric,
        method=method,
        reason=reason,
        weeks=series.weeks,
        values=series.values,
        evidence=series.evidence,
        expected=walk.expected,
        expected_baseline=local.expected,
        anomaly_score=scores,
        is_anomaly=np.abs(np.nan_to_num(scores)) >= settings.anomaly_threshold,
        changepoints=ahead.changepoints,
        forecast_weeks=_weeks_ahead(series, settings),
        forecast=ahead.expected,
        forecast_lower=ahead.expected - half,
        forecast_upper=ahead.expected + half,
        interval_level=settings.interval_level,
        trend=ahead.trend,
        score=score,
        beats_baseline=None if score is None else bool(score.skill > 0),
        warnings=warnings,
    )


def _score(
    series: WeeklySeries, settings: ForecastSettings, *, walk: _Walk, local: LocalWalk, scores: Floats
) -> ForecastScore | None:
    """Score Prophet's one-step forecasts, with the limits that the earlier errors gave at the time."""
    errors = series.values - walk.expected
    half = np.full(len(errors), np.nan)
    for t in np.flatnonzero(walk.is_own):
        scale, count = error_scale(errors[:t], scores[:t], relative_sd=walk.relative_sd[t, :t])
        if count >= MIN_ERRORS:
            quantile = stats.t.ppf(0.5 + settings.interval_level / 2, count)
            half[t] = quantile * scale * walk.relative_sd[t, t]
    if not np.isfinite(half).any():
        return None
    return score_forecasts(
        walk.expected,
        series.values,
        lower=walk.expected - half,
        upper=walk.expected + half,
        baseline=local.expected,
        level=settings.interval_level,
        weights=1.0 / local.models[-1].relative_variance(np.where(series.evidence > 0, series.evidence, np.nan)),
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
