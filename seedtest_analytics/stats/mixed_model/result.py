"""Results of a mixed model: estimates with their errors, quality of the fit, convergence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedtest_analytics.stats.mixed_model.data import Family

# At most this many levels of a group (topics, say) are listed, those furthest from the population.
MAX_LISTED_LEVELS = 200
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


@dataclass(frozen=True)
class FixedEffect:
    """A population coefficient. ``statistic`` = estimate / SE: t (gaussian) or z (binomial)."""

    name: str
    estimate: float
    se: float
    statistic: float


@dataclass(frozen=True)
class VarianceComponent:
    """Variance and SD of a random effect, or covariance and correlation of two. The residual is the group ``Residual``
    and has no term.
    """

    group: str
    term: str | None
    other_term: str | None
    variance: float
    sd_or_correlation: float


@dataclass(frozen=True)
class RandomEffects:
    """Conditional modes of one grouping factor, as deviations from the fixed effects, and their SDs.

    Both arrays are (levels, terms), with NaN where a level has no such term.
    """

    group: str
    levels: tuple[str, ...]
    terms: tuple[str, ...]
    values: np.ndarray
    conditional_sd: np.ndarray


@dataclass(frozen=True)
class HeldOutError:
    """Error on rows that were left out of the fit, on the scale of the response.

    ``rmse_of_mean``: error of predicting the mean of the fitted rows. ``n_new_level_rows``: rows of a group level that is
    not in the fitted rows; the rest of the model predicts them.
    """

    rmse: float
    rmse_of_mean: float
    n_rows: int
    n_new_level_rows: int
    share: float
    seed: int
    unit: str


@dataclass(frozen=True)
class MixedModelFit:
    """A mixed model y = X β + Z u + ε, u ~ N(0, Σ), fitted by lme4; binomial: logit P = X β + Z u.

    ``criterion``: REML or ML (binomial: ML by the Laplace approximation). AIC and BIC of REML fits only compare models
    with the same fixed effects. ``is_singular``: a variance is zero or a correlation ±1.
    """

    formula: str
    family: Family
    criterion: str
    n_rows: int
    fixed_effects: tuple[FixedEffect, ...]
    variance_components: tuple[VarianceComponent, ...]
    random_effects: tuple[RandomEffects, ...]
    residual_sd: float | None
    log_likelihood: float
    aic: float
    bic: float
    is_singular: bool
    convergence_messages: tuple[str, ...]
    warnings: tuple[str, ...]
    optimizer: str
    rmse: float
    held_out: HeldOutError | None
    backend: str

    @property
    def has_converged(self) -> bool:
        """Neither the optimiser nor lme4's gradient and Hessian checks reported a problem. A singular fit may pass."""
        return not self.convergence_messages

    def model_spec(self, lookback_weeks: int) -> dict[str, Any]:
        """``growth_glmm_meta.model_spec`` of the contract (3.6)."""
        return {
            "formula": self.formula,
            "family": self.family,
            "lookback_weeks": lookback_weeks,
            "rows_count": self.n_rows,
            "criterion": self.criterion,
            "backend": self.backend,
        }

    def metrics(self, student_group: str = "student") -> dict[str, Any]:
        """``growth_glmm_meta.metrics`` of the contract (3.6) and more, as JSON without NaN.

        Effects of groups that contain ``student_group`` are summarised and not listed, as there is one per student.
        """
        return {
            "logLik": _finite(self.log_likelihood),
            "AIC": _finite(self.aic),
            "BIC": _finite(self.bic),
            "RMSE": _finite(self.rmse),
            "held_out": None if self.held_out is None else _error_json(self.held_out),
            "fixed_effects": {
                e.name: {name: _finite(getattr(e, name)) for name in ("estimate", "se", "statistic")}
                for e in self.fixed_effects
            },
            "variance_components": [_component_json(c) for c in self.variance_components],
            "random_effects": {
                effects.group: _effects_json(effects, is_listed=student_group not in effects.group.split(":"))
                for effects in self.random_effects
            },
            "residual_sd": None if self.residual_sd is None else _finite(self.residual_sd),
            "singular": self.is_singular,
            "converged": self.has_converged,
            "messages": [*self.convergence_messages, *self.warnings],
            "optimizer": self.optimizer,
        }


@dataclass(frozen=True)
class GrowthSlopes:
    """Per student: fixed plus random slope, and the SD of the random part given the parameters of the model."""

    student_ids: tuple[str, ...]
    slope: np.ndarray
    conditional_sd: np.ndarray


def growth_slopes(fit: MixedModelFit, group: str, *, term: str = "week") -> GrowthSlopes:
    """Each student's slope on ``term``. Raises ValueError, whose text is stored, if the model has no such random slope."""
    effects = next((e for e in fit.random_effects if e.group == group and term in e.terms), None)
    if effects is None:
        raise ValueError(f"{fit.formula!r} has no random slope of {term} for {group}, so no student has one")
    population = next((e.estimate for e in fit.fixed_effects if e.name == term), 0.0)
    column = effects.terms.index(term)
    return GrowthSlopes(
        effects.levels, population + effects.values[:, column], conditional_sd=effects.conditional_sd[:, column]
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _component_json(component: VarianceComponent) -> dict[str, Any]:
    kind = "sd" if component.other_term is None else "correlation"
    return {
        "group": component.group,
        "terms": [term for term in (component.term, component.other_term) if term is not None],
        "variance" if component.other_term is None else "covariance": _finite(component.variance),
        kind: _finite(component.sd_or_correlation),
    }


def _effects_json(effects: RandomEffects, *, is_listed: bool) -> dict[str, Any]:
    """Number of levels, quantiles of the effects and, if ``is_listed``, the effects themselves."""
    spread = {term: _spread_json(effects.values[:, column]) for column, term in enumerate(effects.terms)}
    summary = {"levels": len(effects.levels), "terms": spread}
    if not is_listed:
        return summary
    listed = _furthest_levels(effects, MAX_LISTED_LEVELS)
    return summary | {
        "levels_listed": len(listed),
        "effects": {
            effects.levels[level]: {
                term: {
                    "effect": _finite(effects.values[level, column]),
                    "sd": _finite(effects.conditional_sd[level, column]),
                }
                for column, term in enumerate(effects.terms)
            }
            for level in listed
        },
    }


def _spread_json(values: np.ndarray) -> dict[str, float | None]:
    """Quantiles of the finite effects, keyed ``q`` and the percentage."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {f"q{100 * share:g}": None for share in QUANTILES}
    found = np.quantile(known, QUANTILES)
    return {f"q{100 * share:g}": float(value) for share, value in zip(QUANTILES, found, strict=True)}


def _furthest_levels(effects: RandomEffects, n: int) -> list[int]:
    """Positions, in level order, of the n levels whose first term is furthest from the population."""
    distance = np.nan_to_num(np.abs(effects.values[:, 0]), nan=-1.0)
    return sorted(np.argsort(-distance, kind="stable")[:n].tolist())


def _error_json(error: HeldOutError) -> dict[str, Any]:
    return {
        "RMSE": _finite(error.rmse),
        "RMSE_of_mean": _finite(error.rmse_of_mean),
        "rows": error.n_rows,
        "new_level_rows": error.n_new_level_rows,
        "share": error.share,
        "seed": error.seed,
        "unit": error.unit,
    }
