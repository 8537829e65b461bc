"""R-hat, effective sample sizes, E-BFMI and Pareto smoothing against ArviZ: 0.21 by its numbers, `arviz-stats` by running it."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from seedtest_analytics.stats.growth import diagnostics
from seedtest_analytics.stats.growth.psis import fit_generalised_pareto, smooth_weights


def autoregression(correlation, chains, draws, seed, shift=0.0, heavy=False):
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(2, (chains, draws)) if heavy else rng.standard_normal((chains, draws))
    x = noise.copy()
    for t in range(1, draws):
        x[:, t] = correlation * x[:, t - 1] + noise[:, t]
    return x + shift * np.arange(chains)[:, None]


# ArviZ 0.21: rhat, ess, ess(method="tail"), bfmi of the same chains
ANTITHETIC = ((-0.6, 2, 300, 3), [1.002786311, 1666.89075, 472.6944883], [3.312291023, 3.082965062])
HEAVY = (
    (0.2, 4, 400, 5, 0.0, True),
    [1.001733892, 1039.228356, 1302.210188],
    [1.544535278, 1.574254226, 1.611028129, 1.608373639],
)
SLOW = (
    (0.9, 4, 1001, 2),
    [1.040674654, 131.6358047, 551.7534112],
    [0.274823586, 0.2819106363, 0.1924812533, 0.2059996522],
)
UNMIXED = (
    (0.3, 4, 250, 4, 0.5),
    [1.135420287, 21.93790416, 621.8936242],
    [1.500797821, 1.408071701, 1.434442093, 1.476572675],
)


def judge(chains):
    return [diagnostics.rhat(chains), diagnostics.ess_bulk(chains), diagnostics.ess_tail(chains)]


def judge_by_arviz(chains):
    axes = {"chain_axis": 0, "draw_axis": 1}
    return [
        float(array_stats.rhat(chains, **axes)),
        float(array_stats.ess(chains, **axes, method="bulk")),
        float(array_stats.ess(chains, **axes, method="tail", prob=(0.05, 0.95))),
    ]


@pytest.mark.parametrize(("chains", "expected", "bfmi"), [ANTITHETIC, HEAVY])
def test_mixing_chains_agree_to_the_last_digit(chains, expected, bfmi):
    draws = autoregression(*chains)
    np.testing.assert_allclose(judge(draws), expected, rtol=1e-8)
    np.testing.assert_allclose(diagnostics.ebfmi(draws), bfmi, rtol=1e-8)


@pytest.mark.parametrize(("chains", "expected", "bfmi"), [SLOW, UNMIXED])
def test_chains_that_do_not_mix(chains, expected, bfmi):
    """Where autocorrelation never turns negative ArviZ drops the last lags, which moves ESS by 2 %."""
    draws = autoregression(*chains)
    judged = judge(draws)
    assert judged[0] == pytest.approx(expected[0], rel=1e-8)
    np.testing.assert_allclose(judged[1:], expected[1:], rtol=0.02)
    np.testing.assert_allclose(diagnostics.ebfmi(draws), bfmi, rtol=1e-8)


@pytest.mark.parametrize("correlation", [-0.8, -0.5, 0.0, 0.2, 0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize(("chains", "draws"), [(2, 200), (4, 500), (4, 1001)])
def test_arviz_stats_on_simulated_chains(correlation, chains, draws):
    """R-hat and E-BFMI are equal; ESS differs where the sum over lags reaches the end of the chain (docs/decisions)."""
    x = autoregression(correlation, chains, draws, seed=draws)
    ours, theirs = judge(x), judge_by_arviz(x)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    np.testing.assert_allclose(ours[1:], theirs[1:], rtol=0.1 if abs(correlation) > 0.5 else 0.02)
    np.testing.assert_allclose(diagnostics.ebfmi(x), array_stats.bfmi(x, chain_axis=0, draw_axis=1), rtol=1e-12)


def test_where_arviz_stats_judges_otherwise():
    """A parameter that never moved, an infinite draw and a single chain: each would change a stored verdict."""
    constant, one_chain = np.ones((4, 100)), autoregression(0.3, 1, 500, 2)
    infinite = autoregression(0.2, 4, 100, 3)
    infinite[0, 7] = np.inf
    assert np.isnan(judge(constant)).all()
    assert judge_by_arviz(constant)[1] == 400
    assert np.isnan(judge(infinite)).all()
    assert np.isfinite(judge_by_arviz(infinite)).all()
    assert np.isfinite(judge(one_chain)).all()
    assert np.isnan(judge_by_arviz(one_chain)[0])


def test_what_cannot_be_judged_is_not_a_number():
    for draws in (np.ones((4, 100)), np.zeros((4, 2)), np.full((2, 50), np.nan)):
        assert np.isnan(diagnostics.rhat(draws))
        assert np.isnan(diagnostics.ess_bulk(draws))
        assert np.isnan(diagnostics.ess_tail(draws))


# arviz.psislw of |t| log ratios: Pareto k, effective draws
@pytest.mark.parametrize(
    ("seed", "df", "k", "effective"),
    [(2, 3, 1.7851867792545164, 1.8364790083876732), (3, 30, 0.2786368436042295, 944.2281054261176)],
)
def test_pareto_smoothing(seed, df, k, effective):
    ratios = np.abs(np.random.default_rng(seed).standard_t(df, 2000))
    smoothed = smooth_weights(ratios)
    assert smoothed.pareto_k == pytest.approx(k, rel=1e-9)
    assert smoothed.effective_draws == pytest.approx(effective, rel=1e-9)
    assert smoothed.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("df", [3, 5, 8, 30])
def test_pareto_smoothing_by_arviz_stats(df):
    """It takes one draw fewer into the tail, which moves k in the third digit."""
    ratios = np.random.default_rng(df).standard_t(df, 4000)
    smoothed = smooth_weights(ratios)
    log_weights, k = array_stats.psislw(-ratios, axis=0)
    assert smoothed.pareto_k == pytest.approx(float(k), abs=0.03)
    assert smoothed.pareto_k != pytest.approx(float(k), abs=1e-6)
    assert smoothed.effective_draws == pytest.approx(1 / np.sum(np.exp(log_weights) ** 2), rel=0.05)


def test_equal_and_single_weights():
    flat = smooth_weights(np.zeros(500))
    assert flat.pareto_k == 0
    assert flat.effective_draws == pytest.approx(500)
    lone = smooth_weights(np.where(np.arange(500) == 7, 0.0, -2000.0))
    assert lone.pareto_k == np.inf
    assert lone.effective_draws == pytest.approx(1)


def test_generalised_pareto_recovers_its_shape():
    """Tolerance from the asymptotic SD of the shape, (1 + k) / sqrt(n), times four."""
    n = 20_000
    u = np.random.default_rng(11).random(n)
    for shape in (0.2, 0.6):
        sample = np.sort(2.0 * (u**-shape - 1) / shape)
        assert fit_generalised_pareto(sample)[0] == pytest.approx(shape, abs=4 * (1 + shape) / np.sqrt(n))
