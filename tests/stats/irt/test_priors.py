"""Priors: derivatives against differences, densities against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seedtest_analytics.stats.irt.config import Beta, CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.priors import evaluate_priors
from tests.stats.irt._simulation import simulate

POINT = np.array([[0.8, 0.4, -1.2], [1.7, -2.0, 0.3], [0.4, 1.1, -2.5]])
PRIORS = [
    ItemPriors(a=LogNormal(0.1, 0.4)),
    ItemPriors(b=Normal(0.2, 1.5)),
    ItemPriors(d=Normal(-0.3, 2.0)),
    ItemPriors(c=Beta(5.0, 17.0)),
    ItemPriors(c=Normal(-1.1, 0.5)),
    ItemPriors(a=LogNormal(), b=Normal(), c=Beta()),
]


@pytest.mark.parametrize("priors", PRIORS)
def test_derivatives_are_those_of_the_density(priors: ItemPriors) -> None:

    def at(point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, d, gamma = point.T
        return evaluate_priors(priors, a, d=d, gamma=gamma)

    _, gradient, hessian = at(POINT)
    h = 1e-5
    for j in range(3):
        step = np.zeros((1, 3))
        step[0, j] = h
        upper, lower = at(POINT + step), at(POINT - step)
        np.testing.assert_allclose(gradient[:, j], (upper[0] - lower[0]) / (2 * h), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(hessian[:, :, j], (upper[1] - lower[1]) / (2 * h), rtol=1e-6, atol=1e-7)


def test_densities() -> None:
    a, d, gamma = POINT.T
    c = 1 / (1 + np.exp(-gamma))
    value, _, _ = evaluate_priors(
        ItemPriors(a=LogNormal(0.1, 0.4), b=Normal(0.2, 1.5), c=Beta(5, 17)), a, d=d, gamma=gamma
    )
    expected = stats.lognorm(0.4, scale=np.exp(0.1)).logpdf(a) + stats.norm(0.2, 1.5).logpdf(-d / a)
    np.testing.assert_allclose(value, expected + stats.beta(5, 17).logpdf(c))


def test_priors_on_difficulty_and_intercept_exclude_each_other() -> None:
    with pytest.raises(IrtDataError, match="counted twice"):
        ItemPriors(b=Normal(), d=Normal())


def test_priors_shrink_and_fade_with_answers() -> None:
    """Mean distance from the estimate without a prior: large at 150 users, small at 6,000."""
    distances = []
    for n_users in (150, 6_000):
        data = simulate(n_users, 15, 15, seed=91).data
        flat = calibrate(data)
        shrunk = calibrate(data, CalibrationConfig(priors=ItemPriors(a=LogNormal(0.0, 0.2), b=Normal(0.0, 1.0))))
        assert shrunk.converged
        assert np.std(np.log(shrunk.items.a)) < np.std(np.log(flat.items.a))
        assert np.all(shrunk.items.se_a < flat.items.se_a * 1.01)
        distances.append(np.abs(shrunk.items.a - flat.items.a).mean())
    assert distances[1] < 0.2 * distances[0]
