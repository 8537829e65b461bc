"""Growth of counts: right of answered by week, with the students' effects integrated out by quadrature.

    right_ij ~ Binomial(answered_ij, logit⁻¹(α + u_i + (β + v_i) t_ij)),   (u_i, v_i) ~ N(0, Σ)

A week counts by its number of answers, where the gaussian family without weights treats two answers like two hundred.
There are no sufficient statistics, so the cost grows with the rows.
"""

import math

import numpy as np
from numba import prange
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import check_finite
from seedtest_analytics.stats.growth.density import is_far_outside, log_prior
from seedtest_analytics.stats.growth.laplace import check_sampling, sample_around
from seedtest_analytics.stats.growth.mixture import (
    level_probability,
    mixture_moments,
    mixture_quantile,
    normal_quantile,
)
from seedtest_analytics.stats.growth.mode import Mode, find_mode
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, Thresholds
from seedtest_analytics.stats.growth.prediction import (
    RESULT_COLUMNS,
    StudentPredictions,
    check_fit,
    spread_goals,
    weeks_without_growth,
)
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.quadrature import integrate_everyone, integrate_student

N_PARAMETERS = 5
BLOCKS = 64
# A draw costs a pass over all rows, so large cohorts, whose posterior is nearly normal, get fewer draws. 1,000 is the
# least: with `Thresholds.min_effective_share` of them effective they reach `min_ess`.
MIN_DRAWS, MAX_DRAWS, DRAWS_TIMES_STUDENTS = 1000, 2000, 2_000_000
MIN_HYPER_DRAWS, MAX_HYPER_DRAWS, HYPER_DRAWS_TIMES_STUDENTS = 20, 400, 400_000
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


class CountDensity:
    """Log posterior of theta = (Intercept, slope, log tau0, log tau1, atanh rho) and its gradient.

    It keeps every student's mode between calls, which halves their cost and changes values only within Newton's
    tolerance.
    """

    def __init__(self, data: CountData, priors: GrowthPriors) -> None:
        self.data = data
        self.priors = priors.as_array()
        self.modes = np.zeros((data.n_students, 2))

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density up to a constant, and its gradient, shape (5,)."""
        gradient = np.zeros(N_PARAMETERS)
        if is_far_outside(theta) or abs(theta[2:]).max() > 30:
            return -math.inf, gradient
        value = log_prior(theta, self.priors, has_sigma=False, gradient=gradient)
        e0, e1, l11, l21, l22 = _absolute_factor(theta, self.data.week_mean)
        d = self.data
        sums = integrate_everyone(d.starts, d.week, d.answered, d.right, e0, e1, l11, l21, l22, self.modes, BLOCKS)
        gradient[0] += sums[1]
        gradient[1] += sums[2] - d.week_mean * sums[1]
        gradient[2] += sums[3] * l11
        gradient[3] += sums[4] * l21 + sums[5] * l22
        gradient[4] += (sums[4] * l22 - sums[5] * l21) * l22 / math.exp(theta[3])
        return float(value + sums[0]), gradient


def fit_binomial(
    data: CountData,
    priors: GrowthPriors | None = None,
    *,
    n_draws: int | None = None,
    seed: int = 0,
    thresholds: Thresholds | None = None,
) -> GrowthPosterior:
    """Posterior by smoothed importance sampling around the mode (the quick look); its `verdict` says whether it is usable.

    Args:
        data: weekly counts.
        priors: in logits; this family has no `sigma`.
        n_draws: importance draws; None takes 2,000, fewer for more than 1,000 students, and at least 1,000.
        seed: of the draws.
        thresholds: of the verdict.

    Raises:
        ValueError: `n_draws` is not a whole number from 2, or `seed` not one from 0.
    """
    n_draws = default_draws(data.n_students) if n_draws is None else n_draws
    check_sampling(n_draws, seed)
    priors = priors or GrowthPriors()
    density = CountDensity(data, priors)
    return sample_around(
        count_mode(data, density),
        density.value_and_gradient,
        log_densities=lambda theta: np.array([density.value_and_gradient(row)[0] for row in theta]),
        n_draws=n_draws,
        seed=seed,
        priors=priors,
        data=data,
        thresholds=thresholds,
    )


def count_mode(data: CountData, density: CountDensity) -> Mode:
    """Mode of the binomial growth posterior."""
    start, steps = _starting_point(data)
    return find_mode(density.value_and_gradient, start, steps=steps)


def default_draws(n_students: int) -> int:
    """Importance draws for a cohort of this size; ValueError unless `n_students` is a whole number from 1."""
    count(n_students, "n_students", low=1)
    return int(np.clip(DRAWS_TIMES_STUDENTS // n_students, MIN_DRAWS, MAX_DRAWS))


def predict_counts(
    posterior: GrowthPosterior,
    data: CountData,
    *,
    goal_week: ArrayLike,
    goal: ArrayLike,
    as_of_week: float | None = None,
    level: float = 0.95,
    n_hyper_draws: int | None = None,
) -> StudentPredictions:
    """Per student: line in logits, projected share of right answers, and P(that share >= goal), event "level".

    Given the population, a student's line is approximated by a normal with the mean and covariance of the quadrature.

    Args:
        posterior: of a binomial fit to `data`.
        data: what was fitted.
        goal_week: one for all or shape (J,), counted from the origin of the data.
        goal: share of right answers to reach, strictly between 0 and 1, one for all or shape (J,).
        as_of_week: as `predict_blocks` has it.
        level: probability inside the credible intervals.
        n_hyper_draws: posterior draws to average over.

    Raises:
        UnusablePosteriorError: the fit's diagnostics fall short.
        ValueError: posterior and data do not match, goals are out of range, or the as-of week is before the newest
            scored week.
    """
    check_fit(posterior, data, family="binomial", level=level)
    goal_weeks, goals = spread_goals(goal_week, goal, data=data)
    silent = weeks_without_growth(goal_weeks, last_week=data.last_week, data=data, as_of_week=as_of_week)
    if ((goals <= 0) | (goals >= 1)).any():
        raise ValueError("a goal of the binomial family is a share of right answers, strictly between 0 and 1")
    size = HYPER_DRAWS_TIMES_STUDENTS // data.n_students
    theta = posterior.hyper_draws(n_hyper_draws or int(np.clip(size, MIN_HYPER_DRAWS, MAX_HYPER_DRAWS)))
    population = np.array([_absolute_factor(row, data.week_mean) for row in theta])
    quantiles = np.array([(1 - level) / 2, (1 + level) / 2])
    logit_goals = np.log(goals / (1 - goals))
    check_finite("goal", logit_goals)
    result = _predict_counts(
        data.starts,
        data.week,
        data.answered,
        data.right,
        population,
        goal_weeks,
        silent,
        logit_goals,
        quantiles,
        normal_quantile(quantiles),
    )
    return StudentPredictions(
        students=data.students,
        goal_week=goal_weeks,
        goal=goals,
        **dict(zip(RESULT_COLUMNS, result.T, strict=True)),
        event="level",
        level=level,
        n_hyper_draws=len(theta),
    )


def _absolute_factor(theta: np.ndarray, week_mean: float) -> tuple[float, float, float, float, float]:
    """(intercept at week 0, slope, l11, l21, l22) with the students' covariance = L L'."""
    tau0, tau1, rho = math.exp(theta[2]), math.exp(theta[3]), math.tanh(theta[4])
    intercept = float(theta[0] - theta[1] * week_mean)
    return intercept, float(theta[1]), tau0, tau1 * rho, tau1 / math.cosh(theta[4])


def _starting_point(data: CountData) -> tuple[np.ndarray, np.ndarray]:
    share = (data.right.sum() + 0.5) / (data.answered.sum() + 1)
    spread = max(float(data.week.std()), 1e-6)
    theta = np.array([math.log(share / (1 - share)), 0.0, math.log(0.5), math.log(0.25 / spread), 0.0])
    return theta, np.array([1.0, 0.5 / spread, 1.0, 1.0, 1.0]) / math.sqrt(max(data.n_students, 4))


@njit(nogil=True, cache=True)
def _share_moments(means, sds):  # type: ignore[no-untyped-def]
    """Mean and SD of the logistic function of an equal mixture of normals."""
    first = 0.0
    second = 0.0
    for k in range(means.shape[0]):
        for node in range(NODES.shape[0]):
            p = 1.0 / (1.0 + math.exp(-(means[k] + sds[k] * NODES[node])))
            first += NODE_WEIGHTS[node] * p
            second += NODE_WEIGHTS[node] * p * p
    first /= means.shape[0]
    return first, math.sqrt(max(second / means.shape[0] - first * first, 0.0))


@njit(nogil=True, cache=True)
def _line_moments(out, draw, week, line):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Mean and SD of intercept, slope and their value at `week` from the moments of z, into line."""
    e0, e1, l11, l21, l22 = draw
    m0, m1 = out[5], out[6]
    v00 = out[7] - m0 * m0
    v01 = out[8] - m0 * m1
    v11 = out[9] - m1 * m1
    line[0] = e0 + l11 * m0
    line[1] = l11 * math.sqrt(v00)
    line[2] = e1 + l21 * m0 + l22 * m1
    line[3] = math.sqrt(l21 * l21 * v00 + 2.0 * l21 * l22 * v01 + l22 * l22 * v11)
    x0 = l11 + week * l21
    x1 = week * l22
    line[4] = line[0] + week * line[2]
    line[5] = math.sqrt(x0 * x0 * v00 + 2.0 * x0 * x1 * v01 + x1 * x1 * v11)


@njit(nogil=True, parallel=True, cache=True)
def _predict_counts(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    starts, week, answered, right, population, goal_weeks, silent_weeks, logit_goals, quantiles, normal_quantiles
):
    n_students = starts.shape[0] - 1
    n_draws = population.shape[0]
    result = np.empty((n_students, 11))
    for i in prange(n_students):
        rows = slice(starts[i], starts[i + 1])
        z = np.zeros(2)
        out = np.empty(10)
        lines = np.empty((6, n_draws))
        line = np.empty(6)
        for k in range(n_draws):
            e0, e1, l11, l21, l22 = population[k]
            integrate_student(week[rows], answered[rows], right[rows], e0, e1, l11, l21, l22, z, out)
            _line_moments(out, population[k], goal_weeks[i], line)
            lines[:, k] = line
        row = result[i]
        row[0], row[1] = mixture_moments(lines[0], lines[1])
        row[2], row[3] = mixture_moments(lines[2], lines[3])
        lines[4] -= silent_weeks[i] * row[2]
        row[4], row[5] = _share_moments(lines[4], lines[5])
        centre, spread = mixture_moments(lines[4], lines[5])
        inverse_sds = 1.0 / lines[5]
        for side in range(2):
            start = centre + spread * normal_quantiles[side]
            eta = mixture_quantile(lines[4], inverse_sds, quantiles[side], centre, spread, start)
            row[6 + side] = 1.0 / (1.0 + math.exp(-eta))
        level_probability(lines[4], inverse_sds, logit_goals[i], quantiles, lines[0], row[8:])
    return result
