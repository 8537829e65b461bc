"""What a single student's KPI was expected to be, and how far it fell from that: light enough for every
student.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.forecasts.local_level import (
    LocalLevel,
    checked_rows,
    fit_pooled_level,
    one_step,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StudentExpectation:
    """(U, W) ``expected`` value of each week from the weeks before it, and ``anomaly`` the signed z of what
    came.

    ``anomaly`` is (value - expected) over the standard deviation of such errors in the cohort at this
    evidence and length of history; NaN where there is no value or fewer than ``min_history`` earlier ones.
    ``next_expected`` (U,) is for the week after the last.
    """

    expected: Floats
    anomaly: Floats
    next_expected: Floats
    model: LocalLevel
    method: str


def expect_students(
    values: ArrayLike, evidence: ArrayLike | None = None, *, min_history: int = 3
) -> StudentExpectation:
    """Expectation and anomaly of (U, W) weekly values with (U, W) evidence (answers behind each), oldest week
    first.

    No week enters its own expectation. The parameters of the model (how fast students change, how much
    evidence matters) are the cohort's, estimated robustly, so that one student's outlier cannot excuse
    itself.
    """
    y, w = checked_rows(values, evidence)
    model = fit_pooled_level(y, w)
    steps = one_step(y, w, model=model)
    history = np.cumsum(np.isfinite(y), axis=1) - np.isfinite(y)
    enough = history >= min_history
    scale = max(model.noise_sd, 1e-12) if np.isfinite(model.noise_sd) else np.nan
    anomaly = np.where(enough, (y - steps.expected) / (steps.relative_sd * scale), np.nan)
    expected = np.where(enough, steps.expected, np.nan)
    last = np.where(np.isfinite(y).sum(axis=1) >= min_history, steps.level, np.nan)
    return StudentExpectation(expected, anomaly, next_expected=last, model=model, method="local_level_pooled")
