"""Weekly landmarks: what was known about a student at a week's end, and the days until the return.

A panel has one row for each landmark at which a student is known (had a session before it). The covariates use nothing
at or after the landmark; the outcome uses nothing at or after the end of the data. Durations are whole days: a student
with a session on the landmark's own day (the first day after the week) returned on day 1, so ``duration_days > H`` means
"silent for the next H days". The last observed day is ``data_end_day - 1``. The SQL in ``sql/churn`` builds the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import number, numbers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LandmarkPanel:
    """R rows, ordered by user and landmark.

    ``user`` (R,) index of the user; ``landmark_day`` (R,); ``duration_days`` (R,) whole days until the return or, where
    ``is_return`` is False, until the end of observation; ``covariates`` named (R,) columns, NaN where undefined.
    """

    user: NDArray[np.int32]
    landmark_day: NDArray[np.int32]
    duration_days: NDArray[np.int32]
    is_return: NDArray[np.bool_]
    covariates: Mapping[str, NDArray[np.float32]]
    data_end_day: int

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> LandmarkPanel:
        """The chosen rows."""
        return replace(
            self,
            user=self.user[rows],
            landmark_day=self.landmark_day[rows],
            duration_days=self.duration_days[rows],
            is_return=self.is_return[rows],
            covariates={name: values[rows] for name, values in self.covariates.items()},
        )

    def stopped_at(self, follow_up_days: int) -> LandmarkPanel:
        """The panel with every row censored ``follow_up_days`` after its landmark."""
        beyond = self.duration_days > follow_up_days
        return replace(
            self,
            duration_days=np.minimum(self.duration_days, follow_up_days).astype(np.int32),
            is_return=self.is_return & ~beyond,
        )

    def outcome_at(self, horizon_days: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(R,) whether the whole horizon was observed, and whether it was silent (meaningful where observed)."""
        judged = self.landmark_day + horizon_days <= self.data_end_day
        return judged, ~(self.is_return & (self.duration_days <= horizon_days))


ACTIVE, STOPPED, NEVER_STARTED = "active", "stopped", "never started"


def activity_states(days_since_last: ArrayLike, stopped_after_days: float) -> NDArray[np.str_]:
    """State of each student by the days since the last session; NaN is "never started".

    Raises:
        ValueError: for infinite or negative days.
    """
    days = numbers(days_since_last, "days since the last session", low=0.0, is_missing_allowed=True)
    number(stopped_after_days, "stopped_after_days", low=0.0)
    known = np.where(days >= stopped_after_days, STOPPED, ACTIVE)
    return np.asarray(np.where(np.isnan(days), NEVER_STARTED, known))
