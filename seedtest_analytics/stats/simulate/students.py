"""Students: growing abilities, engagement, active weeks, and goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seedtest_analytics.stats.simulate.config import CELL_STUDENTS, CohortConfig

NOT_STARTED, ACTIVE, STOPPED = 0, 1, 2
STATES = ("not_started", "active", "stopped")
SHARE_STOPS_FOR_GOOD = 0.5


@dataclass(frozen=True)
class Students:
    """True values of N students over W weeks and T topics.

    Attributes:
        number: (N,) running number of the student in the cohort, from 1.
        intercept_logit, slope_logit: (N,) line of the ability.
        theta_logit: (N, W) ability in each week.
        topic_deviation_logit: (N, T).
        engagement: (N,) standard normal; higher means more sessions and fewer stops.
        speed: (N,) subtracted from log response times.
        start_week: (N,) index of the first week, -1 for never.
        state: (N, W) 0 not started, 1 active, 2 stopped.
        stop_hazard: (N, W) probability of stopping after a week, if active in it.
    """

    number: np.ndarray
    intercept_logit: np.ndarray
    slope_logit: np.ndarray
    theta_logit: np.ndarray
    topic_deviation_logit: np.ndarray
    engagement: np.ndarray
    speed: np.ndarray
    start_week: np.ndarray
    state: np.ndarray
    stop_hazard: np.ndarray


@dataclass(frozen=True)
class Goals:
    """Goals of students. ``student`` indexes the students of a block; NaN is a target that was never set."""

    student: np.ndarray
    topic: np.ndarray
    target_logit: np.ndarray
    priority: np.ndarray


def draw_students(config: CohortConfig, cell: int) -> Students:
    """All students of a cell."""
    rng, n, weeks = config.rng("stud", cell), CELL_STUDENTS, np.arange(config.n_weeks)
    z = rng.standard_normal((n, 4))
    rho = config.growth_correlation
    intercept = config.ability_sd_logit * z[:, 0]
    slope = config.growth_mean_logit + config.growth_sd_logit * (rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1])
    engagement = 0.2 * z[:, 0] + np.sqrt(1 - 0.2**2) * z[:, 2]
    slope = slope + of_kind(config.growth_logit, cell)
    noise = rng.normal(0, config.week_sd_logit, (n, config.n_weeks))
    theta = intercept[:, None] + slope[:, None] * weeks + noise
    start_week = _start_weeks(config, rng)
    state, hazard = _states(config, rng, theta=theta, engagement=engagement, start=start_week)
    return Students(
        number=cell * CELL_STUDENTS + 1 + np.arange(n),
        intercept_logit=intercept,
        slope_logit=slope,
        theta_logit=theta,
        topic_deviation_logit=rng.normal(0, config.topic_sd_logit, (n, config.n_topics)),
        engagement=engagement,
        speed=0.25 * z[:, 3],
        start_week=start_week,
        state=state,
        stop_hazard=hazard,
    )


def of_kind(values: Sequence[float], cell: int) -> np.ndarray:
    """(CELL_STUDENTS,) the value of each student's kind."""
    number = cell * CELL_STUDENTS + 1 + np.arange(CELL_STUDENTS)
    return np.asarray(values, float)[number % len(values)]


def _start_weeks(config: CohortConfig, rng: np.random.Generator) -> np.ndarray:
    """0 for most students, a week of the first half for late ones, -1 for those who never start."""
    kind = rng.random(CELL_STUDENTS)
    late = 1 + np.floor(rng.random(CELL_STUDENTS) * max(1, config.n_weeks // 2)).astype(np.int64)
    late = np.minimum(late, config.n_weeks - 1)
    start = np.where(kind < config.share_never_started + config.share_late, late, 0)
    return np.where(kind < config.share_never_started, -1, start)


def _states(
    config: CohortConfig, rng: np.random.Generator, *, theta: np.ndarray, engagement: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Week by week: active students stop by their hazard, and some return after a week without sessions."""
    n, weeks = theta.shape
    stop = _hazard(config.stop_hazard, -0.6 * engagement[:, None] - 0.4 * theta)
    back = _hazard(config.return_hazard, 0.4 * engagement)
    state = np.zeros((n, weeks), np.int8)
    current = np.full(n, NOT_STARTED, np.int8)
    is_for_good = np.zeros(n, bool)
    for week in range(weeks):
        draws = rng.random((3, n))
        was_silent = state[:, week - 1] == STOPPED if week else is_for_good
        returning = was_silent & ~is_for_good & (draws[0] < back)
        current[returning | (start == week)] = ACTIVE
        state[:, week] = current
        stopping = (current == ACTIVE) & (draws[1] < stop[:, week])
        is_for_good[stopping] = draws[2, stopping] < SHARE_STOPS_FOR_GOOD
        current[stopping] = STOPPED
    return state, stop


def _hazard(base: float, shift: np.ndarray) -> np.ndarray:
    if base <= 0:
        return np.zeros_like(shift)
    return np.asarray(1 / (1 + np.exp(-(np.log(base / (1 - base)) + shift))))


def draw_goals(config: CohortConfig, cell: int, *, students: Students) -> Goals:
    """No goal, one, or two in different topics; targets are about 0.8 above the student's intercept."""
    rng, n = config.rng("goal", cell), CELL_STUDENTS
    kind, second = rng.random(n), rng.random(n) < 0.2
    first_topic = rng.integers(0, config.n_topics, n)
    step = rng.integers(1, max(2, config.n_topics), n)
    target = students.intercept_logit + rng.normal(0.8, 0.5, (2, n))
    target[rng.random((2, n)) < 0.05] = np.nan
    priority = rng.integers(0, 101, (2, n))
    has_one = kind < config.share_with_goal
    has_two = has_one & second & (config.n_topics > 1)
    student = np.concatenate([np.flatnonzero(has_one), np.flatnonzero(has_two)])
    rank = np.repeat([0, 1], [has_one.sum(), has_two.sum()])
    topic = (first_topic[student] + rank * step[student]) % config.n_topics
    return Goals(student, topic, target_logit=np.round(target[rank, student], 3), priority=priority[rank, student])
