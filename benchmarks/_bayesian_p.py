"""P of the Bayesian growth model at a landmark of a log, from the weekly abilities before it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.growth_year import accepted
from seedtest_analytics.assets.growth.bayesian.scores import ability_scores
from seedtest_analytics.assets.psychometrics.scale.current import Scale
from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.smoothing import LevelWeeks
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.evidence import lookback_weeks
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.prediction import HALF_WEEK, predict_blocks

Floats = NDArray[np.float64]
WEEK = 7.0
N_DRAWS = 2000


def bayesian_p(
    past: Answers, levels: LevelWeeks, *, difficulty: Floats, day: float, days_ahead: float, target: float
) -> tuple[Floats, Floats]:
    """(S,) P and SD of the level ``days_ahead`` by student code, NaN where the fit does not have the student.

    ``past`` are the answers before ``day``, whose items have ``difficulty``; ``levels`` give the population of the prior of a
    week's ability. Fit by the quick look with the contract's priors, look-back by the history as on the platform.
    """
    lookback = lookback_weeks(int(np.ceil((day - past.day[0]) / WEEK)))
    start = day - WEEK * lookback
    repeated = pd.DataFrame({"student": past.student, "item": past.item}).duplicated().to_numpy()
    rows = past.take((past.day >= start) & ~repeated)
    columns = {
        "student": rows.student.astype(np.int64),
        "week": ((rows.day - start) // WEEK).astype(np.int64),
        "item_id": rows.item.astype(np.int64),
        "correct": rows.correct.astype(np.int64),
    }
    items = pd.DataFrame({"item_id": np.arange(len(difficulty)), "a": 1.0, "b": difficulty, "c": 0.0})
    mean, sd = float(levels.level.mean()), float(np.sqrt(levels.level.var() + (levels.level_se**2).mean()))
    scale = Scale("landmark", items, model="Rasch", group_mean=mean, group_sd=sd)
    n_students = int(past.student.max()) + 1
    nobody = np.zeros(0)
    scores = ability_scores(
        columns, np.arange(n_students), first_monday=dt.date(2026, 1, 5), scale=scale, item_answers=(nobody, nobody)
    )
    data = growth_data(scores.student, scores.week, score=scores.score, weight=scores.weight)
    posterior = accepted(fit_laplace(data, n_draws=N_DRAWS, seed=lookback))
    # A score belongs to the middle of its week.
    as_of = lookback - HALF_WEEK
    (found,) = predict_blocks(posterior, data, goal_week=as_of + days_ahead / WEEK, goal=target, as_of_week=as_of)
    probability, error = np.full(n_students, np.nan), np.full(n_students, np.nan)
    own = np.asarray(found.students, dtype=np.int64)
    probability[own], error[own] = found.P, found.sigma
    return probability, error
