"""The arrays behind the plots."""

import numpy as np
import pytest

from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.plots import (
    posterior_intervals,
    predictive_check,
    probability_histogram,
    rank_histogram,
    student_fans,
    traces,
)
from seedtest_analytics.stats.growth.prediction import predict_students
from seedtest_analytics.stats.growth.simulate import simulate_cohort


@pytest.fixture(scope="module")
def fit():
    c = simulate_cohort(200, seed=61)
    data = growth_data(c.student, c.week, c.score)
    return c, data, fit_laplace(data, n_draws=1000, seed=5)


def test_intervals_are_nested_and_agree_with_the_summary(fit):
    _, _, posterior = fit
    shown = posterior_intervals(posterior)
    assert (shown.outer_lower < shown.inner_lower).all()
    assert (shown.inner_lower < shown.median).all()
    assert (shown.median < shown.inner_upper).all()
    assert (shown.inner_upper < shown.outer_upper).all()
    week = shown.names.index("week")
    assert shown.outer_upper[week] == pytest.approx(posterior.summary()["week"]["q97.5"])
    assert traces(posterior)["week"].shape == (1, 1000)


def test_ranks_are_flat_for_equal_chains_and_not_for_unequal():
    draws = np.random.default_rng(3).standard_normal((4, 1000))
    flat = rank_histogram(draws)
    assert flat.counts.sum(axis=1).tolist() == [1000] * 4
    assert (np.abs(flat.counts - flat.expected) < 5 * np.sqrt(flat.expected)).all()
    draws[0] += 1
    assert rank_histogram(draws).counts[0, -1] > 2 * flat.expected


def test_the_predictive_check_holds_for_the_model_and_fails_for_a_bend(fit):
    """At most 3 of 12 weeks outside 95 % bounds (binomial tail 0.2 %); a strong bend leaves many."""
    c, _, posterior = fit
    check = predictive_check(posterior, c.week, c.score, seed=1)
    outside = (check.observed_mean < check.mean_lower) | (check.observed_mean > check.mean_upper)
    assert outside.sum() <= 3
    spread = (check.observed_sd < check.sd_lower) | (check.observed_sd > check.sd_upper)
    assert spread.sum() <= 3
    bent = predictive_check(posterior, c.week, c.score + 0.006 * (c.week - 6.5) ** 2, seed=1)
    assert ((bent.observed_mean < bent.mean_lower) | (bent.observed_mean > bent.mean_upper)).sum() >= 6


def test_fans_agree_with_the_predictions_and_open_to_the_future(fit):
    _, data, posterior = fit
    fans = student_fans(posterior, data, [0, 9], np.array([6.0, 15.0]))
    p = predict_students(posterior, data, 15.0, 0.6, n_hyper_draws=400)
    for fan, row in zip(fans, (0, 9), strict=True):
        assert fan.student == data.students[row]
        assert fan.mean[1] == pytest.approx(p.projected[row])
        assert fan.outer_lower[1] == pytest.approx(p.projected_lower[row])
        assert fan.outer_upper[1] == pytest.approx(p.projected_upper[row])
        assert fan.outer_lower[1] < fan.inner_lower[1] < fan.mean[1] < fan.inner_upper[1] < fan.outer_upper[1]
        assert np.diff(fan.outer_upper - fan.outer_lower) > 0


def test_every_student_is_in_the_histogram(fit):
    edges, counts = probability_histogram(np.array([0.0, 0.049, 0.05, 0.999, 1.0]))
    assert len(edges) == 21
    assert counts.tolist() == [2, 1] + [0] * 17 + [2]
