"""The expected value of each student's KPI by a pooled local level, and the distance from it; cheap enough for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.forecasts.local_level import (
    LocalLevel,
    changes_of,
    checked_rows,
    fit_pooled_level,
    one_step,
)
from seedtest_analytics.stats.forecasts.scores import CLIP_SD
from seedtest_analytics.stats.forecasts.tails import normal_scores, tail_degrees

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StudentExpectation:
    """(U, W) ``expected`` value of each week by the weeks before it, and ``anomaly``, the signed z of the observed value.

    z = (value - expected) / the cohort's standard deviation of such errors at this evidence and length of history, as the
    Normal deviate of the same probability under a Student t distribution with ``tail_degrees`` degrees of freedom.

    Both are NaN with fewer than ``min_history`` earlier values, ``anomaly`` also where the week has no value.
    """

    expected: Floats
    anomaly: Floats
    model: LocalLevel
    tail_degrees: float = np.inf


def expect_students(
    values: ArrayLike, evidence: ArrayLike | None = None, *, min_history: int = 3
) -> StudentExpectation:
    """Expectation and anomaly of (U, W) weekly values with (U, W) evidence (numbers of answers), oldest week first.

    No week enters its own expectation. The parameters are the cohort's, and its scale is robust, so that an outlier
    does not raise its own threshold; nor does it stay in the weeks after it. Where no value of the cohort ever changed
    there is no scale, and no anomaly.

    Raises:
        ValueError: for values that are not numbers, evidence of another shape or below 0, or ``min_history`` below 1.
    """
    count(min_history, "min_history", low=1)
    y, w = checked_rows(values, evidence)
    model = fit_pooled_level(y, w)
    steps = one_step(y, w, model=model, largest_error_sd=CLIP_SD)
    history = np.cumsum(np.isfinite(y), axis=1) - np.isfinite(y)
    enough = history >= min_history
    with np.errstate(invalid="ignore"):
        anomaly = np.where(enough, (y - steps.expected) / (steps.relative_sd * model.noise_sd), np.nan)
    expected = np.where(enough, steps.expected, np.nan)
    known = np.isfinite(anomaly)
    degrees = tail_degrees(changes_of(anomaly[known]))
    anomaly[known] = normal_scores(anomaly[known], degrees)
    return StudentExpectation(expected, anomaly, model=model, tail_degrees=degrees)
