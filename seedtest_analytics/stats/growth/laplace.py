"""The Laplace backend: draws from a mixture around the posterior mode, reweighted to the posterior.

    φ_k ~ q (see `proposal`),   w_k ∝ smoothed p(φ_k | y) / q(φ_k)

It takes seconds. The verdict refuses a fit whose weights show that the proposal missed the posterior.
"""

from collections.abc import Callable

import numpy as np

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.mode import Density, Mode, find_mode, starting_point
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, ImportanceRun, Thresholds, fitted_data
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.proposal import (
    density_of_phi,
    log_jacobian,
    mode_of_phi,
    proposal_around,
    theta_of,
)
from seedtest_analytics.stats.growth.psis import smooth_weights

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
        mode,
        density.value_and_gradient,
        log_densities=density.values,
        n_draws=n_draws,
        seed=seed,
        priors=priors,
        data=data,
        thresholds=thresholds,
    )


def check_sampling(n_draws: int, seed: int) -> None:
    """Raise `ValueError` unless `n_draws` is a whole number from 2 and `seed` one from 0."""
    count(n_draws, "n_draws", low=MIN_DRAWS, high=MAX_DRAWS)
    count(seed, "seed", high=LARGEST_SEED)


def sample_around(
    mode: Mode,
    density: Density,
    *,
    log_densities: Callable[[np.ndarray], np.ndarray],
    n_draws: int,
    seed: int,
    priors: GrowthPriors,
    data: GrowthData | CountData,
    thresholds: Thresholds | None,
) -> GrowthPosterior:
    """Smoothed importance sampling around a mode.

    `density` gives value and gradient at one theta. `log_densities` maps draws (K, P) to log posterior densities (K,) up
    to a constant; a draw whose density is not finite gets no weight.
    """
    of_phi = density_of_phi(density)
    proposal = proposal_around(mode_of_phi(mode, of_phi), of_phi)
    phi = proposal.draw(n_draws, rng=np.random.default_rng(seed))
    theta = theta_of(phi)
    values = log_densities(theta)
    log_ratios = values + log_jacobian(phi) - proposal.log_density(phi)
    smoothed = smooth_weights(np.where(np.isfinite(values), log_ratios, -np.inf))
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
