"""Growth by R's brms (``GROWTH_BACKEND=brms``), for comparison with the platform's own samplers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.resources.stan.executables import default_cache_dir
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal
from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws, check_growth_rows
from seedtest_analytics.stats.mixed_model.data import Family

PACKAGES = ("brms", "rstan", "posterior")
# In the order of GrowthPriors.as_array.
PRIOR_NUMBERS = (
    "intercept_mean",
    "intercept_sd",
    "week_mean",
    "week_sd",
    "sd_location",
    "sd_scale",
    "sigma_location",
    "sigma_scale",
    "lkj_eta",
    "sd_week_location",
    "sd_week_scale",
)


@dataclass(frozen=True)
class BrmsOptions:
    """How to sample.

    Attributes:
        cache_folder: for compiled models; processes may share it.
        family: gaussian (scores) or binomial (counts).
        priors: the intercept's acts at the mean week.
        n_chains, n_draws, n_warmup: each chain draws ``n_draws`` after ``n_warmup``.
        seed: of the random numbers.
        cores: chains that run at the same time.
        timeout_seconds: of the call, compiling included; None is the time-out of the session.
    """

    cache_folder: Path
    family: Family = "gaussian"
    priors: GrowthPriors = field(default_factory=GrowthPriors)
    n_chains: int = 2
    n_draws: int = 1000
    n_warmup: int = 1000
    seed: int = 42
    cores: int = 1
    timeout_seconds: float | None = None


def brms_cache_folder() -> Path:
    """Where the compiled models are kept."""
    return default_cache_dir() / "brms"


def sample_growth_with_brms(r: RCaller, rows: pd.DataFrame, *, options: BrmsOptions) -> BrmsDraws:
    """Sample ``score ~ week + (week | student_id)`` (gaussian), or ``right | trials(attempts) ~ …`` (binomial).

    The first call with a ``cache_folder`` compiles the model, which takes about 40 s. Raises MixedModelDataError
    before R starts, and the errors of :mod:`.errors`.
    """
    checked = check_growth_rows(rows, options.family)
    # R receives numbers instead of ids: brms puts ids into the names of its variables and alters some of them.
    codes, student_ids = pd.factorize(checked["student_id"], sort=True)
    checked["student_id"] = codes + 1
    reply = r.call(
        "brms_growth.R",
        "sample_growth",
        packages=PACKAGES,
        timeout_seconds=options.timeout_seconds,
        data=checked,
        prior_numbers=dict(zip(PRIOR_NUMBERS, options.priors.as_array().tolist(), strict=True)),
        family=options.family,
        chains=options.n_chains,
        warmup=options.n_warmup,
        draws=options.n_draws,
        seed=options.seed,
        cores=min(options.cores, options.n_chains),
        cache_folder=options.cache_folder,
    )
    sampler, versions = reply["sampler"], reply["versions"].iloc[0]
    order = np.argsort([int(level) for level in reply["levels"]])
    return BrmsDraws(
        family=options.family,
        parameters={name: matrix.T for name, matrix in reply["parameters"].items()},
        student_ids=np.asarray(student_ids),
        student_intercept=reply["student_intercept"].swapaxes(0, 1)[:, :, order],
        student_slope=reply["student_slope"].swapaxes(0, 1)[:, :, order],
        priors=_priors_used(reply["priors_used"], options.family),
        divergences=int(sampler["divergences"].sum()),
        ebfmi=sampler["ebfmi"].to_numpy(dtype=float),
        treedepth_max=int(sampler["treedepth_max"].max()),
        treedepth_hits=int(sampler["treedepth_hits"].sum()),
        seed=options.seed,
        program=str(reply["program"][0]),
        is_model_from_cache=bool(reply["is_model_from_cache"][0]),
        toolchain=f"brms {versions['brms']}, rstan {versions['rstan']}, {versions['r']}",
    )


def _priors_used(table: pd.DataFrame, family: Family) -> dict[str, dict[str, Any]]:
    """The priors as Stan received them, in the contract's shape."""
    of = dict(zip(table["name"], table["value"].astype(float), strict=True))
    sd, sd_week = (HalfCauchy(of[f"{name}_location"], of[f"{name}_scale"]) for name in ("sd", "sd_week"))
    used = GrowthPriors(
        intercept=Normal(of["intercept_mean"], of["intercept_sd"]),
        week=Normal(of["week_mean"], of["week_sd"]),
        sd=sd,
        sigma=HalfCauchy(of["sigma_location"], of["sigma_scale"]),
        lkj_eta=of["lkj_eta"],
        sd_week=None if sd_week == sd else sd_week,
    ).to_json()
    if family == "binomial":
        del used["sigma"]
    return used
