"""Walking forward: every answer of a week is predicted once, from the answers before it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.walk import Block, split_by_student, walk_forward
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.verification.next_answer import (
    PEERS,
    REFITTED_PEERS,
    WEEKLY_PEERS,
    das3h,
    elo,
    item_mean,
    mixture,
    static_eap,
)
from seedtest_analytics.stats.verification.probabilities import auc
from tests.stats.ability._simulation import Cohort, simulate

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(Hyperparameters(level_walk=0.01), seed=81, n_students=60, n_items=80, weeks=16)


def walked(answers: Answers, **options: Any) -> list[Block]:
    """Weeks of seven days from the first day on."""
    defaults = {"refitted": {"Elo": elo}, "weekly": {"item mean": item_mean, "static EAP": static_eap}}
    return list(walk_forward(answers, np.arange(0.0, answers.day[-1], 7.0), **(defaults | options)))


def test_every_week_is_predicted_once_and_better_than_by_peers(cohort: Cohort) -> None:
    answers = cohort.answers
    blocks = walked(answers, refitted=REFITTED_PEERS, weekly=WEEKLY_PEERS)
    rows = np.concatenate([block.rows for block in blocks])
    weeks = [np.unique(answers.day[block.rows] // 7) for block in blocks]
    assert [len(week) for week in weeks] == [1] * len(blocks)
    assert rows.tolist() == list(range(rows[0], len(answers)))
    # The first week that begins with 500 answers.
    assert rows[0] >= 500 > np.searchsorted(answers.day, answers.day[rows[0]] // 7 * 7 - 7)
    correct = answers.correct[rows]
    scores = {
        name: auc(np.concatenate([block.probability[name] for block in blocks]), correct)[0]
        for name in blocks[0].probability
    }
    assert set(scores) == {"ability", "ability and history", *PEERS}
    assert scores["ability"] > max(scores[name] for name in PEERS)


def test_no_prediction_reads_a_later_answer(cohort: Cohort) -> None:
    """With other outcomes from the middle of the third week on, all predictions before stay."""
    answers = cohort.answers
    options = {"refitted": {name: peer for name, peer in REFITTED_PEERS.items() if name != "DAS3H"}}
    before = walked(answers, **options)[:3]
    middle = int(before[2].rows[len(before[2].rows) // 2])
    changed = answers.correct.copy()
    changed[middle:] = 1 - changed[middle:]
    after = walked(replace(answers, correct=changed), **options)[:3]
    for old, new in zip(before, after, strict=True):
        earlier = old.rows <= middle
        for name, values in old.probability.items():
            np.testing.assert_allclose(new.probability[name][earlier], values[earlier], rtol=1e-12, err_msg=name)
    assert (after[2].probability["ability"] != before[2].probability["ability"]).any()


def test_fits_are_as_rare_as_on_the_platform_and_the_others_learn_every_week(cohort: Cohort) -> None:
    """A peer is fitted with the hyperparameters: again with half as many answers again, or after ``refit_days``."""
    sizes: dict[str, list[int]] = {"rare": [], "weekly": []}

    def noting(name: str) -> Callable[[Answers, NDArray[np.bool_]], NDArray[np.float64]]:
        def peer(answers: Answers, is_training: NDArray[np.bool_]) -> NDArray[np.float64]:
            sizes[name].append(int(is_training.sum()))
            return np.full(len(answers), 0.5)

        return peer

    blocks = walked(cohort.answers, refitted={"a": noting("rare")}, weekly={"b": noting("weekly")}, refit_days=10_000)
    assert sizes["weekly"] == [int(block.rows[0]) for block in blocks]
    growth = np.divide(sizes["rare"][1:], sizes["rare"][:-1])
    assert 1 < len(sizes["rare"]) < len(blocks)
    assert (growth >= 1.5).all()
    sizes["rare"].clear()
    walked(cohort.answers, refitted={"a": noting("rare")}, weekly={}, refit_days=7)
    assert len(sizes["rare"]) == len(blocks)


def test_each_week_reads_the_calibration_that_is_known_when_it_begins(cohort: Cohort) -> None:
    """The true difficulties are known from the fifth week of the walk on."""
    answers, ones = cohort.answers, np.ones(len(cohort.difficulty))
    known = KnownItems.of(ones, cohort.difficulty, se_b=0 * ones)
    plain = walked(answers, refitted={}, weekly={})
    first = int(answers.day[plain[4].rows[0]] // 7)
    read = walked(answers, refitted={}, weekly={}, items=lambda week: known if week >= first else None)
    for old, new in zip(plain[:4], read[:4], strict=True):
        np.testing.assert_array_equal(new.probability["ability"], old.probability["ability"])
    rows = np.concatenate([block.rows for block in plain[4:]])
    before, after = (np.concatenate([block.probability["ability"] for block in blocks[4:]]) for blocks in (plain, read))
    assert auc(after, answers.correct[rows])[0] > auc(before, answers.correct[rows])[0] + 0.003
    # The history learns from the answers that a calibration knows already, so it learns the items itself.
    history = [
        np.concatenate([block.probability["ability and history"] for block in blocks[4:]]) for blocks in (plain, read)
    ]
    assert np.abs(history[1] - history[0]).mean() < 0.01 < np.abs(after - before).mean()


def test_a_week_whose_hyperparameters_are_not_usable_is_not_predicted(cohort: Cohort) -> None:
    """Difficulties upside down predict worse than the item's share of right answers."""
    answers, ones = cohort.answers, np.ones(len(cohort.difficulty))
    wrong = KnownItems.of(ones, -3 * cohort.difficulty, se_b=0 * ones)
    plain = walked(answers, refitted={}, weekly={})
    last = int(answers.day[plain[-1].rows[0]] // 7)
    read = walked(answers, refitted={}, weekly={}, items=lambda week: wrong if week == last else None)
    assert [block.rows.tolist() for block in read] == [block.rows.tolist() for block in plain[:-1]]


def test_a_log_that_nothing_can_be_learned_from_is_refused(cohort: Cohort) -> None:
    answers = cohort.answers
    with pytest.raises(AbilityDataError, match="fewer than 500; use a longer log"):
        walked(answers.take(slice(0, 500)))
    few = answers.take(answers.student < 19)
    assert len(few) > 1000
    with pytest.raises(AbilityDataError, match="no week of the log has usable hyperparameters"):
        walked(few)
    with pytest.raises(AbilityDataError, match="ascending"):
        next(walk_forward(answers, [7.0, 7.0], refitted={}, weekly={}))


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
