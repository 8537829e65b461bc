"""Louis' observed information against differences of the gradient, where everything comes together."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.objective import FreeParameters, MarginalLikelihood, Parameters
from seedtest_analytics.stats.irt.result import Calibration
from tests.stats.irt._simulation import simulate

STEP = 1e-4


def numerical_covariance(data: ResponseData, config: CalibrationConfig, fit: Calibration) -> np.ndarray:
    """Inverse of minus the differences of the gradient in (a, d, logit c, mean, log SD), free ones only."""
    assert fit.free_index is not None
    likelihood = MarginalLikelihood(data, config.quadrature.nodes, priors=config.item_priors)
    c = fit.items.c
    with np.errstate(divide="ignore"):
        values = [
            fit.items.a,
            -fit.items.a * fit.items.b,
            np.log(c) - np.log1p(-c),
            fit.group_mean,
            np.log(fit.group_sd),
        ]
    is_free_item = np.zeros((data.n_items, 3), dtype=bool)
    is_free_group = np.zeros((data.n_groups, 2), dtype=bool)
    for position, parameter in fit.free_index:
        if position >= 0:
            is_free_item[position, parameter] = True
        else:
            is_free_group[-1 - position, parameter - 3] = True
    free = FreeParameters(is_free_item, is_free_group)

    def gradient(vector: np.ndarray) -> np.ndarray:
        items, groups = free.unpack(vector)
        at = Parameters(*(values[k] + items[:, k] for k in range(3)), *(values[3 + k] + groups[:, k] for k in range(2)))
        found = likelihood.evaluate(at)
        return free.pack(found.item_gradient, found.group_gradient)

    n = free.n
    hessian = np.array([(gradient(STEP * e) - gradient(-STEP * e)) / (2 * STEP) for e in np.eye(n)])
    return np.linalg.inv(-0.5 * (hessian + hessian.T))


def repeated_weighted_groups() -> tuple[ResponseData, CalibrationConfig]:
    """Two populations, case weights, and rows that answered some items twice or thrice."""
    first, second = simulate(300, 8, 5, seed=1), simulate(300, 8, 5, seed=2, mean=0.5, sd=1.3)
    user = np.concatenate([first.user, second.user + 1_000])
    item = np.concatenate([first.item, second.item]) % 6
    data = ResponseData.from_long(
        user,
        item,
        correct=np.concatenate([first.correct, second.correct]),
        weight=1.0 + user % 3,
        group=user >= 1_000,
        duplicates="keep",
    )
    return data, CalibrationConfig(tolerance=1e-8)


def guessing() -> tuple[ResponseData, CalibrationConfig]:
    return simulate(1_500, 8, 7, seed=3, c=0.2).data, CalibrationConfig(model="3PL", tolerance=1e-7)


def rasch() -> tuple[ResponseData, CalibrationConfig]:
    return simulate(500, 8, 6, seed=4).data, CalibrationConfig(model="Rasch", tolerance=1e-8)


def anchored() -> tuple[ResponseData, CalibrationConfig]:
    made = simulate(500, 9, 7, seed=5, mean=0.4)
    return made.data, CalibrationConfig(anchors=made.items.take(np.arange(5)), tolerance=1e-8)


def many_answers() -> tuple[ResponseData, CalibrationConfig]:
    return simulate(500, 20, 18, seed=6).data, CalibrationConfig(tolerance=1e-8)


@pytest.mark.parametrize("case", [many_answers, repeated_weighted_groups, guessing, rasch, anchored])
def test_covariance_of_all_parameters(case) -> None:  # type: ignore[no-untyped-def]
    data, config = case()
    fit = calibrate(data, config)
    assert fit.standard_error_method == "full"
    expected = numerical_covariance(data, config, fit)
    scale = np.sqrt(np.diag(expected))
    assert fit.free_covariance is not None
    np.testing.assert_allclose(np.sqrt(np.diag(fit.free_covariance)), scale, rtol=2e-4)
    np.testing.assert_allclose(
        fit.free_covariance / np.outer(scale, scale), expected / np.outer(scale, scale), atol=3e-4
    )
