"""Rare items borrow from their topic: the pool is recovered, and without rare items nothing changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.pooling import _PoolAnswers, _Task, fit_pool
from tests.stats.irt._simulation import simulate

WEAK = ItemPriors(a=LogNormal(), b=Normal())
POOLED = CalibrationConfig(min_responses=1, pool_below=10, priors=WEAK, standard_errors="block")


@dataclass(frozen=True)
class RareLog:
    """Answers of students to many items of some topics. All slopes are 1.2, and abilities have mean 0 and SD 1."""

    student: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    theta: np.ndarray
    topic: np.ndarray
    topic_mean: np.ndarray
    b: np.ndarray

    @property
    def data(self) -> ResponseData:
        made = ResponseData.from_long(self.student, self.item, correct=self.correct)
        return made.with_topics(made.item_ids, self.topic[made.item_ids])


def rare_log(
    seed: int, *, n_students: int = 150, n_items: int = 4_000, each: int = 100, spread: float = 0.8
) -> RareLog:
    random = np.random.default_rng(seed)
    topic = np.arange(n_items) % 20
    topic_mean = random.normal(0.3, 0.6, 20)
    b = topic_mean[topic] + random.normal(0, spread, n_items)
    theta = random.normal(0, 1, n_students)
    theta = (theta - theta.mean()) / theta.std()
    student = np.repeat(np.arange(n_students), each)
    item = np.concatenate([random.choice(n_items, each, replace=False) for _ in range(n_students)])
    p = 1 / (1 + np.exp(-1.2 * (theta[student] - b[item])))
    correct = (random.random(len(p)) < p).astype(int)
    return RareLog(student, item, correct, theta, topic, topic_mean=topic_mean, b=b)


def test_the_pool_of_known_abilities_is_recovered() -> None:
    """20 topics, 3,000 items with 4 answers each; tolerances are four standard errors of such a sample."""
    log = rare_log(901, n_students=120, n_items=3_000)
    ids, code = np.unique(log.item, return_inverse=True)
    error = np.random.default_rng(902).normal(0, 0.3, len(log.theta))
    pool = fit_pool(
        code,
        log.correct,
        topic=log.topic[ids],
        theta=(log.theta + error)[log.student] / 1.09,
        theta_se=np.full(len(code), 0.3 / np.sqrt(1.09)),
    )
    assert pool.spread == pytest.approx(0.8, abs=0.12)
    assert pool.slope == pytest.approx(1.2, abs=0.1)
    assert pool.topic_sd == pytest.approx(log.topic_mean.std(), abs=0.2)
    z = (pool.topic_mean - log.topic_mean) / pool.topic_se
    assert np.abs(z).max() < 4.0
    assert 0.5 < z.std() < 1.6


def test_the_gradient_of_the_pool_is_that_of_its_likelihood() -> None:
    log = rare_log(903, n_students=20, n_items=200, each=20)
    ids, code = np.unique(log.item, return_inverse=True)
    theta, error = log.theta[log.student], np.full(len(code), 0.4)
    answers = _PoolAnswers.of(code, log.correct, topic=log.topic[ids], theta=theta, theta_se=error)
    task = _Task(answers, slope=None, asymptote=0.15)
    x = task.start(0.5) + 0.1
    _, gradient, _ = task.evaluate(x, 0.5)
    step = 1e-5 * np.eye(len(x))
    numeric = [(task.evaluate(x + s, 0.5)[0] - task.evaluate(x - s, 0.5)[0]) / 2e-5 for s in step]
    assert gradient == pytest.approx(np.array(numeric), abs=1e-4)


def test_every_answered_item_gets_a_difficulty_with_an_honest_error() -> None:
    """Also the items whose few answers are all right or all wrong. Weak priors have larger errors of b."""
    log = rare_log(904, n_students=80, n_items=2_000)
    pooled = calibrate(log.data, POOLED)
    weak = calibrate(log.data, CalibrationConfig(min_responses=2, priors=WEAK, standard_errors="none"))
    items = pooled.items
    is_rare = items.n_responses < 10
    assert is_rare.mean() > 0.95
    assert (items.status[is_rare] == "estimated").all()
    error = items.b - log.b[items.item_ids]
    covered = np.abs(error) < 1.96 * items.se_b
    assert 0.92 < covered[is_rare].mean() < 0.98
    both = weak.items.status == "estimated"
    worse = np.sqrt(((weak.items.b - log.b[items.item_ids])[both] ** 2).mean())
    assert np.sqrt((error[both] ** 2).mean()) < 0.85 * worse
    assert pooled.verdict.usable
    assert any(text.startswith("rare items borrow from their topic") for text in pooled.verdict.warnings)
    assert pooled.pool is not None
    assert pooled.pool.slope == pytest.approx(1.2, abs=0.2)


def test_a_rasch_calibration_pools_difficulties_and_keeps_its_slope() -> None:
    log = rare_log(905, n_students=60, n_items=600, each=60)
    config = CalibrationConfig(model="Rasch", min_responses=1, pool_below=10, priors=ItemPriors(b=Normal()))
    found = calibrate(log.data, config)
    assert found.verdict.usable
    assert found.pool is not None
    assert found.pool.slope == 1.0
    assert np.allclose(found.items.a[found.items.status == "estimated"], 1.0)


def test_without_rare_items_the_calibration_is_the_same_to_the_last_bit() -> None:
    made = simulate(300, 30, 20, seed=906).data
    plain = calibrate(made, CalibrationConfig(min_responses=1, priors=WEAK, standard_errors="block"))
    pooled = calibrate(made, POOLED)
    assert pooled.pool is None
    assert np.array_equal(plain.items.b, pooled.items.b)
    assert np.array_equal(plain.items.se_b, pooled.items.se_b)


def test_items_with_answers_enough_hardly_change_beside_rare_ones() -> None:
    """30 items with 200 answers and more, and 300 rare ones: b and a move by a tenth of their errors on average."""
    made = simulate(300, 30, 20, seed=907)
    log = rare_log(908, n_students=300, n_items=300, each=3)
    item = np.concatenate([made.item, 1_000 + log.item])
    data = ResponseData.from_long(
        np.concatenate([made.user, log.student]), item, correct=np.concatenate([made.correct, log.correct])
    )
    plain, pooled = calibrate(data, CalibrationConfig(min_responses=10, priors=WEAK)), calibrate(data, POOLED)
    often = pooled.items.item_ids < 1_000
    z = (pooled.items.b - plain.items.b)[often] / plain.items.se_b[often]
    assert np.sqrt((z**2).mean()) < 0.5


def test_rare_items_need_a_prior_for_the_others() -> None:
    with pytest.raises(IrtDataError, match="pool_below needs a prior on b"):
        CalibrationConfig(pool_below=10)
    with pytest.raises(IrtDataError, match="number them from 0 without gaps"):
        fit_pool([0, 2], [1, 0], topic=[0, 0], theta=[0.0, 0.1], theta_se=[0.1, 0.1])
    with pytest.raises(IrtDataError, match="2 items have no topic"):
        ResponseData.from_long([1, 1], [5, 6], correct=[0, 1]).with_topics([7], [0])
