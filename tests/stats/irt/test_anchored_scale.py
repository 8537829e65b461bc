"""The scale of fixed anchors: priors of the other items do not stretch it."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.irt.anchored_scale import Population, best_population, moved, priors_for, scale_gradient
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.objective import MarginalLikelihood, Parameters

PRIORS = ItemPriors(a=LogNormal(0.25, 0.5), b=Normal(0.0, 2.0))
NODES = np.linspace(-7.0, 7.0, 121)
N_ITEMS = 200


def simulated(
    seed: int, n_students: int, *, mean: float, sd: float, per_student: int = 26
) -> tuple[ResponseData, ItemParameters]:
    """Answers of students from N(mean, sd²), and the true items; log a ~ N(0.1, 0.33²), b ~ N(0, 1)."""
    random = np.random.default_rng(seed)
    truth = ItemParameters.of(
        np.arange(N_ITEMS),
        np.exp(random.normal(0.1, 0.33, N_ITEMS)),
        b=random.normal(0.0, 1.0, N_ITEMS),
        c=np.zeros(N_ITEMS),
    )
    theta = random.normal(mean, sd, n_students)
    item = np.concatenate([random.choice(N_ITEMS, per_student, replace=False) for _ in range(n_students)])
    student = np.repeat(np.arange(n_students, dtype=np.int32), per_student)
    p = 1.0 / (1.0 + np.exp(-truth.a[item] * (theta[student] - truth.b[item])))
    right = (random.random(len(item)) < p).astype(np.int32)
    return ResponseData.from_long(student, item.astype(np.int64), correct=right), truth


def point(data: ResponseData, truth: ItemParameters) -> Parameters:
    items = truth.take(truth.positions(data.item_ids))
    return Parameters(
        items.a, items.intercept, gamma=np.full(len(items.a), -np.inf), mean=np.array([0.3]), log_sd=np.array([0.2])
    )


def test_moving_the_other_items_with_the_population_leaves_their_answers_as_likely() -> None:
    data, truth = simulated(1, 200, mean=0.0, sd=1.0)
    at = point(data, truth)
    nobody = np.zeros(len(at.a), dtype=bool)
    there = moved(at, Population(-0.4, 0.8), is_anchor=nobody)
    assert Population.of(there).distance(Population(-0.4, 0.8)) < 1e-12
    values = [
        MarginalLikelihood(data, nodes, priors=ItemPriors()).evaluate(p).log_likelihood
        for p, nodes in ((at, NODES), (there, NODES))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    gradient = scale_gradient(at, MarginalLikelihood(data, NODES, priors=ItemPriors()).evaluate(at), is_anchor=nobody)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-3)


def test_the_gradient_is_that_of_differences() -> None:
    data, truth = simulated(2, 100, mean=0.0, sd=1.0)
    at = point(data, truth)
    is_anchor = np.arange(len(at.a)) % 7 == 0
    likelihood = MarginalLikelihood(data, NODES, priors=ItemPriors())

    def value(mean: float, log_sd: float) -> float:
        there = moved(at, Population(mean, float(np.exp(log_sd))), is_anchor=is_anchor)
        return likelihood.evaluate(there).log_likelihood

    step = 1e-4
    by_differences = [
        (value(0.3 + step, 0.2) - value(0.3 - step, 0.2)) / (2 * step),
        (value(0.3, 0.2 + step) - value(0.3, 0.2 - step)) / (2 * step),
    ]
    found = scale_gradient(at, likelihood.evaluate(at), is_anchor=is_anchor)
    np.testing.assert_allclose(found, by_differences, rtol=1e-5)


def test_the_population_of_true_items_is_found() -> None:
    data, truth = simulated(3, 2000, mean=0.5, sd=1.3)
    at = point(data, truth)
    found = best_population(
        MarginalLikelihood(data, NODES, priors=ItemPriors()), at, is_anchor=np.ones(len(at.a), dtype=bool)
    )
    assert found.distance(Population(0.5, 1.3)) < 3 * 1.4 / np.sqrt(2000)


def test_priors_move_with_the_population() -> None:
    there = priors_for(PRIORS, Population(0.5, 2.0))
    assert there.a is not None
    assert there.b is not None
    assert there.a.mean_log == pytest.approx(0.25 - np.log(2.0))
    assert (there.b.mean, there.b.sd) == (0.5, 4.0)


@pytest.mark.parametrize(("n_students", "sd", "seeds"), [(250, 1.0, range(100, 112)), (2000, 1.0, range(200, 204))])
def test_twenty_anchors_decide_the_scale_of_two_hundred_items(n_students: int, sd: float, seeds: range) -> None:
    """Mean log SD of the population and mean log slope over calibrations, with errors that shrink with students.

    With the priors on the anchors' scale the SD of 250 students is 9 % too large.
    """
    log_sds, slopes = [], []
    for seed in seeds:
        data, truth = simulated(seed, n_students, mean=0.4, sd=sd)
        anchors = truth.take(np.arange(0, N_ITEMS, 10))
        found = calibrate(data, CalibrationConfig(priors=PRIORS, anchors=anchors, standard_errors="none"))
        assert found.verdict.usable
        log_sds.append(np.log(found.group_sd[0] / sd))
        others = ~np.isin(found.parameters.item_ids, anchors.item_ids)
        known = truth.take(truth.positions(found.parameters.item_ids[others]))
        slopes.append(np.log(found.parameters.a[others]).mean() - np.log(known.a).mean())
    error = np.std(log_sds) / np.sqrt(len(log_sds))
    assert abs(np.mean(log_sds)) < 3 * error + 0.02
    assert abs(np.mean(slopes)) < 3 * error + 0.04
    assert error < 0.9 / np.sqrt(n_students)
