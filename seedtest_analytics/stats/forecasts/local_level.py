"""The local level model with evidence weights, for one series or a million at once.

    y_t = m_t + e_t,  Var e_t = s² v_t          m_t = m_(t-1) + n_t,  Var n_t = s² q
    v_t = c + (1 - c) w / w_t                   w_t: evidence of week t, w: its reference

(Harvey 1989; Durbin & Koopman 2012, chapter 2). With ``c = 0`` a week with twice the answers has half the variance;
with ``c = 1`` all weeks count alike, because their noise is common to all students. The likelihood, pooled over the
series, chooses ``q``, ``c`` and the spread of the first levels from a grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import LARGEST

Floats = NDArray[np.float64]

SIGNAL_GRID = (0.0, 0.02, 0.1, 0.3, 1.0, 3.0)
COMMON_GRID = (0.0, 0.02, 0.1, 0.3, 1.0)
START_GRID = (0.25, 1.0, 4.0)
DIFFUSE = 1e6
MAX_ROWS_FOR_CHOICE = 20_000
CHI_SQUARE_MEDIAN = 0.4549364
NO_CHANGE = 0.01
"""Errors below this part of their root mean square do not count as a change."""
MIN_ERRORS_FOR_MEDIAN = 30


@dataclass(frozen=True)
class LocalLevel:
    """Chosen parameters: q, c, variance over s² (1e6 is diffuse) and mean of the first levels, s and w."""

    signal_ratio: float
    common_share: float
    start_ratio: float
    start_level: float
    noise_sd: float
    reference_evidence: float

    def relative_variance(self, evidence: Floats) -> Floats:
        """v of weeks with this evidence; infinite without evidence."""
        return _relative_variance(evidence, self.common_share, reference=self.reference_evidence)


@dataclass(frozen=True)
class OneStep:
    """(U, W) forecasts of each week by the weeks before it, and (U,) level and relative variance after the last week.

    ``expected`` is NaN before a series' first value where levels start diffuse; ``relative_sd`` is the standard
    deviation of the forecast error over s.
    """

    expected: Floats
    relative_sd: Floats
    level: Floats
    level_variance: Floats


@dataclass(frozen=True)
class LocalWalk:
    """One-step forecasts of one series, each from earlier weeks alone.

    ``expected`` (T,); ``relative_sd`` (T, T): row t has the relative standard deviations of weeks 0..t under the
    parameters chosen before week t; ``models`` (T + 1): those parameters, the last for the whole series.
    """

    expected: Floats
    relative_sd: Floats
    models: tuple[LocalLevel, ...]


def _relative_variance(evidence: Floats, common: Floats | float, *, reference: float) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(common + (1.0 - common) * (reference / evidence))


def checked_rows(values: ArrayLike, evidence: ArrayLike | None) -> tuple[Floats, Floats]:
    """(U, W) values and evidence, with NaN and 0 where a week lacks a value or evidence."""
    try:
        y = np.atleast_2d(np.asarray(values, dtype=np.float64))
        w = np.ones_like(y) if evidence is None else np.atleast_2d(np.asarray(evidence, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError("values and evidence must be numbers, with the same number of weeks in each row") from None
    if y.ndim != 2 or w.shape != y.shape:
        raise ValueError(f"values {y.shape} and evidence {w.shape} must have one entry for each series and week")
    if (np.abs(np.where(np.isfinite(y), y, 0.0)) > LARGEST).any() or (np.where(np.isfinite(w), w, 0.0) > LARGEST).any():
        raise ValueError(f"values and evidence beyond {LARGEST:g} cannot be squared; check their source")
    if (w < 0).any():
        raise ValueError(f"{int((w < 0).sum())} weeks have negative evidence")
    known = np.isfinite(y) & (w > 0) & np.isfinite(w)
    return np.where(known, y, np.nan), np.where(known, w, 0.0)


def _filter(
    values: Floats,
    noise: Floats,
    *,
    signal: Floats | float,
    start_ratio: float,
    start_level: float,
    largest_error: float = np.inf,
) -> OneStep:
    """Kalman filter over (U, W) rows with relative variances ``noise``; in missing weeks the level only drifts.

    An error larger than ``largest_error`` times its standard deviation moves the level only by as much as that.
    """
    n, weeks = values.shape
    level, variance = np.full(n, start_level), np.full(n, start_ratio)
    expected, spread = np.empty((n, weeks)), np.empty((n, weeks))
    is_diffuse = start_ratio >= DIFFUSE
    for t in range(weeks):
        started = variance < DIFFUSE / 2
        known = np.isfinite(values[:, t])
        observed = np.where(np.isfinite(noise[:, t]), noise[:, t], 1.0)
        expected[:, t] = np.where(started, level, np.nan) if is_diffuse else level
        spread[:, t] = np.sqrt(variance + observed)
        gain = np.where(known, variance / (variance + observed), 0.0)
        limit = np.where(started, largest_error * spread[:, t], np.inf)
        level = level + gain * np.clip(np.where(known, values[:, t] - level, 0.0), -limit, limit)
        variance = (1.0 - gain) * variance + np.where(started | known, signal, 0.0)
    return OneStep(expected, spread, level=level, level_variance=variance)


def one_step(values: Floats, evidence: Floats, *, model: LocalLevel, largest_error_sd: float = np.inf) -> OneStep:
    """Forecast (U, W) checked rows week by week with given parameters.

    ``largest_error_sd``: an error larger than this many of its standard deviations moves the level only by as much as that, so
    an outlier does not stay in the weeks after it, and a change of level is followed within some weeks.
    """
    y, w = checked_rows(values, evidence)
    return _filter(
        y,
        model.relative_variance(w),
        signal=model.signal_ratio,
        start_ratio=model.start_ratio,
        start_level=model.start_level,
        largest_error=largest_error_sd * (model.noise_sd if model.noise_sd > 0 else np.inf),
    )


def walk_local_level(values: Floats, evidence: Floats) -> LocalWalk:
    """Forecast (T,) weeks of one series; level, parameters and scale of each week come from earlier weeks alone.

    One pass filters all candidate parameters. A filter only looks back, so the likelihood of the first t weeks is a
    running sum.
    """
    n = len(values)
    known = np.flatnonzero(np.isfinite(values))
    reference = float(evidence[known[0]]) if len(known) else 1.0
    is_even = len(known) == 0 or bool(np.ptp(evidence[known]) <= 1e-9 * reference)
    grid = np.array(list(product(SIGNAL_GRID, (1.0,) if is_even else COMMON_GRID)))
    rows = np.broadcast_to(values, (len(grid), n))
    noise = _relative_variance(np.broadcast_to(evidence, rows.shape), grid[:, 1:2], reference=reference)
    steps = _filter(rows, noise, signal=grid[:, 0], start_ratio=DIFFUSE, start_level=0.0)
    standardised = (rows - steps.expected) / steps.relative_sd
    used = np.isfinite(standardised[0])
    squares = np.where(used, standardised**2, 0.0)
    count = np.concatenate([[0.0], np.cumsum(used)])
    total = np.column_stack([np.zeros(len(grid)), np.cumsum(squares, axis=1)])
    logs = np.column_stack([np.zeros(len(grid)), np.cumsum(np.where(used, np.log(steps.relative_sd), 0.0), axis=1)])
    variance = np.maximum(total / np.maximum(count, 1.0), 1e-300)
    best = np.argmax(-0.5 * count * np.log(variance) - logs, axis=0)
    sd = np.where(count > 0, np.sqrt(variance[best, np.arange(n + 1)]), np.nan)
    diffuse = partial(LocalLevel, start_ratio=DIFFUSE, start_level=0.0, reference_evidence=reference)
    models = tuple(diffuse(*grid[b], noise_sd=float(s)) for b, s in zip(best, sd, strict=True))
    weeks = np.arange(n)
    return LocalWalk(steps.expected[best[:-1], weeks], np.tril(steps.relative_sd[best[:-1]]), models=models)


def fit_pooled_level(values: Floats, evidence: Floats) -> LocalLevel:
    """Choose parameters for (U, W) checked rows of one cohort, whose first levels share a distribution.

    Of more than 20,000 series only evenly spaced ones are used.
    """
    stride = max(1, -(-len(values) // MAX_ROWS_FOR_CHOICE))
    y, w = values[::stride], evidence[::stride]
    known = np.isfinite(y)
    if not known.any():
        return LocalLevel(0.0, 1.0, start_ratio=DIFFUSE, start_level=0.0, noise_sd=float("nan"), reference_evidence=1.0)
    reference = float(w[known].mean())
    is_even = bool(np.ptp(w[known]) <= 1e-9 * reference)
    start_level = float(np.average(y[known], weights=w[known]))
    candidate = partial(LocalLevel, start_level=start_level, noise_sd=1.0, reference_evidence=reference)
    best, best_value = None, -np.inf
    for signal, common, start in product(SIGNAL_GRID, (1.0,) if is_even else COMMON_GRID, START_GRID):
        model = candidate(signal, common, start_ratio=start)
        value, noise_sd = _profile_likelihood(y, w, known=known, model=model)
        if best is None or value > best_value + 1e-9:
            best, best_value = replace(model, noise_sd=noise_sd), value
    assert best is not None
    return best


def _profile_likelihood(y: Floats, w: Floats, *, known: NDArray[np.bool_], model: LocalLevel) -> tuple[float, float]:
    """Log likelihood at the best s, and a robust s, which the anomalies to be found do not inflate."""
    steps = one_step(y, w, model=model)
    standardised = (y[known] - steps.expected[known]) / steps.relative_sd[known]
    variance = max(float(np.mean(standardised**2)), 1e-300)
    likelihood = -0.5 * known.sum() * np.log(variance) - float(np.log(steps.relative_sd[known]).sum())
    return likelihood, _robust_sd(standardised)


def changes_of(errors: Floats) -> Floats:
    """The errors (n,) that are a change: not below a hundredth of their root mean square."""
    if not len(errors):
        return errors
    return errors[np.abs(errors) > NO_CHANGE * float(np.sqrt(np.mean(errors**2)))]


def _robust_sd(standardised: Floats) -> float:
    """Standard deviation by the median, without the errors that are not a change; NaN where nothing ever changed.

    Students who stand still tell nothing about the size of ordinary changes. With more than half of them the median
    would be 0, and every change an anomaly. Below 30 errors the median is too rough, and the mean square is used.
    """
    changes = changes_of(standardised)
    if not len(changes):
        return float("nan")
    if len(changes) < MIN_ERRORS_FOR_MEDIAN:
        return float(np.sqrt(np.mean(changes**2)))
    return float(np.sqrt(np.median(changes**2) / CHI_SQUARE_MEDIAN))
