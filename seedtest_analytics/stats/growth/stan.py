"""The Stan backend: NUTS on the density without student effects, in coordinates around the posterior mode.

    z ~ p(mode + S z | y),   S S' the inverse Hessian at the mode

This module knows the program and its data. `resources.stan` compiles and runs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seedtest_analytics.stats.checks import count, number
from seedtest_analytics.stats.growth.binomial import CountDensity, count_mode
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.diagnostics import ebfmi
from seedtest_analytics.stats.growth.laplace import laplace_mode
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, SamplerRun, Thresholds, fitted_data
from seedtest_analytics.stats.growth.priors import GrowthPriors

LARGEST_SEED = 2**32 - 1
PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class StanProgram:
    """A Stan program, and the C++ header that defines the functions it only declares."""

    source: Path
    header: Path | None = None


MARGINAL = StanProgram(PROGRAMS / "growth_marginal.stan", PROGRAMS / "marginal_loglik.hpp")
COUNTS = StanProgram(PROGRAMS / "growth_binomial.stan", PROGRAMS / "binomial_loglik.hpp")


@dataclass(frozen=True)
class StanSettings:
    """Chains, iterations per chain and tuning of NUTS; Stan mixes the chain's number into the one `seed`.

    Raises ValueError for counts that are not whole or out of range, and for an `adapt_delta` outside (0, 1).
    """

    chains: int = 4
    warmup: int = 300
    draws: int = 1000
    seed: int = 42
    adapt_delta: float = 0.8
    max_treedepth: int = 10

    def __post_init__(self) -> None:
        for name in ("chains", "draws", "max_treedepth"):
            count(getattr(self, name), name, low=1)
        for name in ("warmup", "seed"):
            count(getattr(self, name), name, high=LARGEST_SEED)
        if not 0 < number(self.adapt_delta, "adapt_delta") < 1:
            raise ValueError(f"adapt_delta must lie between 0 and 1, not {self.adapt_delta!r}")


@dataclass(frozen=True)
class StanDraws:
    """What a sampler returns: variables (chains, draws, …), and NUTS's own columns (chains, draws)."""

    variables: dict[str, np.ndarray]
    divergent: np.ndarray
    log_density: np.ndarray
    energy: np.ndarray
    treedepth: np.ndarray
    toolchain: str

    def run(self, max_treedepth: int) -> SamplerRun:
        """The sampler's own diagnostics."""
        return SamplerRun(
            divergences=int(self.divergent.sum()),
            ebfmi=ebfmi(self.energy),
            treedepth_max=int(self.treedepth.max()),
            treedepth_hits=int((self.treedepth >= max_treedepth).sum()),
        )


class StanSampler(Protocol):
    """Compiles and runs Stan programs, as `resources.stan.StanRunner` does."""

    def sample(self, program: StanProgram, data: Mapping[str, Any], *, settings: StanSettings) -> StanDraws:
        """Draw from the program's posterior."""


def fit_stan(
    data: GrowthData | CountData,
    sampler: StanSampler,
    *,
    priors: GrowthPriors | None = None,
    settings: StanSettings | None = None,
    thresholds: Thresholds | None = None,
) -> GrowthPosterior:
    """Posterior by NUTS. A gradient's cost grows with the designs of scores, and with the student-weeks of counts."""
    priors = priors or GrowthPriors()
    settings = settings or StanSettings()
    if isinstance(data, CountData):
        mode = count_mode(data, CountDensity(data, priors))
        program, inputs = COUNTS, count_inputs(data, priors, location=mode.location, scale=mode.scale())
    else:
        mode = laplace_mode(data, MarginalDensity.of(data, priors))
        program, inputs = MARGINAL, marginal_data(data, priors, location=mode.location, scale=mode.scale())
    draws = sampler.sample(program, inputs, settings=settings)
    return GrowthPosterior(
        method="stan",
        theta=mode.location + draws.variables["z"] @ mode.scale().T,
        weights=None,
        priors=priors,
        seed=settings.seed,
        sampler=draws.run(settings.max_treedepth),
        toolchain=draws.toolchain,
        thresholds=thresholds or Thresholds(),
        **fitted_data(data),
    )


def count_inputs(data: CountData, priors: GrowthPriors, *, location: np.ndarray, scale: np.ndarray) -> dict[str, Any]:
    """The data block of `growth_binomial.stan`."""
    return {
        "N": data.n_scores,
        "J": data.n_students,
        "rows": np.column_stack([data.week, data.answered, data.right]),
        "starts": data.starts.astype(float),
        "week_mean": data.week_mean,
        "location": location,
        "scale": scale,
        **{name: value for name, value in prior_data(priors).items() if name != "sigma_prior"},
    }


def marginal_data(data: GrowthData, priors: GrowthPriors, *, location: np.ndarray, scale: np.ndarray) -> dict[str, Any]:
    """The data block of `growth_marginal.stan`."""
    return {
        "D": data.n_designs,
        "designs": data.designs,
        "totals": data.totals,
        "week_mean": data.week_mean,
        "reference": list(data.reference),
        "location": location,
        "scale": scale,
        **prior_data(priors),
    }


def prior_data(priors: GrowthPriors) -> dict[str, Any]:
    """The priors as the programs' data blocks name them."""
    return {
        "intercept_prior": [priors.intercept.mean, priors.intercept.sd],
        "week_prior": [priors.week.mean, priors.week.sd],
        "sd_prior": [[sd.location, sd.scale] for sd in (priors.sd, priors.sd_week or priors.sd)],
        "sigma_prior": [priors.sigma.location, priors.sigma.scale],
        "lkj_eta": priors.lkj_eta,
    }
