"""The posterior of a growth model's population parameters: one result object for all backends.

It summarises and judges draws. `laplace`, `stan`, `binomial` and `brms` make them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from seedtest_analytics.stats.checks import count, number
from seedtest_analytics.stats.growth import diagnostics
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.errors import UnusablePosteriorError
from seedtest_analytics.stats.growth.priors import GrowthPriors

Family = Literal["gaussian", "binomial"]
Method = Literal["stan", "laplace", "brms"]

# Where the ends of the gains' 95 % interval are this many times apart, the prior decides how far gains differ.
UNKNOWN_SPREAD_FACTOR = 10.0


@dataclass(frozen=True)
class Thresholds:
    """When a fit may feed predictions.

    R-hat and effective sample sizes follow Vehtari et al. (2021), E-BFMI Betancourt (2016). Pareto k and the share of
    effective draws separated good from bad importance samples in the study of `docs/growth.md`. The proposal is
    wide on purpose, so a third of the draws has no effect even where it has the posterior's shape. Few draws say too
    little about tails and about k itself, so `min_ess` applies to importance samples too.

    Each is a number from 0 or infinity, which judges nothing; ValueError for others.
    """

    max_rhat: float = 1.01
    min_ess: float = 400.0
    max_divergences: int = 0
    min_ebfmi: float = 0.3
    max_treedepth_hits: int = 0
    max_pareto_k: float = 0.5
    min_effective_share: float = 0.4

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value != math.inf:
                number(value, name, low=0.0)


@dataclass(frozen=True)
class SamplerRun:
    """The sampler's own diagnostics.

    Attributes:
        divergences: divergent transitions after warm-up.
        ebfmi: per chain, shape (chains,).
        treedepth_max: deepest tree seen.
        treedepth_hits: transitions that reached the limit.
    """

    divergences: int
    ebfmi: np.ndarray
    treedepth_max: int
    treedepth_hits: int


@dataclass(frozen=True)
class ImportanceRun:
    """How well the Laplace proposal covers the posterior: see `psis.SmoothedWeights`."""

    pareto_k: float
    effective_draws: float
    has_converged: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the fit may feed predictions, and the reasons why not."""

    usable: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class GrowthPosterior:
    """Draws of the population parameters of one growth fit.

    Attributes:
        family: gaussian (scores) or binomial (right of answered, logits).
        method: the backend.
        theta: shape (chains, draws, P): Intercept at the mean week, slope, log tau0, log tau1, atanh rho and,
            in the gaussian family, log sigma.
        weights: importance weights of the flattened draws; None where all are equal.
        priors: of the fit.
        seed: of the random numbers.
        week_mean: mean week over the rows.
        last_week: latest week of any row.
        n_students, n_scores: size of the data.
        sampler: diagnostics of Markov chains, else None.
        importance: diagnostics of the Laplace backend, else None.
        toolchain: versions of Stan or R; empty for `laplace`.
        warnings: about the data.
        thresholds: of the verdict.
    """

    family: Family
    method: Method
    theta: np.ndarray
    weights: np.ndarray | None
    priors: GrowthPriors
    seed: int
    week_mean: float
    last_week: float
    n_students: int
    n_scores: int
    sampler: SamplerRun | None = None
    importance: ImportanceRun | None = None
    toolchain: str = ""
    warnings: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Draws by name, each of shape (chains, draws); `intercept` is at week 0."""
        theta = np.moveaxis(self.theta, -1, 0)
        named = {
            "intercept": theta[0] - theta[1] * self.week_mean,
            "intercept_at_mean_week": theta[0],
            "week": theta[1],
            "sd_intercept": np.exp(theta[2]),
            "sd_week": np.exp(theta[3]),
            "correlation": np.tanh(theta[4]),
        }
        return named | ({"sigma": np.exp(theta[5])} if self.family == "gaussian" else {})

    def summary(self) -> dict[str, dict[str, float]]:
        """The contract's summary: `{"intercept": {"mean", "sd", "q2.5", "q97.5"}, "week": …, …}`."""
        return {name: _summary(draws.ravel(), self.weights) for name, draws in self.parameters.items()}

    def diagnostics(self) -> dict[str, Any]:
        """The contract's diagnostics with further keys beside them; JSON-ready, None where not applicable."""
        report: dict[str, Any] = {"rhat": {"max": None}, "ess_bulk": {"min": None}, "ess_tail": {"min": None}}
        report |= {"divergences": None, "ebfmi": {"min": None}, "treedepth": {"max": None, "at_limit": None}}
        if self.importance is not None:
            effective = _json_number(self.importance.effective_draws)
            report |= {"ess_bulk": {"min": effective}, "ess_tail": {"min": effective}}
            report |= {"pareto_k": _json_number(self.importance.pareto_k), "importance_ess": effective}
        else:
            report |= self._chain_diagnostics()
        if self.sampler is not None:
            report["divergences"] = self.sampler.divergences
            report["ebfmi"] = {"min": _json_number(float(np.min(self.sampler.ebfmi)))}
            report["treedepth"] = {"max": self.sampler.treedepth_max, "at_limit": self.sampler.treedepth_hits}
        return report | {"draws": int(self.theta.shape[0] * self.theta.shape[1]), "chains": int(self.theta.shape[0])}

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the diagnostics permit predictions."""
        reasons = self._importance_faults() if self.importance is not None else self._chain_faults()
        return Verdict(usable=not reasons, reasons=tuple(reasons))

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """Warnings for the reader of a usable fit: about the data, and about what the prior decides."""
        spread = self.summary()["sd_week"]
        low, high = spread["q2.5"], spread["q97.5"]
        if high < UNKNOWN_SPREAD_FACTOR * low:
            return self.warnings
        return (
            *self.warnings,
            f"the scores hardly say how far students' gains differ (SD of a week's gain from {low:.2g} to "
            f"{high:.2g}): the prior of SDs decides how wide projections are; a longer look-back says more",
        )

    def require_usable(self) -> None:
        """Raise `UnusablePosteriorError` with the reasons unless the verdict is usable."""
        if not self.verdict.usable:
            reasons = "; ".join(self.verdict.reasons)
            raise UnusablePosteriorError(f"the {self.method} growth fit may not be used: {reasons}")

    def hyper_draws(self, n_draws: int) -> np.ndarray:
        """At most `n_draws` equally weighted draws that represent the posterior, shape (K, P).

        Markov chains are concatenated and thinned evenly, so each contributes equally. Weighted draws are resampled
        systematically, one at the middle of each of K equal strata of the weights; no random number is needed.

        Raises:
            ValueError: `n_draws` is not a whole number from 1.
        """
        count(n_draws, "n_draws", low=1)
        flat = self.theta.reshape(-1, self.theta.shape[-1])
        positions = (np.arange(min(n_draws, len(flat))) + 0.5) / min(n_draws, len(flat))
        if self.weights is None:
            chosen = (positions * len(flat)).astype(np.int64)
        else:
            cumulative = np.cumsum(self.weights)
            chosen = np.searchsorted(cumulative / cumulative[-1], positions)
        return np.ascontiguousarray(flat[chosen])

    def _chain_diagnostics(self) -> dict[str, Any]:
        draws = list(self.parameters.values())
        return {
            "rhat": {"max": _json_number(_worst(map(diagnostics.rhat, draws), max))},
            "ess_bulk": {"min": _json_number(_worst(map(diagnostics.ess_bulk, draws), min))},
            "ess_tail": {"min": _json_number(_worst(map(diagnostics.ess_tail, draws), min))},
        }

    def _chain_faults(self) -> list[str]:
        report, limits = self.diagnostics(), self.thresholds
        faults = []
        rhat = report["rhat"]["max"]
        if rhat is None or rhat > limits.max_rhat:
            faults.append(f"R-hat {_shown(rhat, 3)} above {limits.max_rhat}")
        for key in ("ess_bulk", "ess_tail"):
            ess = report[key]["min"]
            if ess is None or ess < limits.min_ess:
                faults.append(f"{key} {_shown(ess, 0)} below {limits.min_ess:g}")
        if self.sampler is None:
            return faults
        if self.sampler.divergences > limits.max_divergences:
            faults.append(f"{self.sampler.divergences} divergent transitions")
        ebfmi = float(np.min(self.sampler.ebfmi))
        if not ebfmi >= limits.min_ebfmi:
            faults.append(f"E-BFMI {ebfmi:.2f} below {limits.min_ebfmi}")
        if self.sampler.treedepth_hits > limits.max_treedepth_hits:
            faults.append(f"{self.sampler.treedepth_hits} transitions at the tree-depth limit")
        return faults

    def _importance_faults(self) -> list[str]:
        assert self.importance is not None
        limits, run = self.thresholds, self.importance
        faults = []
        if not run.has_converged:
            faults.append("the mode was not found")
        if not run.pareto_k <= limits.max_pareto_k:
            faults.append(f"Pareto k {run.pareto_k:.2f} above {limits.max_pareto_k}: sample with Stan instead")
        share = run.effective_draws / (self.theta.shape[0] * self.theta.shape[1])
        if not share >= limits.min_effective_share:
            faults.append(f"only {share:.0%} of the importance draws are effective: sample with Stan instead")
        elif not run.effective_draws >= limits.min_ess:
            faults.append(f"importance draws worth {run.effective_draws:.0f} below {limits.min_ess:g}: take more draws")
        return faults


def fitted_data(data: GrowthData | CountData) -> dict[str, Any]:
    """The fields of `GrowthPosterior` that the data determine."""
    return {
        "family": "binomial" if isinstance(data, CountData) else "gaussian",
        "week_mean": data.week_mean,
        "last_week": float(data.weeks[-1]),
        "n_students": data.n_students,
        "n_scores": data.n_scores,
        "warnings": data.warnings,
    }


def weighted_quantile(values: np.ndarray, probability: float, *, weights: np.ndarray | None) -> float:
    """Quantile of draws, weighted where weights are given."""
    if weights is None:
        return float(np.quantile(values, probability))
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(probability, cumulative, values[order]))


def _summary(values: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
    mean = float(np.average(values, weights=weights))
    sd = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    low, high = (weighted_quantile(values, p, weights=weights) for p in (0.025, 0.975))
    return {"mean": mean, "sd": sd, "q2.5": low, "q97.5": high}


def _worst(values: Iterable[float], choose: Callable[[Sequence[float]], float]) -> float:
    """NaN means that a parameter could not be judged, which is worse than any number."""
    found = list(values)
    return float("nan") if np.isnan(found).any() else choose(found)


def _json_number(value: float) -> float | None:
    """None where JSON has no number: NaN and infinity."""
    return float(value) if np.isfinite(value) else None


def _shown(value: float | None, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"
