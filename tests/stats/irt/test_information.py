"""A verdict looks at what the answers determine, and not only at convergence."""

import numpy as np
import pytest

from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters

WEAK = ItemPriors(a=LogNormal(0.0, 0.5), b=Normal(0.0, 2.0))
RNG = np.random.default_rng(3)
A, B = RNG.lognormal(0.0, 0.3, 20), RNG.normal(0.0, 1.0, 20)


def answers(n_rows: int, n_each: int, seed: int = 4) -> ResponseData:
    """Rows of ability N(0, 1) answer ``n_each`` of 20 items each."""
    rng = np.random.default_rng(seed)
    item = np.argsort(rng.random((n_rows, 20)), axis=1)[:, :n_each].ravel()
    row = np.repeat(np.arange(n_rows), n_each)
    theta = rng.normal(0.0, 1.0, n_rows)[row]
    return ResponseData.from_long(
        row, item, correct=rng.random(len(row)) < 1 / (1 + np.exp(-A[item] * (theta - B[item])))
    )


@pytest.mark.parametrize("n_rows", [600, 3000])
@pytest.mark.parametrize(
    "config",
    [
        CalibrationConfig(),
        CalibrationConfig(priors=WEAK),
        CalibrationConfig(model="Rasch", priors=ItemPriors(b=Normal(0.0, 2.0))),
        CalibrationConfig(priors=WEAK, anchors=ItemParameters.of(np.arange(8), A[:8], b=B[:8])),
    ],
    ids=["2PL", "2PL with priors", "Rasch", "anchors"],
)
def test_one_answer_a_student_is_not_usable(n_rows, config):
    """The 2PL without priors had standard errors of 800 to 1,500 and was usable."""
    verdict = calibrate(answers(n_rows, 1), config).verdict
    assert not verdict.usable
    assert any("single answers determine neither slopes" in reason for reason in verdict.reasons)


def test_slopes_that_only_the_prior_knows_are_not_usable():
    """100 rows of two answers: the prior keeps the standard errors small."""
    fit = calibrate(answers(100, 2, seed=6), CalibrationConfig(priors=WEAK, min_responses=5))
    assert np.nanmax(fit.items.se_a) < 1
    assert any("slopes come from their prior" in reason for reason in fit.verdict.reasons)


def test_items_that_the_answers_do_not_determine_are_not_usable():
    fit = calibrate(answers(100, 2, seed=6), CalibrationConfig(min_responses=5, max_iterations=60))
    assert any("do not determine the items" in reason for reason in fit.verdict.reasons)


@pytest.mark.parametrize("priors", [ItemPriors(), WEAK])
@pytest.mark.parametrize(("n_rows", "n_each"), [(500, 12), (100, 20)])
def test_an_ordinary_test_is_usable(n_rows, n_each, priors):
    assert calibrate(answers(n_rows, n_each), CalibrationConfig(priors=priors)).verdict.reasons == ()


def test_without_standard_errors_only_the_number_of_answers_is_known():
    assert calibrate(answers(500, 12), CalibrationConfig(standard_errors="none")).verdict.usable
