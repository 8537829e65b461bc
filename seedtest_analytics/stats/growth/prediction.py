"""Predictions of a growth fit for every student: line, projected score, and the probability of reaching a goal.

    (α + u_i, β + v_i) | y, population_k ~ N(m_ik, V_ik)
    mu_i = (1, goal week) · (line of student i),   p(mu_i | y) = mean over draws k of N(x'm_ik, x'V_ik x)

Given the population, a student's line is Gaussian in closed form. So every result is a mixture of normals over
posterior draws: expectations average conditional expectations, quantiles are the mixture's, and no random number is
drawn.

Silence is not a change. A student who has no score for longer than `GROWTH_WEEKS` grows no more until the as-of week:
mu_i loses the student's mean gain of those weeks and keeps its spread, so its interval widens with time. From the
as-of week on practice continues (`ASSUMPTION`).

Three quantities that are easily confused:
    P(mu >= goal)           event "level": has the student's underlying level reached the goal?
    P(y >= goal)            event "score": will a weekly score, with its noise, reach it?
    Phi((mu - goal)/sigma)  the chance of a weekly score given the line. Its mean is P(y >= goal). The line is
                            uncertain, so it has quantiles: the bounds of event "score".
The bounds of event "level" are quantiles, over draws of the population, of P(mu >= goal | population): the
probability already includes the uncertainty of the level.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import prange
from numpy.typing import ArrayLike

from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.checks import count, number, one_of
from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData, check_finite, name_rows, numeric
from seedtest_analytics.stats.growth.density import relative_factor, shrinkage
from seedtest_analytics.stats.growth.mixture import (
    level_probability,
    mixture_moments,
    mixture_quantile,
    normal_quantile,
    score_probability,
)
from seedtest_analytics.stats.growth.posterior import Family, GrowthPosterior

Event = Literal["level", "score"]

GROWTH_WEEKS = Hyperparameters.growth_days / 7
"""A line grows this long after the last scored week, as a level of `stats.ability` does after the last answer."""
ASSUMPTION = "practice continues, and the student keeps the pace of the weekly scores"
"""What a projection from the as-of week on takes for granted."""
# A score belongs to the middle of its week.
HALF_WEEK = 0.5
BLOCK_STUDENTS = 65_536
CHUNK_STUDENTS = 256
# P varies less over draws of the population in a large cohort, so fewer draws give P to 0.002.
MIN_HYPER_DRAWS, MAX_HYPER_DRAWS = 100, 4000
DRAWS_TIMES_STUDENTS = 4_000_000
# A straight line does not extrapolate over years.
MAX_HORIZON_WEEKS = 260.0
RESULT_COLUMNS = (
    "intercept_mean",
    "intercept_sd",
    "slope_mean",
    "slope_sd",
    "projected",
    "sigma",
    "projected_lower",
    "projected_upper",
    "P",
    "P_lower",
    "P_upper",
)


@dataclass(frozen=True)
class StudentPredictions:
    """Per student, each of shape (J,): posterior of the line, of its value at the goal week, and of the goal.

    Attributes:
        students: ids, in the order of the data.
        goal_week, goal: the question.
        intercept_mean, intercept_sd: of the line at week 0 (logits in the binomial family).
        slope_mean, slope_sd: gain a week.
        projected: posterior mean of the line at the goal week, on the scale of the score.
        sigma: its posterior SD.
        projected_lower, projected_upper: its credible interval.
        P, P_lower, P_upper: probability of the event, and bounds (see the module's text).
        event, level: which probability, and the probability inside the intervals.
        n_hyper_draws: posterior draws averaged over.
    """

    students: np.ndarray
    goal_week: np.ndarray
    goal: np.ndarray
    intercept_mean: np.ndarray
    intercept_sd: np.ndarray
    slope_mean: np.ndarray
    slope_sd: np.ndarray
    projected: np.ndarray
    sigma: np.ndarray
    projected_lower: np.ndarray
    projected_upper: np.ndarray
    P: np.ndarray
    P_lower: np.ndarray
    P_upper: np.ndarray
    event: Event
    level: float
    n_hyper_draws: int


def predict_blocks(
    posterior: GrowthPosterior,
    data: GrowthData,
    *,
    goal_week: ArrayLike,
    goal: ArrayLike,
    as_of_week: float | None = None,
    event: Event = "level",
    level: float = 0.95,
    n_hyper_draws: int | None = None,
    block_students: int = BLOCK_STUDENTS,
) -> Iterator[StudentPredictions]:
    """Predict the students of the fit in blocks, so that memory does not grow with the cohort.

    Args:
        posterior: of a gaussian fit to `data`.
        data: what was fitted.
        goal_week: week at which the goal is due, one for all or shape (J,), counted from the origin of the data.
        goal: score to reach, one for all or shape (J,).
        as_of_week: week from which practice continues. None is the end of the newest scored week.
        event: which probability is P.
        level: probability inside the credible intervals.
        n_hyper_draws: posterior draws to average over; None takes as many as P needs for an error of 0.002.
        block_students: students per block.

    Raises:
        UnusablePosteriorError: the fit's diagnostics fall short.
        ValueError: posterior and data do not match, goals are out of range or of another shape, the as-of week is before
            the newest scored week, the event is unknown, the level is not a probability, or a number of draws or students
            is not whole and above 0.
    """
    one_of(event, "event", choices=("level", "score"))
    count(block_students, "block_students", low=1)
    check_fit(posterior, data, family="gaussian", level=level)
    goal_weeks, goals = spread_goals(goal_week, goal, data=data)
    silent = weeks_without_growth(goal_weeks, last_week=data.last_week, data=data, as_of_week=as_of_week)
    theta = posterior.hyper_draws(n_hyper_draws or hyper_draws_needed(data.n_students))
    for start in range(0, data.n_students, block_students):
        block = slice(start, min(start + block_students, data.n_students))
        result = predict_sums(
            theta,
            data.statistics[block],
            week_mean=data.week_mean,
            reference=data.reference,
            goal_week=goal_weeks[block],
            silent_weeks=silent[block],
            goal=goals[block],
            event=event,
            level=level,
        )
        yield StudentPredictions(
            students=data.students[block],
            goal_week=goal_weeks[block],
            goal=goals[block],
            **result,
            event=event,
            level=level,
            n_hyper_draws=len(theta),
        )


def predict_sums(
    theta: np.ndarray,
    sums: np.ndarray,
    *,
    week_mean: float,
    reference: tuple[float, float],
    goal_week: np.ndarray,
    silent_weeks: np.ndarray,
    goal: np.ndarray,
    event: Event = "level",
    level: float = 0.95,
) -> dict[str, np.ndarray]:
    """RESULT_COLUMNS of students with these sums of scores, each of shape (J,); the arguments are those of a fit.

    Args:
        theta: draws of the population, shape (K, 6).
        sums: the first five of `GrowthData.statistics`, or all, shape (J, 5 or 6).
        week_mean, reference: of the data of the fit.
        goal_week, goal: of each student.
        silent_weeks: weeks before `goal_week` without growth, of each student.
        event, level: as in `predict_blocks`.
    """
    order = np.lexsort((goal_week, *sums[:, :3].T))
    quantiles = np.array([(1 - level) / 2, (1 + level) / 2])
    result = _predict(
        sums,
        order,
        goal_week,
        silent_weeks,
        goal,
        _population_draws(theta, week_mean),
        np.array(reference),
        quantiles,
        normal_quantile(quantiles),
        event == "score",
    )
    return dict(zip(RESULT_COLUMNS, result.T, strict=True))


def hyper_draws_needed(n_students: int) -> int:
    """Posterior draws that keep the Monte Carlo error of P below 0.002; ValueError unless `n_students` is whole and from 1."""
    count(n_students, "n_students", low=1)
    return int(np.clip(DRAWS_TIMES_STUDENTS // n_students, MIN_HYPER_DRAWS, MAX_HYPER_DRAWS))


def check_fit(posterior: GrowthPosterior, data: GrowthData | CountData, *, family: Family, level: float) -> None:
    """Raise unless `posterior` is a usable `family` fit to `data` and `level` a probability."""
    posterior.require_usable()
    same = all(getattr(posterior, name) == getattr(data, name) for name in ("n_students", "n_scores", "week_mean"))
    if posterior.family != family or not same:
        raise ValueError(
            f"this {posterior.family} posterior of {posterior.n_students} students and {posterior.n_scores} "
            "scores was not fitted to these data"
        )
    check_level(level)


def check_level(level: float) -> None:
    """Raise `ValueError` unless 0 < level < 1."""
    if not 0 < number(level, "level") < 1:
        raise ValueError(f"a credible interval needs a probability between 0 and 1, not {level}")


def spread_goals(
    goal_week: ArrayLike, goal: ArrayLike, *, data: GrowthData | CountData
) -> tuple[np.ndarray, np.ndarray]:
    """Goal week and goal of every student, checked."""
    shape = (data.n_students,)
    goal_weeks, goals = (
        _for_each_student(name, values, shape=shape) for name, values in (("goal_week", goal_week), ("goal", goal))
    )
    check_finite("goal_week", goal_weeks)
    check_finite("goal", goals)
    far = np.flatnonzero(
        (goal_weeks > data.weeks[-1] + MAX_HORIZON_WEEKS) | (goal_weeks < data.weeks[0] - MAX_HORIZON_WEEKS)
    )
    if len(far):
        raise ValueError(
            f"goal_week: {len(far)} goals are more than {MAX_HORIZON_WEEKS:g} weeks outside the scores "
            f"({name_rows(far)}); count goal weeks from the same origin as the scores' weeks"
        )
    return goal_weeks, goals


def weeks_without_growth(
    weeks: np.ndarray, *, last_week: np.ndarray, data: GrowthData | CountData, as_of_week: float | None
) -> np.ndarray:
    """How many weeks before each of `weeks` count for no growth: those of silence, up to the as-of week.

    `last_week` is the last scored week of the student or students; `as_of_week` is that of `predict_blocks`.
    """
    newest = float(data.weeks[-1])
    if as_of_week is None:
        as_of = newest + HALF_WEEK
    else:
        as_of = number(as_of_week, "as_of_week", low=newest - HALF_WEEK, high=newest + MAX_HORIZON_WEEKS)
    return silence(weeks, last_week=last_week, as_of=as_of)


def silence(weeks: np.ndarray, *, last_week: np.ndarray, as_of: float) -> np.ndarray:
    """Weeks before each of `weeks`, and before the as-of week, in which the line rests: from `GROWTH_WEEKS` after `last_week`."""
    return np.asarray(np.maximum(np.minimum(weeks, as_of) - (last_week + GROWTH_WEEKS), 0.0))


def _for_each_student(name: str, values: ArrayLike, *, shape: tuple[int]) -> np.ndarray:
    given = numeric(name, values)
    if given.shape not in ((1,), shape):
        raise ValueError(f"{name} has shape {given.shape}, need one number or {shape}: one for each student")
    return np.array(np.broadcast_to(given, shape))  # a view that is read-only would have the kernels compiled twice


def _population_draws(theta: np.ndarray, week_mean: float) -> np.ndarray:
    """Shape (K, 6): intercept at week 0, slope, l11, l21, l22 and sigma of each draw."""
    factors = np.array([relative_factor(row) for row in theta])
    return np.column_stack([theta[:, 0] - theta[:, 1] * week_mean, theta[:, 1], factors])


def relative_covariance(population: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Posterior covariance of a student's line given the population, in units of sigma², shape (K, 2, 2).

    Args:
        population: draws as `_population_draws` returns them, shape (K, 6).
        design: the student's X'WX, shape (2, 2).
    """
    factor = np.zeros((len(population), 2, 2))
    factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1] = population[:, 2:5].T
    transposed = factor.transpose(0, 2, 1)
    return factor @ np.linalg.inv(np.eye(2) + transposed @ design @ factor) @ transposed


def conditional_lines(theta: np.ndarray, data: GrowthData, *, student: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K, 2) and covariance (K, 2, 2) of one student's intercept and slope, given each draw of theta (K, 6).

    In plain NumPy, for a few students; `predict_blocks` does the same for all. `student` is a row of `data.students`.
    """
    population = _population_draws(theta, data.week_mean)
    A00, A01, A11, c0, c1 = data.statistics[student, :5]
    design = np.array([[A00, A01], [A01, A11]])
    covariance = relative_covariance(population, design)
    deviation = population[:, :2] - np.array(data.reference)
    residual = np.array([c0, c1]) - deviation @ design
    mean = population[:, :2] + np.einsum("kij,kj->ki", covariance, residual)
    return mean, covariance * population[:, 5, None, None] ** 2


@njit(nogil=True, cache=True)
def _line_coefficients(population, reference, A00, A01, A11, week, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Per draw: intercept = out0 + out1 c0 + out2 c1, slope = out3 + out2 c0 + out4 c1, and from out5 the SDs
    of intercept, slope and level at `week` given the population, sigma, and 1 / SD of the level."""
    for k in range(population.shape[0]):
        intercept, slope, l11, l21, l22, sigma = population[k]
        _, _, _, _, _, M00, M01, M11 = shrinkage(l11, l21, l22, A00, A01, A11)
        e0 = intercept - reference[0]
        e1 = slope - reference[1]
        a0 = A00 * e0 + A01 * e1
        a1 = A01 * e0 + A11 * e1
        out[k, 0] = intercept - M00 * a0 - M01 * a1
        out[k, 1] = M00
        out[k, 2] = M01
        out[k, 3] = slope - M01 * a0 - M11 * a1
        out[k, 4] = M11
        out[k, 5] = sigma * math.sqrt(M00)
        out[k, 6] = sigma * math.sqrt(M11)
        out[k, 7] = sigma * math.sqrt(M00 + 2.0 * week * M01 + week * week * M11)
        out[k, 8] = sigma
        out[k, 9] = 1.0 / out[k, 7]


@njit(nogil=True, parallel=True, cache=True)
def _predict(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    statistics, order, goal_weeks, silent_weeks, goals, population, reference, quantiles, normal_quantiles, is_score
):
    """Results, shape (J, 11), for students visited in `order`, which groups equal designs and weeks."""
    n_students = statistics.shape[0]
    n_draws = population.shape[0]
    result = np.empty((n_students, 11))
    for chunk in prange((n_students + CHUNK_STUDENTS - 1) // CHUNK_STUDENTS):
        line = np.empty((n_draws, 10))
        means = np.empty(n_draws)
        other = np.empty(n_draws)
        sds = np.empty((5, n_draws))
        previous = -1
        for position in range(chunk * CHUNK_STUDENTS, min((chunk + 1) * CHUNK_STUDENTS, n_students)):
            i = order[position]
            week = goal_weeks[i]
            A00, A01, A11, c0, c1 = statistics[i, :5]
            is_new = previous < 0 or week != goal_weeks[previous]
            is_new = is_new or statistics[previous, 0] != A00 or statistics[previous, 1] != A01
            if is_new or statistics[previous, 2] != A11:
                _line_coefficients(population, reference, A00, A01, A11, week, line)
                for column in range(5):
                    for k in range(n_draws):
                        sds[column, k] = line[k, 5 + column]
            previous = i
            for k in range(n_draws):
                means[k] = line[k, 0] + line[k, 1] * c0 + line[k, 2] * c1
                other[k] = line[k, 3] + line[k, 2] * c0 + line[k, 4] * c1
            row = result[i]
            row[0], row[1] = mixture_moments(means, sds[0])
            row[2], row[3] = mixture_moments(other, sds[1])
            not_gained = silent_weeks[i] * row[2]
            for k in range(n_draws):
                means[k] += week * other[k] - not_gained
            row[4], row[5] = mixture_moments(means, sds[2])
            for side in range(2):
                start = row[4] + row[5] * normal_quantiles[side]
                row[6 + side] = mixture_quantile(means, sds[4], quantiles[side], row[4], row[5], start)
            if is_score:
                score_probability(means, sds[2], sds[3], goals[i], quantiles, normal_quantiles, row[8:])
            else:
                level_probability(means, sds[4], goals[i], quantiles, other, row[8:])
    return result
