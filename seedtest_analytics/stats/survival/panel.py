"""Weekly landmarks: what was known about a student at a week's end, and the days until the return.

A panel has one row for each landmark at which a student is known (had a session before it). The covariates use nothing
at or after the landmark; the outcome uses nothing at or after the end of the data. Durations are whole days: a student
with a session on the landmark's own day (the first day after the week) returned on day 1, so ``duration_days > H`` means
"silent for the next H days". The last observed day is ``data_end_day - 1``. The SQL in ``sql/churn`` builds the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import array_of, column, count, number, numbers, refuse
from seedtest_analytics.stats.survival.errors import SurvivalDataError

Floats = NDArray[np.float64]

LAST_DAY = 10_000_000
"""Days since 1970 beyond this are a wrong unit, such as seconds."""


@dataclass(frozen=True)
class LandmarkPanel:
    """R rows, ordered by user and landmark.

    ``user`` (R,) index of the user; ``landmark_day`` (R,); ``duration_days`` (R,) whole days until the return or, where
    ``is_return`` is False, until the end of observation; ``covariates`` named (R,) columns, NaN where undefined.

    Raises:
        SurvivalDataError: for columns of other lengths or types, or a negative user or duration.
    """

    user: NDArray[np.int32]
    landmark_day: NDArray[np.int32]
    duration_days: NDArray[np.int32]
    is_return: NDArray[np.bool_]
    covariates: Mapping[str, NDArray[np.float32]]
    data_end_day: int

    def __post_init__(self) -> None:
        # By type and length alone, where that suffices: a panel of millions of rows is made again for each landmark.
        n = len(array_of(self.user, "user", error=SurvivalDataError).reshape(-1))
        of_panel = partial(column, length=n, error=SurvivalDataError)
        for name in ("user", "landmark_day", "duration_days"):
            of_panel(getattr(self, name), name, kinds="iu")
        of_panel(self.is_return, "is_return", kinds="b")
        for name, values in self.covariates.items():
            of_panel(values, f"covariate {name}", kinds="fiub")
        for name, whole in (("user", self.user), ("duration_days", self.duration_days)):
            refuse(whole < 0, f"a negative {name}", need="give numbers from 0", error=SurvivalDataError)
        count(self.data_end_day, "data_end_day", low=-LAST_DAY, high=LAST_DAY, error=SurvivalDataError)

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
        """The panel with every row censored ``follow_up_days`` after its landmark, a whole number from 1."""
        count(follow_up_days, "follow_up_days", low=1, high=LAST_DAY, error=SurvivalDataError)
        beyond = self.duration_days > follow_up_days
        return replace(
            self,
            duration_days=np.minimum(self.duration_days, follow_up_days).astype(np.int32),
            is_return=self.is_return & ~beyond,
        )

    def outcome_at(self, horizon_days: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(R,) whether the whole horizon was observed, and whether it was silent (meaningful where observed)."""
        count(horizon_days, "horizon_days", low=1, high=LAST_DAY, error=SurvivalDataError)
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
