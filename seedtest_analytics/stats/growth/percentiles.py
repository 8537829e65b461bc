"""Student growth percentiles: how a student's level compares with that of students who were at the same level before.

    Q_τ(later | earlier) = s(earlier)'b(τ),   percentile = 100 F(later | earlier),   s a restricted cubic spline

Betebenner (2009, "Norm- and criterion-referenced student growth", Educational Measurement: Issues and Practice
28(4):42-51) defines them for observed scores. Here levels are posteriors, and both of a student's levels are uncertain:

* Curves are fitted to plausible levels, several of each student, so that they are those of true levels. Curves of
  posterior means would be too close together.
* A student's percentile belongs to the posterior means. Its interval is that of later - slope · earlier, with the
  covariance of the two, where slope is that of the median curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import flags, number, numbers
from seedtest_analytics.stats.growth.errors import GrowthDataError
from seedtest_analytics.stats.growth.quantile_regression import quantile_regression
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.splines import spline_basis

# With 50 students the sampling error of a percentile is up to 7 points, small beside the error of two levels.
MIN_STUDENTS = 50
# More students would move a percentile by less than 1.3 points (its SD at the median); they would take time.
MAX_REFERENCE = 1500
PLAUSIBLE = 5
PROBABILITIES = np.array([0.01, 0.025, *np.arange(0.05, 0.951, 0.05), 0.975, 0.99])
MEDIAN = int(np.argmin(np.abs(PROBABILITIES - 0.5)))
# Students for each number of knots, at Harrell's quantiles; two knots are a line.
KNOTS = ((1000, (0.05, 0.275, 0.5, 0.725, 0.95)), (200, (0.1, 0.5, 0.9)), (0, (0.25, 0.75)))
LOWEST, HIGHEST = 1.0, 99.0
BLOCK = 65_536


@dataclass(frozen=True)
class GrowthCurves:
    """Conditional quantiles of the later level, given the earlier one.

    Attributes:
        knots: of the spline of the earlier level.
        coefficients: one row for each of `PROBABILITIES`.
        n_students: that the curves were fitted to.
    """

    knots: np.ndarray
    coefficients: np.ndarray
    n_students: int

    def quantiles(self, earlier: np.ndarray) -> np.ndarray:
        """Later levels at `PROBABILITIES`, shape (n,) -> (n, T). Rearranged, so that no two curves cross."""
        return np.sort(spline_basis(earlier, self.knots) @ self.coefficients.T, axis=1)

    def percentile(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Percentile of each later level, 1 to 99, shape (n,)."""
        return np.concatenate([self._percentile(earlier[block], later[block]) for block in _blocks(len(earlier))])

    def typical(self, earlier: np.ndarray) -> np.ndarray:
        """Median later level of students at each earlier level, shape (n,)."""
        return np.concatenate([self.quantiles(earlier[block])[:, MEDIAN] for block in _blocks(len(earlier))])

    def slope(self, earlier: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Slope of the median curve over `earlier` +- `width`, shape (n,)."""
        return np.asarray((self.typical(earlier + width) - self.typical(earlier - width)) / (2 * width))

    def _percentile(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Linear between quantiles on the scale of normal deviates, and beyond the outermost by their line."""
        from scipy import special

        quantiles, deviates = self.quantiles(earlier), special.ndtri(PROBABILITIES)
        right = np.clip((quantiles <= later[:, None]).sum(axis=1), 1, len(deviates) - 1)
        row = np.arange(len(later))
        low, high = quantiles[row, right - 1], quantiles[row, right]
        share = (later - low) / np.maximum(high - low, 1e-9)
        deviate = deviates[right - 1] + share * (deviates[right] - deviates[right - 1])
        return np.asarray(np.clip(100 * special.ndtr(deviate), LOWEST, HIGHEST))


@dataclass(frozen=True)
class GrowthPercentiles:
    """Percentile and its interval, each of shape (n,), and the curves behind them."""

    percentile: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    curves: GrowthCurves


def growth_percentiles(
    earlier: ArrayLike,
    earlier_se: ArrayLike,
    *,
    later: ArrayLike,
    later_se: ArrayLike,
    gain_se: ArrayLike,
    is_reference: ArrayLike,
    level: float = 0.95,
) -> GrowthPercentiles | NoResult:
    """Percentiles of students against the reference students among them; no result for fewer than `MIN_STUDENTS`.

    Args:
        earlier, earlier_se: posterior mean and SD of the earlier level, given all answers, shape (n,).
        later, later_se: the same of the later level.
        gain_se: posterior SD of later - earlier, shape (n,).
        is_reference: students whom the others are compared with, shape (n,).
        level: probability inside the interval.

    Raises:
        GrowthDataError: shapes differ, a value is missing or infinite, an SD is negative, `gain_se` is impossible for the
            other two, reference students have no spread, or the level lies outside (0, 1).
    """
    start, start_se, end, end_se, change_se = _checked(earlier, earlier_se, later, later_se, gain_se)
    chosen = flags(is_reference, "is_reference", length=len(start), error=GrowthDataError)
    if not 0 < number(level, "level", error=GrowthDataError) < 1:
        raise GrowthDataError(f"an interval needs a probability between 0 and 1, not {level}")
    n_students = int(chosen.sum())
    if n_students < MIN_STUDENTS:
        return NoResult(f"not enough students to compare with: {n_students} of {MIN_STUDENTS}")

    from scipy import special

    covariance = 0.5 * (start_se**2 + end_se**2 - change_se**2)
    curves = _fit(start[chosen], start_se[chosen], end[chosen], end_se[chosen], covariance[chosen])
    slope = curves.slope(start, np.maximum(start_se, 1e-3))
    error = np.sqrt(np.maximum(end_se**2 + (slope * start_se) ** 2 - 2 * slope * covariance, 0.0))
    reach = float(special.ndtri(0.5 + 0.5 * level)) * error
    at, low, high = (curves.percentile(start, value) for value in (end, end - reach, end + reach))
    return GrowthPercentiles(at, low, high, curves)


def _checked(*columns: ArrayLike) -> list[np.ndarray]:
    names = ("earlier", "earlier_se", "later", "later_se", "gain_se")
    first = numbers(columns[0], names[0], error=GrowthDataError)
    checked = [first]
    for name, values in zip(names[1:], columns[1:], strict=True):
        low = 0.0 if name.endswith("se") else -np.inf
        checked.append(numbers(values, name, like=first.shape, low=low, error=GrowthDataError))
    start_se, end_se, change_se = checked[1], checked[3], checked[4]
    margin = 1e-6 + 1e-6 * (start_se + end_se)
    impossible = (change_se > start_se + end_se + margin) | (change_se < np.abs(start_se - end_se) - margin)
    if impossible.any():
        raise GrowthDataError(
            f"gain_se: {int(impossible.sum())} values cannot belong to the SDs of the two levels "
            f"(first at {int(np.argmax(impossible))})"
        )
    return checked


def _fit(  # noqa: PLR0917 (five columns of one table)
    start: np.ndarray, start_se: np.ndarray, end: np.ndarray, end_se: np.ndarray, covariance: np.ndarray
) -> GrowthCurves:
    """Curves through plausible levels: `PLAUSIBLE` pairs of each student, drawn from the joint posterior."""
    from threadpoolctl import threadpool_limits

    order = np.argsort(start, kind="stable")
    if len(order) > MAX_REFERENCE:
        order = order[np.linspace(0, len(order) - 1, MAX_REFERENCE).round().astype(np.int64)]
    start, start_se, end, end_se, covariance = (column[order] for column in (start, start_se, end, end_se, covariance))
    first, second = _plausible_deviates(len(start))
    slope = covariance / np.maximum(start_se, 1e-9) ** 2
    rest = np.sqrt(np.maximum(end_se**2 - slope * covariance, 0.0))
    x = start[:, None] + start_se[:, None] * first
    y = end[:, None] + (slope * start_se)[:, None] * first + rest[:, None] * second
    positions = next(quantiles for least, quantiles in KNOTS if len(start) >= least)
    knots = np.unique(np.quantile(x, positions))
    if len(knots) < len(positions):
        raise GrowthDataError("the earlier levels of the reference students hardly differ; check their source")
    basis = spline_basis(x.ravel(), knots)
    # The matrices are thin: threads of BLAS would only wait for each other.
    with threadpool_limits(1):
        coefficients = [quantile_regression(basis, y.ravel(), probability=tau) for tau in PROBABILITIES]
    return GrowthCurves(knots, np.array(coefficients), n_students=len(start))


def _plausible_deviates(n: int) -> np.ndarray:
    """`PLAUSIBLE` pairs of standard normal deviates for each of n students, shape (2, n, PLAUSIBLE).

    Roberts's low-discrepancy sequence (2018) runs on from student to student, so neighbours share no pair.
    """
    from scipy import special

    golden = 1.324717957244746  # the root of x^3 = x + 1
    position = np.arange(1, n * PLAUSIBLE + 1).reshape(n, PLAUSIBLE)
    return np.array([special.ndtri((0.5 + position / golden**power) % 1) for power in (1, 2)])


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, max(n, 1), BLOCK))
