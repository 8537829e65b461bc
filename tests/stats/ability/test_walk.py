"""Walking forward: every later answer is predicted once, from the answers before it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.walk import split_by_student, walk_forward
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.verification.next_answer import PEERS, das3h, elo, item_mean, mixture, static_eap
from seedtest_analytics.stats.verification.probabilities import auc
from tests.stats.ability._simulation import Cohort, simulate

pytestmark = pytest.mark.long

READERS = {"Elo": elo, "item mean": item_mean, "static EAP": static_eap}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(Hyperparameters(level_walk=0.01), seed=81, n_students=60, n_items=80, weeks=16)


def test_every_later_answer_is_predicted_once_and_better_than_by_peers(cohort: Cohort) -> None:
    answers = cohort.answers
    blocks = list(walk_forward(answers, peers=PEERS, block_days=21))
    rows = np.concatenate([block.rows for block in blocks])
    assert rows.tolist() == list(range(int(0.5 * len(answers)), len(answers)))
    assert len(blocks) > 2
    correct = answers.correct[rows]
    scores = {
        name: auc(np.concatenate([block.probability[name] for block in blocks]), correct)[0]
        for name in blocks[0].probability
    }
    assert set(scores) == {"ability", "ability and history", *PEERS}
    assert scores["ability"] > max(scores[name] for name in PEERS)


def test_no_prediction_reads_a_later_answer(cohort: Cohort) -> None:
    """With other outcomes from the third block on, the first two blocks keep their predictions."""
    answers = cohort.answers
    before = list(walk_forward(answers, peers=READERS, block_days=21))
    changed = answers.correct.copy()
    changed[before[2].rows[0] :] = 1 - changed[before[2].rows[0] :]
    other = replace(answers, correct=changed)
    after = list(walk_forward(other, peers=READERS, block_days=21))
    for old, new in zip(before[:2], after[:2], strict=True):
        for name, values in old.probability.items():
            np.testing.assert_array_equal(new.probability[name], values, err_msg=name)
    assert (after[2].probability["ability"] != before[2].probability["ability"]).any()


def test_a_short_log_is_refused(cohort: Cohort) -> None:
    with pytest.raises(AbilityDataError, match="fewer than 500; use a longer log"):
        next(walk_forward(cohort.answers.take(slice(0, 900)), peers={}))


def test_every_student_is_predicted_once_and_no_prediction_reads_a_later_answer_of_its_fold(cohort: Cohort) -> None:
    answers = cohort.answers
    peers = {"Elo": elo, "item mean": item_mean}
    before = list(split_by_student(answers, peers=peers))
    rows = np.concatenate([block.rows for block in before])
    assert sorted(rows) == list(range(len(answers)))
    for fold, block in enumerate(before):
        assert set(answers.student[block.rows] % 2) == {fold}
    first = before[0].rows
    changed = answers.correct.copy()
    changed[first[len(first) // 2 :]] = 1 - changed[first[len(first) // 2 :]]
    after = next(iter(split_by_student(replace(answers, correct=changed), peers=peers)))
    for name, values in before[0].probability.items():
        np.testing.assert_array_equal(after.probability[name][: len(first) // 2], values[: len(first) // 2], name)
        assert name == "item mean" or (after.probability[name] != values).any()


def test_a_log_of_one_fold_is_refused(cohort: Cohort) -> None:
    one = cohort.answers.take(cohort.answers.student == 0)
    with pytest.raises(AbilityDataError, match="fold 0 has"):
        next(split_by_student(one, peers={}))


def test_das3h_counts_what_the_window_holds() -> None:
    """Topic 0 is right after an answer within the last hour, wrong after a longer pause: item and totals cannot tell."""
    random = np.random.default_rng(83)
    n, students = 40, 60
    soon = random.random((students, n)) < 0.5
    day = np.cumsum(np.where(soon, 0.01, 2.0), axis=1)
    correct = (random.random(soon.shape) < np.where(soon, 0.85, 0.15)).astype(int)
    student = np.repeat(np.arange(students), n)
    zero = np.zeros(student.size, dtype=int)
    answers = Answers.of(student, zero, topic=zero, day=day.ravel(), correct=correct.ravel())
    is_training = np.arange(len(answers)) < len(answers) // 2
    p = das3h(answers, is_training)
    assert auc(p[~is_training], answers.correct[~is_training])[0] > 0.75


def test_static_eap_is_the_ability_of_the_60_days_before_the_week(cohort: Cohort) -> None:
    """By a sum over a grid of abilities, for the last answers of some students."""
    answers = cohort.answers
    is_training = np.arange(len(answers)) < len(answers) // 2
    p = static_eap(answers, is_training)
    data = ResponseData.from_long(
        *(values[is_training] for values in (answers.student, answers.item)),
        correct=answers.correct[is_training],
        duplicates="keep",
    )
    items = calibrate(data, CalibrationConfig(priors=ItemPriors(a=LogNormal(), b=Normal()))).parameters
    a, b = (np.full(len(cohort.difficulty), np.nan) for _ in range(2))
    a[items.item_ids], b[items.item_ids] = items.a, items.b
    grid = np.linspace(-6, 6, 2001)
    for row in range(len(answers) - 1, len(answers) - 40, -5):
        start = answers.day[0] + 7 * np.floor((answers.day[row] - answers.day[0]) / 7)
        own = (answers.student == answers.student[row]) & (answers.day < start) & (answers.day >= start - 60)
        own &= np.isfinite(a[answers.item])
        eta = a[answers.item[own], None] * (grid - b[answers.item[own], None])
        log_mass = -np.logaddexp(0, np.where(answers.correct[own, None] == 1, -eta, eta)).sum(axis=0) - grid**2 / 2
        mass = np.exp(log_mass - log_mass.max())
        mean = np.average(grid, weights=mass)
        variance = np.average((grid - mean) ** 2, weights=mass)
        slope, difficulty = a[answers.item[row]], b[answers.item[row]]
        expected = slope * (mean - difficulty) / np.sqrt(1 + np.pi / 8 * slope**2 * variance)
        assert p[row] == pytest.approx(1 / (1 + np.exp(-expected)), abs=2e-3)


def test_static_eap_of_a_log_without_calibrated_items_is_the_share() -> None:
    code = np.arange(40)
    answers = Answers.of(code % 4, code, topic=code * 0, day=code / 2, correct=(code % 4 > 0).astype(int))
    p = static_eap(answers, code < 20)
    assert p == pytest.approx(p[0])
    assert 0.6 < p[0] < 0.75


def test_a_mixture_follows_the_method_that_knows() -> None:
    random = np.random.default_rng(84)
    p = random.uniform(0.05, 0.95, 4000)
    outcomes = (random.random(4000) < p).astype(float)
    is_training = np.arange(4000) < 2000
    mixed = mixture({"knows": p, "guesses": random.uniform(0.05, 0.95, 4000)}, outcomes, is_training=is_training)
    np.testing.assert_allclose(mixed, p, atol=0.06)
