"""A cohort with a known probability of silence: each student returns with a daily chance that fades over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks._landmarks import ActivityLog, activity_log
from seedtest_analytics.stats.survival.panel import LandmarkPanel

FIRST_DAY = 18_008  # 2019-04-22, a Monday
N_DAYS = 140


def simulated_log(n_users: int, seed: int, n_days: int = N_DAYS) -> tuple[ActivityLog, NDArray[np.float64]]:
    """A log, and (U, days) each student's true chance of a session on a day.

    Students join all along (so that the mixture of new and fading students stays as it is), differ in their
    rate (log-normal), lose 2 % of it a day from a random day after joining on, and a tenth never start.
    """
    rng = np.random.default_rng(seed)
    rate = np.clip(rng.lognormal(-1.9, 0.9, n_users), 0.005, 0.9)
    joined = rng.integers(-120, n_days, n_users)
    decline_day = joined + rng.exponential(60.0, n_users)
    days = np.arange(n_days)[None, :]
    chance = rate[:, None] * 0.98 ** np.maximum(days - decline_day[:, None], 0) * (days >= joined[:, None])
    chance[rng.random(n_users) < 0.1] = 0.0
    user, day = np.nonzero(rng.random(chance.shape) < chance)
    return activity_log(user, FIRST_DAY + day + rng.random(len(day)) * 0.9, n_users=n_users), chance


def mondays(n_days: int = N_DAYS) -> NDArray[np.int64]:
    """Landmarks of the simulated cohort."""
    return np.arange(FIRST_DAY, FIRST_DAY + n_days, 7)


def with_covariates(panel: LandmarkPanel, **columns: ArrayLike) -> LandmarkPanel:
    """The panel with further (R,) columns."""
    added = {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}
    return replace(panel, covariates={**panel.covariates, **added})
