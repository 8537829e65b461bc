"""Student growth percentiles: against an independent quantile regression, and against true levels."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import QuantileRegressor

from seedtest_analytics.stats.growth.errors import GrowthDataError
from seedtest_analytics.stats.growth.percentiles import MIN_STUDENTS, PROBABILITIES, growth_percentiles
from seedtest_analytics.stats.growth.quantile_regression import quantile_regression
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.splines import spline_basis

MEDIAN_GAIN, KEPT, SPREAD = 0.25, 0.9, 0.35


def skewed(n, p, seed):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, p - 1))])
    return x, x @ np.arange(p) + rng.gamma(1.5, 1.0, n) * (1 + 0.5 * np.abs(x[:, 1]))


@pytest.mark.parametrize(("n", "p", "seed"), [(15, 2, 1), (200, 3, 2), (1500, 5, 3)])
@pytest.mark.parametrize("tau", [0.01, 0.3, 0.5, 0.975])
def test_coefficients_are_those_of_a_linear_program(n, p, seed, tau):
    x, y = skewed(n, p, seed)
    theirs = QuantileRegressor(quantile=tau, alpha=0, fit_intercept=False, solver="highs").fit(x, y).coef_
    ours = quantile_regression(x, y, probability=tau)
    loss = [np.sum((y - x @ b) * (tau - (y < x @ b))) for b in (ours, theirs)]
    # Where several coefficients are optimal the two may differ; the loss may not.
    assert loss[0] == pytest.approx(loss[1], rel=1e-6)
    np.testing.assert_allclose(x @ ours, x @ theirs, atol=1e-3)


def test_a_perfect_line_is_found():
    x = np.column_stack([np.ones(9), np.arange(9.0)])
    np.testing.assert_allclose(quantile_regression(x, x @ [2.0, 3.0], probability=0.2), [2.0, 3.0], atol=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "tau", "message"),
    [
        (np.ones((5, 2)), np.arange(5.0), 0.5, "linearly dependent"),
        (np.ones((5, 1)), np.arange(4.0), 0.5, "y has shape"),
        (np.ones((5, 1)), [0, 1, np.nan, 3, 4], 0.5, "missing or infinite y"),
        (np.ones((5, 1)), np.arange(5.0), 1.0, "between 0 and 1"),
        (np.ones(5), np.arange(5.0), 0.5, "n >= p"),
    ],
)
def test_impossible_regressions_are_refused(x, y, tau, message):
    with pytest.raises(GrowthDataError, match=message):
        quantile_regression(x, y, probability=tau)


def exact(start, end, **options):
    zero = np.zeros(len(start))
    options = {"is_reference": np.ones(len(start), dtype=bool)} | options
    return growth_percentiles(start, zero, later=end, later_se=zero, gain_se=zero, **options)


def test_without_measurement_error_they_are_those_of_an_independent_quantile_regression():
    """Each student lies between the same two of the other program's curves, but for ties."""
    rng = np.random.default_rng(4)
    start = rng.standard_normal(300)
    end = 0.2 + 0.8 * start + (0.3 + 0.1 * np.abs(start)) * rng.gamma(2.0, 0.7, 300)
    found = exact(start, end)
    assert not isinstance(found, NoResult)
    x = spline_basis(start, found.curves.knots)
    theirs = [
        x @ QuantileRegressor(quantile=tau, alpha=0, fit_intercept=False, solver="highs").fit(x, end).coef_
        for tau in PROBABILITIES
    ]
    edges = 100 * np.concatenate([[0.0], PROBABILITIES, [1.0]])
    lowest, highest = (np.sum(np.sort(theirs, axis=0) <= end + tie, axis=0) for tie in (-1e-4, 1e-4))
    assert ((edges[lowest] - 1.01 <= found.percentile) & (found.percentile <= edges[highest + 1] + 1.01)).all()
    np.testing.assert_array_equal(found.lower, found.percentile)


def cohort(n, seed, error):
    """True levels, and posteriors of them as an exact filter would give: the population is the prior."""
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(n)
    end = MEDIAN_GAIN + KEPT * start + SPREAD * rng.standard_normal(n)
    prior = np.array([[1.0, KEPT], [KEPT, KEPT**2 + SPREAD**2]])
    noise = error * rng.uniform(0.5, 2.0, (n, 2))
    seen = np.column_stack([start, end]) + noise * rng.standard_normal((n, 2))
    means, covariances = [], []
    for k in range(n):
        gain = prior @ np.linalg.inv(prior + np.diag(noise[k] ** 2))
        means.append([0.0, MEDIAN_GAIN] + gain @ (seen[k] - [0.0, MEDIAN_GAIN]))
        covariances.append(prior - gain @ prior)
    mean, covariance = np.array(means), np.array(covariances)
    posterior = {
        "earlier": mean[:, 0],
        "earlier_se": np.sqrt(covariance[:, 0, 0]),
        "later": mean[:, 1],
        "later_se": np.sqrt(covariance[:, 1, 1]),
        "gain_se": np.sqrt(covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1]),
    }
    truth = 100 * stats.norm.cdf((end - MEDIAN_GAIN - KEPT * start) / SPREAD)
    return truth, posterior


@pytest.mark.parametrize(("n", "seed", "margin"), [(3000, 31, 0.015), (300, 32, 0.05), (60, 33, 0.11)])
def test_intervals_hold_the_percentile_of_the_true_levels(n, seed, margin):
    """95 % intervals; the margin is four binomial SDs, or 0.015 where that is less."""
    truth, posterior = cohort(n, seed, error=0.3)
    found = growth_percentiles(**posterior, is_reference=np.ones(n, dtype=bool))
    assert not isinstance(found, NoResult)
    assert np.mean((found.lower <= np.clip(truth, 1, 99)) & (np.clip(truth, 1, 99) <= found.upper)) == pytest.approx(
        0.95, abs=margin
    )
    assert found.percentile.mean() == pytest.approx(50, abs=4 * 29 / np.sqrt(n))


def test_curves_are_those_of_true_levels():
    """The quartiles of the later level, in a cohort whose posteriors are shrunk; tolerance 0.05 logits."""
    _, posterior = cohort(3000, 41, error=0.4)
    found = growth_percentiles(**posterior, is_reference=np.ones(3000, dtype=bool))
    assert not isinstance(found, NoResult)
    at = np.array([-1.0, 0.0, 1.0])
    quartiles = found.curves.quantiles(at)[:, [np.argmin(np.abs(PROBABILITIES - p)) for p in (0.25, 0.75)]]
    expected = MEDIAN_GAIN + KEPT * at[:, None] + SPREAD * stats.norm.ppf([0.25, 0.75])
    np.testing.assert_allclose(quartiles, expected, atol=0.05)


def test_more_error_widens_the_interval_and_others_do_not_matter():
    _, posterior = cohort(200, 51, error=0.3)
    is_reference = np.arange(200) < 150
    found = growth_percentiles(**posterior, is_reference=is_reference)
    added = np.where(is_reference, 0.0, 0.2)
    unsure = {name: np.hypot(posterior[name], added) for name in ("later_se", "gain_se")}
    wider = growth_percentiles(**(posterior | unsure), is_reference=is_reference)
    assert not isinstance(found, NoResult)
    assert not isinstance(wider, NoResult)
    np.testing.assert_array_equal(found.percentile, wider.percentile)
    assert ((wider.upper - wider.lower) >= (found.upper - found.lower))[150:].all()


def test_too_few_students_are_told_how_many_would_be_enough():
    found = exact(np.arange(MIN_STUDENTS + 5.0), np.arange(MIN_STUDENTS + 5.0), is_reference=np.arange(55) < 49)
    assert found == NoResult("not enough students to compare with: 49 of 50")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"later": np.arange(59.0)}, "later has shape"),
        ({"later_se": -np.ones(60)}, "missing later_se or one outside 0"),
        ({"gain_se": np.full(60, 9.0)}, "60 values cannot belong to the SDs"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"earlier": np.ones(60)}, "hardly differ"),
    ],
)
def test_impossible_levels_are_refused(change, message):
    _, posterior = cohort(60, 61, error=0.3)
    if "earlier" in change:
        posterior |= {"earlier_se": np.zeros(60), "gain_se": posterior["later_se"]}
    with pytest.raises(GrowthDataError, match=message):
        growth_percentiles(**(posterior | {"is_reference": np.ones(60, dtype=bool)} | change))
