"""Arrays behind the plots of a growth fit; `assets.growth.bayesian.plots` draws them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import codes, count, numbers, refuse
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.diagnostics import chains_of
from seedtest_analytics.stats.growth.mixture import mixture_moments, mixture_quantile, normal_quantile
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, weighted_quantile
from seedtest_analytics.stats.growth.prediction import conditional_lines, weeks_without_growth

INNER_LEVEL, OUTER_LEVEL = 0.5, 0.95
CHECK_DRAWS, CHECK_STUDENTS = 60, 2000
MOST_BINS = 10_000
LARGEST_SEED = 2**53


@dataclass(frozen=True)
class PosteriorIntervals:
    """Per parameter, each of shape (P,): median, 50 % and 95 % credible bounds."""

    names: tuple[str, ...]
    median: np.ndarray
    inner_lower: np.ndarray
    inner_upper: np.ndarray
    outer_lower: np.ndarray
    outer_upper: np.ndarray


@dataclass(frozen=True)
class Ranks:
    """Rank plot of one parameter: ranks among all draws, counted by chain (rows of `counts`) and bin.

    `expected` is the height of a flat bar; flat bars mean that the chains agree.
    """

    edges: np.ndarray
    counts: np.ndarray
    expected: float


@dataclass(frozen=True)
class PredictiveCheck:
    """Mean and SD of the scores of each week, all of shape (W,): as observed, and 95 % bounds over replicated data."""

    weeks: np.ndarray
    observed_mean: np.ndarray
    observed_sd: np.ndarray
    mean_lower: np.ndarray
    mean_upper: np.ndarray
    sd_lower: np.ndarray
    sd_upper: np.ndarray


@dataclass(frozen=True)
class Fan:
    """One student's line with its 50 % and 95 % bounds, each of shape (W,)."""

    student: object
    weeks: np.ndarray
    mean: np.ndarray
    inner_lower: np.ndarray
    inner_upper: np.ndarray
    outer_lower: np.ndarray
    outer_upper: np.ndarray


def posterior_intervals(posterior: GrowthPosterior) -> PosteriorIntervals:
    """Median and bounds of every parameter."""
    parameters = posterior.parameters
    probabilities = [0.5, *_bounds(INNER_LEVEL), *_bounds(OUTER_LEVEL)]
    table = np.array(
        [
            [weighted_quantile(draws.ravel(), p, weights=posterior.weights) for p in probabilities]
            for draws in parameters.values()
        ]
    )
    return PosteriorIntervals(tuple(parameters), *table.T)


def rank_histogram(draws: ArrayLike, n_bins: int = 20) -> Ranks:
    """Rank plot of one parameter's draws, shape (chains, draws).

    Raises:
        ValueError: for draws of another shape, or `n_bins` that is not whole and above 0.
    """
    from scipy import stats

    draws = chains_of(draws)
    count(n_bins, "n_bins", low=1, high=MOST_BINS)
    ranks = stats.rankdata(draws, method="average").reshape(draws.shape)
    edges = np.linspace(0.5, draws.size + 0.5, n_bins + 1)
    counts = np.array([np.histogram(chain, edges)[0] for chain in ranks])
    return Ranks(edges, counts, expected=draws.shape[1] / n_bins)


def predictive_check(
    posterior: GrowthPosterior,
    student: ArrayLike,
    *,
    week: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    seed: int = 0,
) -> PredictiveCheck:
    """Replicate the scores for new students of the fitted population and compare them week by week.

    Args:
        posterior: a gaussian fit.
        student: id of each row, shape (N,); at most 2,000 students are used, drawn by `seed`.
        week, score: the fitted rows, shape (N,).
        weight: precision of each score in the fit, shape (N,): its noise has variance σ² / weight, and moments are
            weighted by it. None where the fit had no weights.
        seed: of the students and the replications.

    Raises:
        ValueError: for columns without rows or of different lengths, a missing student, a week or score that is not
            finite, a weight that is not above 0, or a seed that is not whole.
    """
    week, score, weight = _checked_rows(week, score, weight=weight)
    student, n_students = codes(student, "student", length=len(week))
    count(seed, "seed", high=LARGEST_SEED)
    rng = np.random.default_rng(seed)
    kept = np.isin(student, rng.permutation(np.arange(n_students))[:CHECK_STUDENTS])
    week, score, weight = week[kept], score[kept], weight[kept]
    code = np.unique(student[kept], return_inverse=True)[1]
    weeks, position = np.unique(week, return_inverse=True)
    mean, sd = _weekly_moments(score, weight, position=position)
    replicated = [
        _weekly_moments(
            _replicate(draw, posterior.week_mean, student=code, week=week, weight=weight, rng=rng),
            weight,
            position=position,
        )
        for draw in posterior.hyper_draws(CHECK_DRAWS)
    ]
    (mean_lower, sd_lower), (mean_upper, sd_upper) = np.quantile(replicated, _bounds(OUTER_LEVEL), axis=0)
    return PredictiveCheck(
        weeks, mean, observed_sd=sd, mean_lower=mean_lower, mean_upper=mean_upper, sd_lower=sd_lower, sd_upper=sd_upper
    )


def _checked_rows(
    week: ArrayLike, score: ArrayLike, *, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weeks = numbers(week, "week")
    if len(weeks) == 0:
        raise ValueError("a predictive check needs at least one score")
    scores = numbers(score, "score", like=weeks.shape)
    weights = np.ones(len(weeks)) if weight is None else numbers(weight, "weight", like=weeks.shape)
    refuse(weights <= 0, "a weight that is not above 0", need="leave those rows out")
    return weeks, scores, weights


def _replicate(
    draw: np.ndarray,
    week_mean: float,
    *,
    student: np.ndarray,
    week: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scores of new students at the observed weeks and weights, given one draw of the population."""
    level, slope, log_tau0, log_tau1, atanh_rho, log_sigma = draw
    rho = np.tanh(atanh_rho)
    z = rng.standard_normal((2, student.max() + 1))
    own_level = np.exp(log_tau0) * z[0]
    own_slope = np.exp(log_tau1) * (rho * z[0] + np.sqrt(1 - rho**2) * z[1])
    noise = np.exp(log_sigma) / np.sqrt(weight) * rng.standard_normal(len(week))
    return np.asarray(level + slope * (week - week_mean) + own_level[student] + own_slope[student] * week + noise)


def _weekly_moments(score: np.ndarray, weight: np.ndarray, *, position: np.ndarray) -> np.ndarray:
    """Weighted mean and SD of each week's scores, shape (2, W)."""
    total = np.bincount(position, weight)
    mean = np.bincount(position, weight * score) / total
    variance = np.bincount(position, weight * (score - mean[position]) ** 2) / total
    return np.array([mean, np.sqrt(variance)])


def student_fans(
    posterior: GrowthPosterior,
    data: GrowthData,
    *,
    students: ArrayLike,
    weeks: ArrayLike,
    as_of_week: float | None = None,
    n_hyper_draws: int = 400,
) -> list[Fan]:
    """Lines of a few students (rows of `data.students`) over `weeks`, past and future, with exact mixture quantiles.

    They rest in silence as predictions do; `as_of_week` is that of `predict_blocks`.

    Raises:
        ValueError: for students that are not rows of the data, weeks that are not finite, an as-of week before the newest
            scored week, or draws that are not whole and above 0.
    """
    rows = numbers(students, "student", low=0, high=data.n_students - 1)
    refuse(rows % 1 != 0, "a student that is not a row of the data", need="give positions")
    weeks = numbers(weeks, "week")
    theta = posterior.hyper_draws(n_hyper_draws)
    probabilities = np.array([*_bounds(INNER_LEVEL), *_bounds(OUTER_LEVEL)])
    normal = normal_quantile(probabilities)
    fans = []
    for student in rows.astype(int).tolist():
        mean, covariance = conditional_lines(theta, data, student=student)
        last = data.last_week[student]
        silent = weeks_without_growth(weeks, last_week=last, data=data, as_of_week=as_of_week)
        not_gained = silent * mean[:, 1].mean()
        table = np.empty((len(weeks), 5))
        for row, week in enumerate(weeks):
            x = np.array([1.0, week])
            means, sds = mean @ x - not_gained[row], np.sqrt(np.einsum("i,kij,j->k", x, covariance, x))
            centre, spread = mixture_moments(means, sds)
            table[row, 0] = centre
            for column, (probability, z) in enumerate(zip(probabilities, normal, strict=True), start=1):
                start = centre + spread * z
                table[row, column] = mixture_quantile(means, 1 / sds, probability, centre, spread, start)
        fans.append(Fan(data.students[student], weeks, *table.T))
    return fans


def probability_histogram(probability: ArrayLike, n_bins: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Edges, shape (bins + 1,), and numbers of students with P in each bin; a missing P is in none.

    Raises:
        ValueError: for a probability outside 0..1, or `n_bins` that is not whole and above 0.
    """
    count(n_bins, "n_bins", low=1, high=MOST_BINS)
    known = numbers(probability, "probability", low=0.0, high=1.0, is_missing_allowed=True)
    counts, edges = np.histogram(known[np.isfinite(known)], bins=n_bins, range=(0.0, 1.0))
    return edges, counts


def _bounds(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2
