"""Quick look: smoothed importance sampling around the mode, refused where it cannot be trusted."""

from collections.abc import Callable

import numpy as np

from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.mode import Mode, find_mode, starting_point
from seedtest_analytics.stats.growth.posterior import Family, GrowthPosterior, ImportanceRun, Thresholds
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.psis import smooth_weights

# Tails heavier than the posterior's: light-tailed proposals make infinite importance weights.
PROPOSAL_DF = 8


def fit_laplace(
    data: GrowthData,
    priors: GrowthPriors | None = None,
    *,
    n_draws: int = 4000,
    seed: int = 0,
    thresholds: Thresholds | None = None,
) -> GrowthPosterior:
    """Posterior by importance sampling from a t distribution around the mode.

    The result says by `verdict` whether it may be used; it is returned either way, so that a bad fit can be
    stored.
    """
    priors = priors or GrowthPriors()
    density = MarginalDensity.of(data, priors)
    mode = laplace_mode(data, density)
    return sample_around(
        mode,
        density.values,
        n_draws=n_draws,
        seed=seed,
        family="gaussian",
        priors=priors,
        data=data,
        thresholds=thresholds,
    )


def sample_around(
    mode: Mode,
    log_densities: Callable[[np.ndarray], np.ndarray],
    *,
    n_draws: int,
    seed: int,
    family: Family,
    priors: GrowthPriors,
    data: GrowthData | CountData,
    thresholds: Thresholds | None,
) -> GrowthPosterior:
    """Smoothed importance sampling around a mode.

    ``log_densities`` maps draws (K, P) to their log posterior densities (K,) up to a constant; what is not finite
    weighs nothing.
    """
    theta, log_proposal = propose(mode, n_draws, rng=np.random.default_rng(seed))
    values = log_densities(theta)
    smoothed = smooth_weights(np.where(np.isfinite(values), values - log_proposal, -np.inf))
    return GrowthPosterior(
        family=family,
        method="laplace",
        theta=theta[None],
        weights=smoothed.weights,
        priors=priors,
        seed=seed,
        week_mean=data.week_mean,
        last_week=float(data.weeks[-1]),
        n_students=data.n_students,
        n_scores=data.n_scores,
        importance=ImportanceRun(smoothed.pareto_k, smoothed.effective_draws, has_converged=mode.has_converged),
        warnings=data.warnings,
        thresholds=thresholds or Thresholds(),
    )


def laplace_mode(data: GrowthData, density: MarginalDensity) -> Mode:
    """Mode of the gaussian growth posterior."""
    start, steps = starting_point(data)
    return find_mode(density.value_and_gradient, start, steps=steps)


def propose(mode: Mode, n_draws: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Multivariate t draws around a mode, shape (K, P), and their log densities up to a constant."""
    n_parameters = len(mode.location)
    normal = rng.standard_normal((n_draws, n_parameters))
    z = normal / np.sqrt(rng.chisquare(PROPOSAL_DF, n_draws) / PROPOSAL_DF)[:, None]
    log_density = -0.5 * (PROPOSAL_DF + n_parameters) * np.log1p((z**2).sum(axis=1) / PROPOSAL_DF)
    return mode.location + z @ mode.scale().T, log_density
