"""The smoother against the posterior itself, coverage of its intervals, silence, change between windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.evidence import Evidence
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import change_between, levels_before, smooth
from tests.stats.ability._simulation import Cohort, simulate

TRUTH = Hyperparameters(level_walk=0.004, topic_spread=0.3, topic_walk=0.0)


def brute_force(answers: Answers, b: Floats, h: Hyperparameters, days: list[float]) -> tuple[Floats, Floats]:
    """Posterior mean and SD of the levels at ``days`` by importance sampling from the prior, 400,000 paths."""
    random = np.random.default_rng(1)
    n = 400_000
    level = h.level_mean + np.sqrt(h.level_variance) * random.standard_normal(n)
    topics = int(answers.topic.max()) + 1
    deviation = np.sqrt(h.topic_spread) * random.standard_normal((topics, n))
    log_weight = np.zeros(n)
    paths = []
    for before, day in zip([days[0], *days], days, strict=False):
        level = level + np.sqrt(h.level_walk * (day - before)) * random.standard_normal(n)
        paths.append(level)
        for r in np.flatnonzero(answers.day == day):
            eta = level + deviation[answers.topic[r]] - b[answers.item[r]]
            log_weight -= np.logaddexp(0, -eta if answers.correct[r] else eta)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    values = np.array(paths)
    mean = values @ weight
    return mean, np.sqrt((values**2) @ weight - mean**2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_levels_agree_with_the_posterior_by_brute_force(seed: int) -> None:
    """A student with 3 to 15 answers in three weeks and three topics; all answers of a week at one time."""
    random = np.random.default_rng(seed)
    h = Hyperparameters(level_mean=0.3, level_variance=0.8, level_walk=0.02, topic_spread=0.3, topic_walk=0.0)
    n = int(random.integers(3, 16))
    days = [3.0, 17.0, 24.0]
    day = np.sort(np.r_[days, random.choice(days, n - 3)])
    b = random.normal(0, 1, n)
    answers = Answers.of(
        np.zeros(n, int), np.arange(n), topic=random.integers(0, 3, n), day=day, correct=random.integers(0, 2, n)
    )
    evidence = gather_evidence(answers, h, items=KnownItems.of(np.ones(n), b, se_b=np.zeros(n)))
    mean, sd = brute_force(answers, b, h, days)
    # A week end just behind the answers of that week.
    for k, until in enumerate(days):
        levels = smooth(evidence, [until + 1e-9, 28.0]).levels if until < 24 else smooth(evidence, [24.0 + 1e-9]).levels
        assert levels.level[0] == pytest.approx(mean[k], abs=0.03)
        assert levels.level_se[0] == pytest.approx(sd[k], abs=0.03)


@pytest.mark.parametrize("form_variance", [0.0, 0.3])
@pytest.mark.parametrize("n_topics", [2, 5, 12])
def test_levels_and_topics_agree_with_one_matrix_of_all(n_topics: int, form_variance: float) -> None:
    """The same equations without elimination of topics and of form: with 12 answers to 12 topics, all have one cell."""
    random = np.random.default_rng(60 + n_topics)
    h = Hyperparameters(
        level_variance=0.8, level_walk=0.02, topic_spread=0.9, topic_walk=0.0, form_variance=form_variance
    )
    days, n = np.array([3.0, 8.0, 12.0]), 12
    week, b, topic = np.sort(np.arange(n) % 3), random.normal(0, 1, n), np.arange(n) % n_topics
    correct = random.integers(0, 2, n)
    answers = Answers.of(np.zeros(n, int), np.arange(n), topic=topic, day=days[week], correct=correct)
    evidence = gather_evidence(answers, h, items=KnownItems.of(np.ones(n), b, se_b=np.zeros(n)))
    found = smooth(evidence, [5.0, 12.0 + 1e-9])
    # Levels that last, form, deviations.
    design = np.hstack([np.eye(3)[week], np.eye(3)[week], np.eye(n_topics)[topic]])
    prior = np.zeros((6 + n_topics, 6 + n_topics))
    prior[:3, :3] = np.linalg.inv(h.level_variance + h.level_walk * (np.minimum.outer(days, days) - days[0]))
    prior[3:6, 3:6] = np.linalg.inv(
        (form_variance or 1e-9) * np.exp(-np.abs(np.subtract.outer(days, days)) / h.form_days)
    )
    prior[6:, 6:] = np.eye(n_topics) / h.topic_spread
    mean, covariance = np.zeros(len(prior)), np.linalg.inv(prior)
    for _ in range(60):
        narrow = 1 / np.sqrt(1 + np.pi / 8 * np.einsum("ni,ij,nj->n", design, covariance, design))
        p = 1 / (1 + np.exp(-narrow * (design @ mean - b)))
        covariance = np.linalg.inv(prior + (design.T * (narrow * p * (1 - p))) @ design)
        mean = mean + covariance @ (design.T @ (correct - p) - prior @ mean)
    sd = np.sqrt(np.diag(covariance) + np.r_[[form_variance] * 3, [0.0] * (3 + n_topics)])
    assert (found.levels.level[1], found.levels.level_se[1]) == pytest.approx((mean[2], sd[2]), abs=3e-3)
    # A part of the way from the first to the second week, and the noise of the walk between them.
    share = (5.0 - days[0]) / (days[1] - days[0])
    between = share * mean[1] + (1 - share) * mean[0]
    variance = np.array([1 - share, share]) @ covariance[:2, :2] @ np.array([1 - share, share])
    variance += h.level_walk * share * (1 - share) * (days[1] - days[0]) + form_variance
    assert (found.levels.level[0], found.levels.level_se[0]) == pytest.approx((between, variance**0.5), abs=3e-3)
    assert found.topics.deviation == pytest.approx(mean[6:][found.topics.topic], abs=3e-3)
    assert found.topics.deviation_se == pytest.approx(sd[6:][found.topics.topic], abs=3e-3)
    if n_topics == n:
        # With a topic for each answer, the covariance of a deviation and the newest level is exact.
        whole = np.array([covariance[2, 2] + covariance[k, k] + 2 * covariance[2, k] for k in range(6, 6 + n_topics)])
        is_newest = week[np.argsort(topic)][found.topics.topic] == 2
        expected = np.sqrt(whole + form_variance)[found.topics.topic]
        assert found.topics.ability_se[is_newest] == pytest.approx(expected[is_newest], abs=3e-3)


def weekly_errors(cohort: Cohort, evidence: Evidence, weeks: int) -> tuple[Floats, Floats]:
    ends = 7.0 * np.arange(1, weeks + 1)
    levels = smooth(evidence, ends).levels
    error = levels.level - cohort.level[levels.student, ends[levels.week].astype(int)]
    return error, error / levels.level_se


@pytest.mark.long
def test_intervals_cover_levels_with_form() -> None:
    """The hyperparameters are estimated; without form the intervals are too narrow. 800 students in 16 weeks, four seeds.

    Estimates of the form differ by a fifth from seed to seed, which moves the coverage of one by 0.012, that of four by 0.006.
    """
    truth = replace(TRUTH, level_walk=0.001, form_variance=0.15)
    held, held_without_form = [], []
    for seed in (31, 32, 33, 34):
        cohort = simulate(truth, seed=seed, n_students=800, weeks=16)
        items = cohort.known_items
        fit = fit_hyperparameters(cohort.answers, items=items, with_slope=False).hyperparameters
        assert fit.form_variance == pytest.approx(0.15, abs=0.05)
        assert fit.level_walk == pytest.approx(0.001, abs=0.0007)
        for h, shares in ((fit, held), (replace(truth, form_variance=0.0), held_without_form)):
            _, z = weekly_errors(cohort, gather_evidence(cohort.answers, h, items=items), 16)
            shares.append((np.abs(z) < 1.96).mean())
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
    assert np.mean(held_without_form) < 0.85


def test_the_change_between_windows_holds_the_form_of_their_days() -> None:
    """Beside the mean ability of the days of each window. 800 students, seed 20."""
    truth = replace(TRUTH, level_walk=0.001, form_variance=0.3)
    cohort = simulate(truth, seed=20, n_students=800, weeks=6)
    evidence = gather_evidence(cohort.answers, truth, items=cohort.known_items)
    change = change_between(evidence, (14.0, 28.0), recent=(28.0, 42.0))
    happened = cohort.level[:, 28:42].mean(axis=1) - cohort.level[:, 14:28].mean(axis=1)
    z = (change.difference - happened) / change.se
    assert np.nanmean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.025)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
def test_intervals_of_levels_and_topics_cover(seed: int) -> None:
    cohort = simulate(TRUTH, seed=seed, n_students=300, weeks=16)
    evidence = gather_evidence(cohort.answers, TRUTH, items=cohort.known_items)
    error, z = weekly_errors(cohort, evidence, 16)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.015)
    assert np.mean(error) == pytest.approx(0.0, abs=0.06)
    topics = smooth(evidence, [112.0]).topics
    truth = cohort.level[topics.student, 112] + cohort.deviation[topics.student, topics.topic]
    z = (topics.ability - truth) / topics.ability_se
    counts = np.zeros((300, 6))
    np.add.at(counts, (cohort.answers.student, cohort.answers.topic), 1)
    n = counts[topics.student, topics.topic]
    for band in (n < 10, (n >= 10) & (n < 20), n >= 20):
        assert band.sum() > 50
        assert np.mean(np.abs(z[band]) < 1.96) == pytest.approx(0.95, abs=0.035)


@pytest.mark.long
def test_intervals_cover_where_nearly_every_item_is_rare() -> None:
    """2.7 answers an item. An answer that counted twice, for its item and its student, would shrink the errors."""
    cohort = simulate(TRUTH, seed=13, n_students=120, n_items=12_000, n_topics=40, weeks=30, per_week=13)
    evidence = gather_evidence(cohort.answers, TRUTH)
    _, z = weekly_errors(cohort, evidence, 30)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("practice", [0.0, 0.1])
def test_without_calibrated_items_the_mean_of_the_first_week_is_the_origin(practice: float) -> None:
    """95 % of the answers are right. The filter alone leaves the levels before the first answer 0.1 too high."""
    truth = replace(TRUTH, level_mean=0.2, item_mean=-3.4, practice=practice)
    cohort = simulate(truth, seed=17, n_students=150, weeks=4)
    evidence = gather_evidence(cohort.answers, truth)
    assert np.nanmean(levels_before(evidence)) == pytest.approx(0.2 - 1.4 * practice, abs=0.01)
    levels = smooth(evidence, [7.0, 28.0]).levels
    # The end of the week has the gain of all its answers: 0.5 · practice more than their mean.
    assert levels.level[levels.week == 0].mean() == pytest.approx(0.2 + 0.5 * practice, abs=0.05)


def test_the_origin_moves_levels_and_difficulties_together(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = simulate(replace(TRUTH, item_mean=-2.0), seed=17, n_students=60, weeks=4).answers
    moved = gather_evidence(answers, TRUTH)
    monkeypatch.setattr("seedtest_analytics.stats.ability.filtering.with_origin", lambda evidence: evidence)
    unmoved = gather_evidence(answers, TRUTH)
    by = unmoved.difficulties()[0] - moved.difficulties()[0]
    assert np.ptp(by) < 1e-12 < np.abs(by[0])
    new, old = (smooth(evidence, [28.0]) for evidence in (moved, unmoved))
    np.testing.assert_allclose(old.levels.level - new.levels.level, by[0], atol=1e-3)
    np.testing.assert_allclose(old.topics.ability - new.topics.ability, by[0], atol=1e-3)


def test_later_students_leave_the_origin_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.stats.ability.origin.MOST_STUDENTS", 40)
    answers = simulate(replace(TRUTH, level_mean=0.0), seed=18, n_students=80, n_items=30, weeks=6).answers
    oldest = np.isin(answers.student, np.unique(answers.student)[:40])
    late = answers.day + 42.0 * ~oldest
    able = Answers.of(
        answers.student, answers.item, topic=answers.topic, day=late, correct=np.where(oldest, answers.correct, 1)
    )
    before = smooth(gather_evidence(able.take(able.day < 42.0), TRUTH), [42.0]).levels
    after = smooth(gather_evidence(able, TRUTH), [84.0]).levels
    assert np.mean(after.level[:40] - before.level[:40]) == pytest.approx(0.0, abs=0.05)


def test_leaving_the_weeks_of_topics_out_changes_nothing_else() -> None:
    cohort = simulate(TRUTH, seed=14, n_students=30, weeks=6)
    evidence = gather_evidence(cohort.answers, TRUTH)
    all_of_it, short = smooth(evidence, [21.0, 42.0]), smooth(evidence, [21.0, 42.0], topic_weeks=False)
    assert len(all_of_it.topic_weeks.student) > len(all_of_it.topics.student) > 0
    assert len(short.topic_weeks.student) == 0
    for name in ("levels", "topics"):
        for field, values in vars(getattr(all_of_it, name)).items():
            np.testing.assert_array_equal(getattr(getattr(short, name), field), values)


def test_without_new_answers_the_level_stays_and_widens() -> None:
    cohort = simulate(TRUTH, seed=14, n_students=30, weeks=6)
    evidence = gather_evidence(cohort.answers, TRUTH)
    short, long = smooth(evidence, [42.0]), smooth(evidence, [42.0, 49.0, 70.0, 365.0])
    for week in (1, 2, 3):
        later = long.levels.week == week
        np.testing.assert_allclose(long.levels.level[later], short.levels.level, atol=1e-9)
        before = long.levels.week == week - 1
        assert (long.levels.level_se[later] > long.levels.level_se[before]).all()
        assert (long.levels.silent_days[later] > long.levels.silent_days[before]).all()
    np.testing.assert_allclose(long.topics.ability, short.topics.ability, atol=1e-9)
    assert (long.topics.ability_se > short.topics.ability_se).all()


def test_every_student_with_an_answer_has_rows_from_the_first_week_on() -> None:
    answers = Answers.of([4, 4, 1], [0, 1, 0], topic=[0, 0, 0], day=[1.0, 15.0, 9.0], correct=[1, 0, 1])
    levels = smooth(gather_evidence(answers, TRUTH), [7.0, 14.0, 21.0]).levels
    assert list(zip(levels.student, levels.week, strict=True)) == [(1, 1), (1, 2), (4, 0), (4, 1), (4, 2)]
    np.testing.assert_allclose(levels.silent_days, [5, 12, 6, 13, 6])


def test_results_do_not_depend_on_threads() -> None:
    evidence = gather_evidence(simulate(TRUTH, seed=15, n_students=50).answers, TRUTH)
    one, two = (smooth(evidence, [42.0, 84.0], threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.levels.level, two.levels.level)
    np.testing.assert_array_equal(one.topics.ability_se, two.topics.ability_se)


@pytest.mark.long
def test_parts_of_the_students_are_the_whole() -> None:
    evidence = gather_evidence(simulate(TRUTH, seed=15, n_students=50).answers, TRUTH)
    whole = smooth(evidence, [42.0, 84.0])
    parts = [smooth(evidence, [42.0, 84.0], students=bounds) for bounds in ((0, 7), (7, 7), (7, 50))]
    for kind in ("levels", "topics", "topic_weeks"):
        for name, expected in vars(getattr(whole, kind)).items():
            found = np.concatenate([getattr(getattr(part, kind), name) for part in parts])
            np.testing.assert_array_equal(found, expected)
    for bounds in ((-1, 3), (5, 3), (0, 51)):
        with pytest.raises(AbilityDataError, match="students must be two ascending codes"):
            smooth(evidence, [84.0], students=bounds)


def test_repetitions_are_equal_to_the_last_bit() -> None:
    """Threads lay arrays out in memory at will, and sums must not depend on it."""
    cohort = simulate(Hyperparameters(slope_variance=4e-6), seed=75, n_students=80, n_items=200, weeks=8)
    evidence = gather_evidence(cohort.answers, cohort.truth, items=cohort.known_items)
    first = smooth(evidence, [56.0])
    for _ in range(60):
        again = smooth(evidence, [56.0])
        np.testing.assert_array_equal(again.levels.level, first.levels.level)
        np.testing.assert_array_equal(again.topics.ability, first.topics.ability)


def test_change_is_not_biased_by_how_much_was_practised() -> None:
    """Half of the students answer four times as much in the recent window as before, the others a quarter."""
    truth = replace(TRUTH, level_walk=0.01)
    cohort = simulate(truth, seed=16, n_students=1200, weeks=8, per_week=16, active=1.0)
    answers = cohort.answers
    random = np.random.default_rng(0)
    is_more = answers.student % 2 == 0
    is_recent = answers.day >= 42
    kept = answers.take((is_more == is_recent) | (random.random(len(answers)) < 0.25))
    change = change_between(gather_evidence(kept, truth, items=cohort.known_items), (28.0, 42.0), recent=(42.0, 56.0))
    actual = cohort.level[:, 42:56].mean(axis=1) - cohort.level[:, 28:42].mean(axis=1)
    error = change.difference - actual
    more = np.arange(1200) % 2 == 0
    able = cohort.level[:, 35] > 0
    for cell in (more & able, more & ~able, ~more & able, ~more & ~able):
        assert abs(error[cell].mean()) < 0.05
    assert np.mean(np.abs(error / change.se) < 1.96) == pytest.approx(0.95, abs=0.015)


def test_change_has_nothing_to_say_about_students_without_answers() -> None:
    answers = Answers.of([2], [0], topic=[0], day=[3.0], correct=[1])
    change = change_between(gather_evidence(answers, TRUTH), (0.0, 7.0), recent=(7.0, 14.0))
    assert np.isnan(change.difference[:2]).all()
    assert change.difference[2] == pytest.approx(0.0)
    assert change.se[2] > 0


def test_answers_after_the_end_are_refused() -> None:
    evidence = gather_evidence(simulate(TRUTH, seed=17, n_students=5).answers, TRUTH)
    with pytest.raises(AbilityDataError, match="at or after the last week end"):
        smooth(evidence, [7.0])
    with pytest.raises(AbilityDataError, match="ascend"):
        smooth(evidence, [90.0, 85.0])
    with pytest.raises(AbilityDataError, match="recent window"):
        change_between(evidence, (0.0, 7.0), recent=(7.0, 14.0))
    with pytest.raises(AbilityDataError, match="earlier window ends"):
        change_between(evidence, (7.0, 7.0), recent=(80.0, 94.0))
