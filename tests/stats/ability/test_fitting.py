"""Hyperparameters come back from simulated cohorts, better from larger ones; the verdict says when they may be used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import PredictiveLikelihood, gather_evidence, run_filter
from seedtest_analytics.stats.ability.fitting import _Space, fit_hyperparameters
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import smooth
from tests.stats.ability._simulation import simulate

TRUTH = Hyperparameters(
    level_mean=0.4,
    level_variance=0.8,
    level_walk=0.004,
    slope_mean=0.004,
    slope_variance=4e-6,
    slope_walk=0.0,
    topic_spread=0.3,
    topic_walk=0.0,
)


@pytest.mark.long
@pytest.mark.parametrize(("n_students", "tolerance"), [(100, 1.0), (800, 0.3)])
def test_hyperparameters_come_back_and_larger_cohorts_tell_more(n_students: int, tolerance: float) -> None:
    cohort = simulate(TRUTH, seed=21, n_students=n_students, n_items=120, weeks=16)
    fit = fit_hyperparameters(cohort.answers, items=cohort.known_items)
    h = fit.hyperparameters
    assert fit.verdict.is_usable
    for name in ("level_variance", "level_walk", "topic_spread"):
        assert np.log(getattr(h, name) / getattr(TRUTH, name)) == pytest.approx(0.0, abs=tolerance), name
    assert h.level_mean == pytest.approx(TRUTH.level_mean, abs=0.4 * tolerance)
    # Growth of the mean student by week 16, by slope and practice together.
    growth = 112 * h.slope_mean + h.practice * np.log1p(90)
    assert growth == pytest.approx(112 * TRUTH.slope_mean, abs=0.5 * tolerance)


@pytest.mark.long
@pytest.mark.parametrize("before", [None, 1e-6])
def test_slopes_that_differ_come_back_also_after_a_fit_that_saw_none(before: float | None) -> None:
    truth = replace(TRUTH, slope_variance=1.5e-4, level_walk=0.002)
    cohort = simulate(truth, seed=26, n_students=400, n_items=120, weeks=16)
    start = None if before is None else replace(Hyperparameters(), slope_variance=before)
    found = fit_hyperparameters(cohort.answers, items=cohort.known_items, start=start).hyperparameters
    assert np.log(found.slope_variance / truth.slope_variance) == pytest.approx(0.0, abs=0.5)


@pytest.mark.long
@pytest.mark.parametrize("seed", [41, 42])
def test_the_truth_is_as_likely_as_the_estimate(seed: int) -> None:
    """Form, growth and eight topics together: what the filter leaves out would make the truth unlikely. 800 students."""
    truth = replace(
        TRUTH, form_variance=0.1, slope_variance=1e-5, slope_walk=1e-5 / 365, topic_spread=0.4, growth_days=1000
    )
    cohort = simulate(truth, seed=seed, n_students=800, weeks=16, n_topics=8)
    items = cohort.known_items
    fitted = fit_hyperparameters(cohort.answers, items=items, start=truth).hyperparameters
    likelihood = PredictiveLikelihood(cohort.answers, items)
    assert likelihood(truth) - likelihood(fitted) > -6.0
    for name in ("form_variance", "slope_variance"):
        assert np.log(getattr(fitted, name) / getattr(truth, name)) == pytest.approx(0.0, abs=0.8), name


@pytest.mark.parametrize(("information", "spread"), [(0.0, 1.5**2), (4.0, 1 / (4.0 + 1.5**-2)), (1e9, 0.0)])
def test_a_variance_is_the_expected_one(information: float, spread: float) -> None:
    """The mean of a log-normal number; the prior alone has an SD of 1.5, and effects stay."""
    space = _Space.of(Hyperparameters(), items=None, with_slope=True)
    x = np.r_[space.centre - 2.0, np.full(len(space.effects), 0.3)]
    found = space.expected(x, information * np.eye(len(x)))
    for name, log in zip(space.variances, x, strict=False):
        assert np.log(getattr(found, name)) == pytest.approx(log + 0.5 * spread, abs=1e-8)
    effects = space.at(x)
    assert all(getattr(found, name) == getattr(effects, name) for name in space.effects)
    at_edge = space.expected(np.full(len(x), 9.0), information * np.eye(len(x)))
    assert max(getattr(at_edge, name) for name in space.variances) <= 4.0 + 1e-9


@pytest.mark.long
@pytest.mark.parametrize(("n_students", "weeks", "largest_sd"), [(100, 4, 0.004), (400, 8, 0.0025)])
def test_the_error_of_the_mean_slope_is_what_it_says(n_students: int, weeks: int, largest_sd: float) -> None:
    """Eight cohorts with other mean slopes; the prior alone has an SD of 0.004 logits a day."""
    off, errors = [], []
    for k, slope in enumerate(np.random.default_rng(31).normal(0.0, 0.004, 8)):
        truth = replace(TRUTH, slope_mean=float(slope), slope_variance=1e-5)
        cohort = simulate(truth, seed=1700 + k, n_students=n_students, n_items=120, weeks=weeks)
        found = fit_hyperparameters(cohort.answers, items=cohort.known_items).hyperparameters
        off.append(found.slope_mean - slope)
        errors.append(np.sqrt(found.slope_mean_variance))
    assert max(errors) < largest_sd
    assert 0.5 < np.sqrt(np.mean(np.divide(off, errors) ** 2)) < 1.5


@pytest.mark.long
def test_spread_of_items_within_and_between_topics_comes_back() -> None:
    truth = replace(TRUTH, level_mean=0.0, item_spread=0.5, item_topic_spread=1.0, slope_mean=0.0)
    cohort = simulate(truth, seed=22, n_students=300, n_items=600, n_topics=30, weeks=10)
    h = fit_hyperparameters(cohort.answers, with_slope=False).hyperparameters
    assert h.item_spread == pytest.approx(0.5, rel=0.25)
    assert h.item_topic_spread == pytest.approx(1.0, rel=0.6)
    assert h.slope_variance == h.slope_mean == 0.0


@pytest.mark.long
def test_the_fit_starts_from_the_last_one_and_stays_there() -> None:
    answers = simulate(TRUTH, seed=23, n_students=150).answers
    first = fit_hyperparameters(answers)
    again = fit_hyperparameters(answers, start=first.hyperparameters)
    assert again.n_passes < first.n_passes
    for name in ("level_variance", "level_walk", "topic_spread", "item_spread"):
        old, new = (getattr(fit.hyperparameters, name) for fit in (first, again))
        assert new == pytest.approx(old, rel=0.1), name


@pytest.mark.long
def test_thinning_takes_whole_students() -> None:
    answers = simulate(TRUTH, seed=24, n_students=200).answers
    fit = fit_hyperparameters(answers, max_answers=len(answers) // 3, max_passes=30)
    assert 50 <= fit.n_students <= 70


def test_thinning_counts_the_students_that_answer() -> None:
    """Half of the students of a log, such as those with odd codes, are a log too."""
    answers = simulate(TRUTH, seed=24, n_students=40, n_items=40).answers
    half = answers.take(answers.student % 2 == 1)
    fit = fit_hyperparameters(half, max_answers=len(half) - 1, max_passes=1)
    assert fit.n_students == 10


@pytest.mark.long
@pytest.mark.parametrize("n_topics", [1, 2])
def test_where_nobody_has_two_topics_the_level_is_all_of_the_ability(n_topics: int) -> None:
    """A student's deviation in the only topic and the level are one: their variances would come from the priors."""
    cohort = simulate(TRUTH, seed=28, n_students=120, n_items=60, n_topics=1, weeks=10)
    answers = replace(cohort.answers, topic=cohort.answers.student % np.int32(n_topics))
    fit = fit_hyperparameters(answers, items=cohort.known_items)
    assert fit.hyperparameters.topic_spread == fit.hyperparameters.topic_walk == 0.0
    levels = smooth(gather_evidence(answers, fit.hyperparameters, items=cohort.known_items), [70.0]).levels
    truth = cohort.level[levels.student, 70] + cohort.deviation[levels.student, 0]
    assert np.polyfit(truth, levels.level, 1)[0] == pytest.approx(0.9, abs=0.1)
    assert np.mean(np.abs(levels.level - truth) < 1.96 * levels.level_se) == pytest.approx(0.95, abs=0.035)


@pytest.mark.long
def test_guesses_are_not_usable() -> None:
    """Answers that depend on nothing: the model cannot beat the item's share."""
    random = np.random.default_rng(25)
    n = 3000
    answers = Answers.of(
        random.integers(0, 60, n),
        random.integers(0, 5, n),
        topic=np.zeros(n, int),
        day=np.sort(random.uniform(0, 50, n)),
        correct=random.integers(0, 2, n),
    )
    fit = fit_hyperparameters(answers)
    assert fit.hyperparameters.level_variance < 0.1
    few = fit_hyperparameters(answers.take(np.arange(200)))
    assert not few.verdict.is_usable
    assert "200 answers are fewer than 500" in few.verdict.reasons


def test_no_answers_are_refused() -> None:
    with pytest.raises(AbilityDataError, match="no answers"):
        fit_hyperparameters(Answers.of(np.empty(0, int), np.empty(0, int), topic=np.empty(0, int), day=[], correct=[]))


def test_all_right_gives_finite_numbers() -> None:
    n = 600
    answers = Answers.of(
        np.arange(n) % 30, np.arange(n) % 7, topic=np.arange(n) % 2, day=np.arange(n) / 9, correct=np.ones(n)
    )
    fit = fit_hyperparameters(answers, max_passes=60)
    assert np.isfinite(fit.log_likelihood)
    assert np.isfinite(run_filter(answers, fit.hyperparameters).probability).all()


def test_the_fit_is_the_same_with_any_number_of_threads() -> None:
    answers = simulate(Hyperparameters(), seed=71, n_students=30, n_items=40, weeks=6).answers
    one, four = (fit_hyperparameters(answers, max_passes=70, threads=n) for n in (1, 4))
    assert one.hyperparameters == four.hyperparameters
    assert one.n_passes == four.n_passes > 30


def test_answers_that_follow_a_pattern_give_no_abilities_that_nobody_has() -> None:
    """60 students in 40 weeks: all alike in every third week, else every third answer is wrong."""
    week, student, answer = (code.ravel() for code in np.indices((40, 60, 10)))
    answers = Answers.of(
        student,
        (student * 7 + week * 11 + answer) % 300,
        topic=answer % 3,
        day=7.0 * week + student / 24 + answer / 1440,
        correct=((student + week * answer) % 3 > 0).astype(int),
    )
    fit = fit_hyperparameters(answers)
    assert fit.verdict.warnings
    topics = smooth(gather_evidence(answers, fit.hyperparameters), [280.0]).topics
    assert np.abs(topics.ability).max() < 12
