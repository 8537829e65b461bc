"""Goals of the students of a fit, and the fit's probabilities of reaching them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from seedtest_analytics.assets.growth.bayesian.fit import GrowthFit
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores, expected_share
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.growth.binomial import predict_counts
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.prediction import HALF_WEEK, StudentPredictions, predict_blocks

SQL = "growth/goals.sql"
# Two years. A straight line says nothing about a date further ahead.
MAX_HORIZON_WEEKS = 104
SHARE_MARGIN = 1e-6
SUMS = ("sum_weight", "sum_week", "sum_week_squared", "sum_residual", "sum_week_residual")
"""Columns of growth_prediction: the first of `GrowthData.statistics`, from which a later day can be predicted."""


@dataclass(frozen=True)
class StudentGoals:
    """Per student, each of shape (J,): the goal as an ability, whether it is the student's own, and its day."""

    level: np.ndarray
    is_own: np.ndarray
    horizon_date: np.ndarray
    horizon_source: np.ndarray


@dataclass(frozen=True)
class Goals(StudentGoals):
    """Goals in the order of a fit; ``target`` is a score, and ``week`` counts from the fit's first Monday as ``as_of_week``
    does."""

    target: np.ndarray
    week: np.ndarray
    as_of_week: float


def as_of_date(week: Week) -> dt.date:
    """The first day after the answers that the week's numbers use."""
    return week.as_of.astimezone(ZoneInfo(week.timezone)).date()


def stage_goals(connection: Connection, week: Week) -> None:
    """Fill the temporary table student_goal."""
    connection.execute(statement(SQL, "stage"), {"as_of": week.as_of, "as_of_date": as_of_date(week)})


def load_goals(
    connection: Connection,
    week: Week,
    *,
    scores: WeeklyScores,
    students: np.ndarray,
    default_target: float,
    horizon_weeks: int,
) -> Goals:
    """Goals of the students (codes of ``scores.users``, shape (J,)); students without one get the configured goal."""
    goals = student_goals(
        connection, week, users=scores.users[students], default_target=default_target, horizon_weeks=horizon_weeks
    )
    weeks = week_numbers(goals.horizon_date, scores.first_monday)
    target = goals.level if scores.source == "theta" else expected_share(scores, goals.level)
    as_of = float(week_numbers(np.datetime64(as_of_date(week), "D"), scores.first_monday))
    return Goals(**vars(goals), target=target, week=weeks, as_of_week=as_of)


def week_numbers(days: np.ndarray | np.datetime64, first_monday: dt.date) -> np.ndarray:
    """Weeks of the starts of days: the score of a week belongs to the middle of that week."""
    return np.asarray((days - np.datetime64(first_monday, "D")).astype(float) / 7 - HALF_WEEK)


def student_goals(
    connection: Connection, week: Week, *, users: np.ndarray, default_target: float, horizon_weeks: int
) -> StudentGoals:
    """Goals of the students with these raw ids, shape (J,); students without one get the configured goal."""
    stage_goals(connection, week)
    rows = copy_to_arrow(connection, statement(SQL, "rows"), dictionaries=("user_id",))
    level, days = _goals_of(rows, users)
    is_own, is_dated = np.isfinite(level), ~np.isnat(days)
    level = np.where(is_own, level, default_target)
    today = np.datetime64(as_of_date(week), "D")
    last = today + 7 * MAX_HORIZON_WEEKS
    horizon = np.where(is_dated, np.minimum(days, last), today + 7 * horizon_weeks)
    source = np.where(is_dated, np.where(days > last, "goal_date_capped", "goal_date"), "configured")
    return StudentGoals(level, is_own, horizon_date=horizon, horizon_source=source)


def _goals_of(rows: pa.Table, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target (NaN: none) and day (NaT: none) of each user."""
    owners = pd.Index(rows["user_id"].cast(pa.string()).to_pylist(), dtype=object)
    at = owners.get_indexer(pd.Index(users, dtype=object))
    target = np.append(rows["target"].cast(pa.float64()).to_numpy(), np.nan)
    days = rows["goal_date"].cast(pa.date32()).to_numpy().astype("datetime64[D]")
    return target[at], np.append(days, np.datetime64("NaT"))[at]


def predictions(
    fit: GrowthFit, scores: WeeklyScores, *, goals: Goals, week: Week, run_id: str
) -> Iterator[pd.DataFrame]:
    """Rows of growth_prediction in blocks, so that memory does not grow with the cohort."""
    n_weeks = np.bincount(scores.student, minlength=len(scores.users))
    n_answers = np.bincount(scores.student, scores.answered, minlength=len(scores.users)).astype(np.int64)
    if isinstance(fit.data, CountData):
        inside = np.clip(goals.target, SHARE_MARGIN, 1 - SHARE_MARGIN)
        found = predict_counts(fit.posterior, fit.data, goal_week=goals.week, goal=inside, as_of_week=goals.as_of_week)
        blocks = iter([found])
    else:
        blocks = predict_blocks(
            fit.posterior, fit.data, goal_week=goals.week, goal=goals.target, as_of_week=goals.as_of_week
        )
    last_week = np.datetime64(scores.first_monday, "D") + 7 * np.asarray(fit.data.last_week).astype(int)
    start = 0
    for block in blocks:
        rows = slice(start, start + len(block.students))
        start = rows.stop
        yield _frame(block, goals, rows=rows, users=scores.users, week=week, run_id=run_id).assign(
            n_weeks=n_weeks[block.students],
            n_answers=n_answers[block.students],
            last_week=last_week[rows].astype(str),
            **_sums(fit.data, rows),
        )


def _sums(data: GrowthData | CountData, rows: slice) -> dict[str, np.ndarray | None]:
    """The columns SUMS; counts have no such sums."""
    if isinstance(data, CountData):
        return dict.fromkeys(SUMS)
    return dict(zip(SUMS, data.statistics[rows].T, strict=False))


def _frame(
    block: StudentPredictions, goals: Goals, *, rows: slice, users: np.ndarray, week: Week, run_id: str
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": users[block.students],
            "week_start": week.start,
            "run_id": run_id,
            "intercept_mean": block.intercept_mean,
            "intercept_sd": block.intercept_sd,
            "slope_mean": block.slope_mean,
            "slope_sd": block.slope_sd,
            "projected": block.projected,
            "projected_lower": block.projected_lower,
            "projected_upper": block.projected_upper,
            "sigma": block.sigma,
            "p": block.P,
            "p_lower": block.P_lower,
            "p_upper": block.P_upper,
            "target": goals.target[rows],
            "target_level": goals.level[rows],
            "target_source": np.where(goals.is_own[rows], "interest_goal", "default"),
            "horizon_date": goals.horizon_date[rows].astype("datetime64[D]").astype(str),
            "horizon_source": goals.horizon_source[rows],
        }
    )
