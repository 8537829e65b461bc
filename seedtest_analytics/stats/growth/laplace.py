"""The Laplace backend: draws from a multivariate t around the posterior mode, reweighted to the posterior.

    θ_k = mode + S z_k,   z_k ~ t_8,   w_k ∝ smoothed p(θ_k | y) / q(θ_k)

It takes seconds. The verdict refuses a fit whose weights show that the proposal missed the posterior.
"""

from collections.abc import Callable

import numpy as np

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.mode import Mode, find_mode, starting_point
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, ImportanceRun, Thresholds, fitted_data
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.psis import smooth_weights

# Heavier tails than the posterior has: a proposal with lighter tails has importance weights of infinite variance.
PROPOSAL_DF = 8
MIN_DRAWS, MAX_DRAWS = 2, 10_000_000
LARGEST_SEED = 2**53


def fit_laplace(
    data: GrowthData,
    priors: GrowthPriors | None = None,
    *,
    n_draws: int = 4000,
    seed: int = 0,
    thresholds: Thresholds | None = None,
) -> GrowthPosterior:
    """Posterior of the gaussian family; an unusable one is returned too, so that it can be stored with its verdict.

    Raises:
        ValueError: `n_draws` is not a whole number from 2, or `seed` not one from 0.
    """
    check_sampling(n_draws, seed)
    priors = priors or GrowthPriors()
    density = MarginalDensity.of(data, priors)
    mode = laplace_mode(data, density)
    return sample_around(
        mode, density.values, n_draws=n_draws, seed=seed, priors=priors, data=data, thresholds=thresholds
    )


def check_sampling(n_draws: int, seed: int) -> None:
    """Raise `ValueError` unless `n_draws` is a whole number from 2 and `seed` one from 0."""
    count(n_draws, "n_draws", low=MIN_DRAWS, high=MAX_DRAWS)
    count(seed, "seed", high=LARGEST_SEED)


def sample_around(
    mode: Mode,
    log_densities: Callable[[np.ndarray], np.ndarray],
    *,
    n_draws: int,
    seed: int,
    priors: GrowthPriors,
    data: GrowthData | CountData,
    thresholds: Thresholds | None,
) -> GrowthPosterior:
    """Smoothed importance sampling around a mode.

    `log_densities` maps draws (K, P) to log posterior densities (K,) up to a constant; a draw whose density is not
    finite gets no weight.
    """
    theta, log_proposal = _propose(mode, n_draws, rng=np.random.default_rng(seed))
    values = log_densities(theta)
    smoothed = smooth_weights(np.where(np.isfinite(values), values - log_proposal, -np.inf))
    return GrowthPosterior(
        method="laplace",
        theta=theta[None],
        weights=smoothed.weights,
        priors=priors,
        seed=seed,
        importance=ImportanceRun(smoothed.pareto_k, smoothed.effective_draws, has_converged=mode.has_converged),
        thresholds=thresholds or Thresholds(),
        **fitted_data(data),
    )


def laplace_mode(data: GrowthData, density: MarginalDensity) -> Mode:
    """Mode of the gaussian growth posterior."""
    start, steps = starting_point(data)
    return find_mode(density.value_and_gradient, start, steps=steps)


def _propose(mode: Mode, n_draws: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Multivariate t draws around a mode, shape (K, P), and their log densities up to a constant."""
    n_parameters = len(mode.location)
    normal = rng.standard_normal((n_draws, n_parameters))
    z = normal / np.sqrt(rng.chisquare(PROPOSAL_DF, n_draws) / PROPOSAL_DF)[:, None]
    log_density = -0.5 * (PROPOSAL_DF + n_parameters) * np.log1p((z**2).sum(axis=1) / PROPOSAL_DF)
    return mode.location + z @ mode.scale().T, log_density
