"""The arrays behind the plots."""

import numpy as np
import pytest

from benchmarks._cohorts import simulate_cohort
from seedtest_analytics.stats.growth import plots
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.plots import (
    posterior_intervals,
    predictive_check,
    probability_histogram,
    rank_histogram,
    student_fans,
)
from tests.stats.growth.support import predict_students


@pytest.fixture(scope="module")
def fit():
    c = simulate_cohort(200, seed=61)
    data = growth_data(c.student, c.week, score=c.score)
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


def test_ranks_are_flat_for_equal_chains_and_not_for_unequal():
    draws = np.random.default_rng(3).standard_normal((4, 1000))
    flat = rank_histogram(draws)
    assert flat.counts.sum(axis=1).tolist() == [1000] * 4
    assert (np.abs(flat.counts - flat.expected) < 5 * np.sqrt(flat.expected)).all()
    draws[0] += 1
    assert rank_histogram(draws).counts[0, -1] > 2 * flat.expected


def outside(check):
    """In how many weeks mean and SD lie outside their bounds."""
    mean = (check.observed_mean < check.mean_lower) | (check.observed_mean > check.mean_upper)
    sd = (check.observed_sd < check.sd_lower) | (check.observed_sd > check.sd_upper)
    return mean.sum(), sd.sum()


def test_the_predictive_check_holds_for_the_model_and_fails_for_a_bend(fit):
    """At most 3 of 12 weeks outside 95 % bounds (binomial tail 0.2 %); a strong bend leaves many."""
    c, _, posterior = fit
    assert max(outside(predictive_check(posterior, c.student, week=c.week, score=c.score, seed=1))) <= 3
    bent = c.score + 0.006 * (c.week - 6.5) ** 2
    assert outside(predictive_check(posterior, c.student, week=c.week, score=bent, seed=1))[0] >= 6


def test_the_predictive_check_counts_scores_by_the_precision_that_the_fit_was_given():
    """Scores of the model with very unequal precision lie in the bounds, and not where all are taken alike."""
    rng = np.random.default_rng(3)
    n, n_weeks = 300, 8
    student, week = np.repeat(np.arange(n), n_weeks), np.tile(np.arange(n_weeks), n).astype(float)
    weight = rng.lognormal(0, 1.2, n * n_weeks)
    weight /= weight.mean()
    line = 0.2 + rng.normal(0, 0.4, n)[student] + rng.normal(0.05, 0.1, n)[student] * week
    score = line + rng.normal(0, 0.5, n * n_weeks) / np.sqrt(weight)
    posterior = fit_laplace(growth_data(student, week, score=score, weight=weight), n_draws=1000, seed=5)
    assert max(outside(predictive_check(posterior, student, week=week, score=score, weight=weight))) <= 2
    alike = predictive_check(posterior, student, week=week, score=score)
    assert (alike.observed_sd > alike.sd_upper).mean() > 0.5


def test_the_predictive_check_of_many_students_takes_some_of_them(fit, monkeypatch):
    """A tenth of the students: bounds of the mean are about three times as wide; codes need not be dense."""
    c, _, posterior = fit
    everybody = predictive_check(posterior, c.student, week=c.week, score=c.score, seed=2)
    monkeypatch.setattr(plots, "CHECK_STUDENTS", 20)
    some = predictive_check(posterior, 1000 + 7 * c.student, week=c.week, score=c.score, seed=2)
    assert some.weeks.tolist() == everybody.weeks.tolist()
    ratio = np.median((some.mean_upper - some.mean_lower) / (everybody.mean_upper - everybody.mean_lower))
    assert 2 < ratio < 5


def test_fans_agree_with_the_predictions_and_open_to_the_future(fit):
    _, data, posterior = fit
    fans = student_fans(posterior, data, students=[0, 9], weeks=np.array([6.0, 15.0]))
    p = predict_students(posterior, data, goal_week=15.0, goal=0.6, n_hyper_draws=400)
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
