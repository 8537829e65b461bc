"""Bayesian growth by R's brms, for comparison and for those who want brms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws, check_growth_rows
from seedtest_analytics.stats.mixed_model.data import Family

PACKAGES = ("brms", "rstan", "posterior")
# Contract 3.7, 11; sigma and the correlation are brms's and ours.
DEFAULT_PRIORS: Mapping[str, Mapping[str, Any]] = {
    "intercept": {"dist": "normal", "mean": 0.0, "sd": 1.0},
    "week": {"dist": "normal", "mean": 0.0, "sd": 0.5},
    "sd": {"dist": "cauchy", "location": 0.0, "scale": 1.0},
    "sigma": {"dist": "cauchy", "location": 0.0, "scale": 1.0},
    "cor": {"dist": "lkj", "eta": 1.0},
}
_NUMBER_NAMES = {
    "intercept_mean": ("intercept", "mean"),
    "intercept_sd": ("intercept", "sd"),
    "week_mean": ("week", "mean"),
    "week_sd": ("week", "sd"),
    "sd_location": ("sd", "location"),
    "sd_scale": ("sd", "scale"),
    "sigma_location": ("sigma", "location"),
    "sigma_scale": ("sigma", "scale"),
    "lkj_eta": ("cor", "eta"),
}


def sample_growth_with_brms(  # noqa: PLR0913
    r: RCaller,
    rows: pd.DataFrame,
    *,
    cache_folder: Path,
    family: Family = "gaussian",
    priors: Mapping[str, Mapping[str, Any]] = DEFAULT_PRIORS,
    n_chains: int = 2,
    n_draws: int = 1000,
    n_warmup: int = 1000,
    seed: int = 42,
    cores: int = 1,
    adapt_delta: float = 0.8,
    timeout_seconds: float | None = None,
) -> BrmsDraws:
    """Sample ``score ~ week + (week | student_id)`` (gaussian), or ``right | trials(attempts)`` (binomial).

    ``n_draws`` of each chain after ``n_warmup``. The intercept's prior acts at the mean week. The compiled
    model is kept in ``cache_folder``, which may be shared by processes; the first call compiles for about
    40 s. Raises MixedModelDataError before R starts, and the errors of :mod:`.errors`.
    """
    checked = check_growth_rows(rows, family)
    # R gets numbers for students: brms writes the ids into its variables' names, changing some of them.
    codes, student_ids = pd.factorize(checked["student_id"], sort=True)
    checked["student_id"] = codes + 1
    reply = r.call(
        "brms_growth.R",
        "sample_growth",
        packages=PACKAGES,
        timeout_seconds=timeout_seconds,
        data=checked,
        prior_numbers=prior_numbers(priors),
        family=family,
        chains=n_chains,
        warmup=n_warmup,
        draws=n_draws,
        seed=seed,
        cores=min(cores, n_chains),
        adapt_delta=adapt_delta,
        cache_folder=cache_folder,
    )
    sampler, versions = reply["sampler"], reply["versions"].iloc[0]
    order = np.argsort([int(level) for level in reply["levels"]])
    return BrmsDraws(
        family=family,
        parameters={name: matrix.T for name, matrix in reply["parameters"].items()},
        student_ids=np.asarray(student_ids),
        student_intercept=reply["student_intercept"].swapaxes(0, 1)[:, :, order],
        student_slope=reply["student_slope"].swapaxes(0, 1)[:, :, order],
        priors=_priors_used(reply["priors_used"], family),
        divergences=int(sampler["divergences"].sum()),
        ebfmi=sampler["ebfmi"].to_numpy(dtype=float),
        treedepth_max=int(sampler["treedepth_max"].max()),
        treedepth_hits=int(sampler["treedepth_hits"].sum()),
        seed=seed,
        program=str(reply["program"][0]),
        is_model_from_cache=bool(reply["is_model_from_cache"][0]),
        toolchain=f"brms {versions['brms']}, rstan {versions['rstan']}, {versions['r']}",
    )


def prior_numbers(priors: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What Stan is given; priors left out are the contract's, another distribution is an error."""
    unknown = set(priors) - set(DEFAULT_PRIORS)
    if unknown:
        raise ValueError(f"unknown priors {sorted(unknown)}; known are {', '.join(DEFAULT_PRIORS)}")
    chosen = {**DEFAULT_PRIORS, **priors}
    for name, prior in chosen.items():
        if prior.get("dist") != DEFAULT_PRIORS[name]["dist"]:
            raise ValueError(f"the prior of {name} is {DEFAULT_PRIORS[name]['dist']}, not {prior.get('dist')!r}")
    return {number: float(chosen[name][key]) for number, (name, key) in _NUMBER_NAMES.items()}


def _priors_used(table: pd.DataFrame, family: Family) -> dict[str, dict[str, Any]]:
    used: dict[str, dict[str, Any]] = {name: {"dist": prior["dist"]} for name, prior in DEFAULT_PRIORS.items()}
    for number, value in zip(table["name"], table["value"], strict=True):
        name, key = _NUMBER_NAMES[number]
        used[name][key] = float(value)
    if family == "binomial":
        del used["sigma"]
    return used
