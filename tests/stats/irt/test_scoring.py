"""Abilities: exactness, extremes, priors by row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.model import ItemParameters, information, probability
from seedtest_analytics.stats.irt.scoring import score
from tests.stats.irt._simulation import from_matrix, simulate

ITEMS = ItemParameters.of(
    np.arange(6), [1.0, 1.5, 0.7, 2.0, 1.2, 0.9], b=[-1.0, 0.0, 0.5, 1.0, -0.5, 2.0], c=[0, 0, 0.2, 0, 0.1, 0]
)


def exact_moments(answers: list[int], mean: float, sd: float) -> tuple[float, float]:
    """Posterior mean and SD by adaptive quadrature of the density as written."""

    def density(theta: float) -> float:
        p = ITEMS.c + (1 - ITEMS.c) / (1 + np.exp(-ITEMS.a * (theta - ITEMS.b)))
        likelihood = np.prod(np.where(np.array(answers) == 1, p, 1 - p))
        return float(likelihood * np.exp(-0.5 * ((theta - mean) / sd) ** 2))

    low, high = mean - 12 * sd, mean + 12 * sd
    moments = [
        quad(lambda t, k=k: density(t) * t**k, low, high, epsabs=0, epsrel=1e-10, limit=400)[0] for k in range(3)
    ]
    first = moments[1] / moments[0]
    return first, float(np.sqrt(moments[2] / moments[0] - first**2))


@pytest.mark.long
@pytest.mark.parametrize("answers", [[1, 1, 0, 0, 1, 0], [1] * 6, [0] * 6])
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.3, 0.05), (2.5, 3.0), (-1.0, 0.4)])
def test_eap_is_the_exact_posterior_mean_for_any_prior(answers: list[int], mean: float, sd: float) -> None:
    """Priors narrower than the grid's spacing and far out ones get a separate grid."""
    scores = score(from_matrix([answers]), ITEMS, prior_mean=mean, prior_sd=sd)
    expected_mean, expected_sd = exact_moments(answers, mean, sd)
    assert scores.theta[0] == pytest.approx(expected_mean, abs=2e-6)
    assert scores.se[0] == pytest.approx(expected_sd, abs=2e-6)


def test_priors_by_row_are_the_same_as_one_by_one() -> None:
    made = simulate(50, 20, 10, seed=1)
    mean, sd = np.linspace(-1, 1, 50), np.linspace(0.2, 1.5, 50)
    together = score(made.data, made.items, prior_mean=mean, prior_sd=sd)
    for r in (0, 17, 49):
        mine = made.user == r
        alone = score(
            ResponseData.from_long(made.user[mine], made.item[mine], correct=made.correct[mine]),
            made.items,
            prior_mean=mean[r],
            prior_sd=sd[r],
        )
        assert together.theta[r] == pytest.approx(alone.theta[0], abs=1e-9)
        assert together.se[r] == pytest.approx(alone.se[0], abs=1e-9)


def test_topic_ability_with_the_users_posterior_as_prior_is_the_posterior_of_all_answers() -> None:
    """Bayes in two steps, as far as the first posterior is normal: 40 answers, then 3."""
    made = simulate(200, 60, 43, seed=2)
    first = np.tile(np.arange(43) < 40, 200)
    whole = score(made.data, made.items)
    base = score(ResponseData.from_long(made.user[first], made.item[first], correct=made.correct[first]), made.items)
    topic = score(
        ResponseData.from_long(made.user[~first], made.item[~first], correct=made.correct[~first]),
        made.items,
        prior_mean=base.theta,
        prior_sd=base.se,
    )
    np.testing.assert_allclose(topic.theta, whole.theta, atol=0.03)
    np.testing.assert_allclose(topic.se, whole.se, atol=0.02)


@pytest.mark.parametrize("method", ["EAP", "MAP", "WLE"])
def test_all_right_and_all_wrong_have_finite_abilities(method: str) -> None:
    items = ItemParameters.of(np.arange(5), np.ones(5), b=np.linspace(-1, 1, 5))
    scores = score(from_matrix([[1] * 5, [0] * 5]), items, method=method)  # type: ignore[arg-type]
    assert np.isfinite(scores.theta).all()
    assert scores.theta[0] == pytest.approx(-scores.theta[1], abs=1e-6)
    assert scores.theta[0] > 1.0


@pytest.mark.parametrize("answers", [[1, 0, 1, 0, 1], [1] * 5, [0] * 5, [0, 0, 1, 1, 1]])
def test_wle_of_2pl_items_is_the_mode_under_jeffreys_prior(answers: list[int]) -> None:
    """Warm 1989, p. 431: for these models the weight is the square root of the information."""
    items = ItemParameters.of(np.arange(5), [1.0, 1.5, 0.7, 2.0, 1.2], b=[-1.0, 0.0, 0.5, 1.0, -0.5])

    def loss(theta: float) -> float:
        p = probability([theta], items)[:, 0]
        log_likelihood = np.log(np.where(np.array(answers) == 1, p, 1 - p)).sum()
        return -float(log_likelihood + 0.5 * np.log(information([theta], items).sum()))

    found = score(from_matrix([answers]), items, method="WLE")
    best = minimize_scalar(loss, bounds=(-8, 8), method="bounded", options={"xatol": 1e-10})
    assert found.theta[0] == pytest.approx(best.x, abs=1e-6)
    assert found.se[0] == pytest.approx(information([best.x], items).sum() ** -0.5, rel=1e-6)


def test_wle_is_nearly_unbiased_where_eap_shrinks() -> None:
    """Warm 1989: bias of order 1/n². 20,000 replications at θ = 1.5 on 30 items."""
    truth = ItemParameters.of(np.arange(30), np.full(30, 1.2), b=np.linspace(-2, 3, 30))
    made = simulate(20_000, 30, 30, seed=3, mean=1.5, sd=1e-9, items=truth)
    monte_carlo = 3 * 0.4 / np.sqrt(20_000)
    wle = score(made.data, truth, method="WLE")
    eap = score(made.data, truth)
    assert wle.theta.mean() == pytest.approx(1.5, abs=0.01 + monte_carlo)
    assert eap.theta.mean() < 1.45 - monte_carlo
    assert wle.theta.std() == pytest.approx(wle.se.mean(), rel=0.05)


def test_eap_errors_are_as_large_as_their_sd() -> None:
    made = simulate(5_000, 40, 20, seed=4)
    scores = score(made.data, made.items)
    z = (scores.theta - made.theta) / scores.se
    assert z.mean() == pytest.approx(0.0, abs=4 / np.sqrt(5_000))
    assert z.std() == pytest.approx(1.0, abs=4 / np.sqrt(10_000))


def test_rows_without_known_items_keep_their_prior() -> None:
    data = ResponseData.from_long([1, 1, 2], ["a", "b", "zzz"], correct=[1, 0, 1])
    items = ItemParameters.of(np.array(["a", "b"]), [1.0, 1.0], b=[0.0, 0.0])
    scores = score(data, items, prior_mean=[0.1, 0.7], prior_sd=[1.0, 0.5])
    assert (scores.theta[1], scores.se[1]) == (0.7, 0.5)
    assert scores.n_answers.tolist() == [2, 0]
    assert np.isnan(score(data, items, method="WLE").theta[1])


def test_bad_priors_and_methods_are_refused() -> None:
    data = from_matrix([[1, 0, 1, 1, 0, 1]])
    with pytest.raises(IrtDataError, match="invalid priors of 1 rows"):
        score(data, ITEMS, prior_sd=0.0)
    with pytest.raises(IrtDataError, match="use EAP, MAP or WLE"):
        score(data, ITEMS, method="ML")  # type: ignore[arg-type]
    with pytest.raises(IrtDataError, match="two sets of parameters"):
        ItemParameters.of([1, 1], [1.0, 1.0], b=[0.0, 0.0])
    with pytest.raises(IrtDataError, match="invalid parameters of 1 items"):
        ItemParameters.of([1], [0.0], b=[0.0])
