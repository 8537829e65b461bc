"""Growth: the mixed model and the Bayesian model."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_ROWS, MOST_SECONDS, SettingsGroup, option, variable


class GlmmSettings(SettingsGroup):
    """Mixed growth model, fitted by lme4 (contract 4.8)."""

    lookback_weeks: int = option(
        12, "GLMM_LOOKBACK_WEEKS", ge=1, le=260, description="Calendar weeks of answers, including the week of the fit."
    )
    formula: str = option(
        "score ~ week + (week | student) + (1 | topic)",
        "GLMM_FORMULA",
        description="lme4 formula over score, week, student and topic.",
    )
    family: Literal["gaussian", "binomial"] = option(
        "gaussian", "GLMM_FAMILY", description="'gaussian' for shares, or 'binomial' for counts of right answers."
    )
    min_observations: int = option(
        10, "GLMM_MIN_OBSERVATIONS", ge=1, le=MOST_ROWS, description="Answers that a student needs in the look-back."
    )
    max_students: int = option(
        10_000,
        "GLMM_MAX_STUDENTS",
        ge=100,
        le=MOST_ROWS,
        description="The model is fitted on a sample of at most this many students, stratified by their number of weeks. "
        "growth_slope is given for the sample.",
    )
    update_kpi: bool = option(
        False, "GLMM_UPDATE_KPI", description="Merge growth_slope into weekly_kpi of the fit's week."
    )
    timeout_seconds: float = variable(
        300.0,
        "R_GLMM_TIMEOUT_SECS",
        "GLMM_TIMEOUT_SECS",
        gt=0,
        le=MOST_SECONDS,
        description="Time limit of the two R fits (all rows, and without the held-out rows).",
    )


class GrowthSettings(SettingsGroup):
    """Bayesian growth and the probability of a goal (contract 4.9)."""

    lookback_weeks: int | None = option(
        None,
        "BRMS_LOOKBACK_WEEKS",
        "LOOKBACK_WEEKS",
        ge=1,
        le=260,
        description="Calendar weeks of answers, including the week of the fit; a fit needs three weeks with answers. Unset: "
        "half of the history, from 8 to 26 weeks.",
    )
    prior_source: Literal["history", "contract"] = option(
        "history",
        "GROWTH_PRIOR",
        description="Priors of gains: 'history' takes them from the newest usable fit that shares no answer with the "
        "look-back, 'contract' always takes the contract's. What BRMS_PRIORS gives stays in either case.",
    )
    n_samples: int = option(
        1000,
        "BRMS_N_SAMPLES",
        "BRMS_ITER",
        ge=100,
        le=100_000,
        description="Draws per chain after warm-up. 'laplace' takes the draws of all chains at once, or in the binomial "
        "family 2,000 (fewer for large cohorts). A fit with fewer than 400 effective draws is not used.",
    )
    n_chains: int = option(
        2,
        "BRMS_N_CHAINS",
        "BRMS_CHAINS",
        ge=1,
        le=16,
        description="Markov chains; 'laplace' takes the draws of all at once.",
    )
    family: Literal["gaussian", "binomial"] = option(
        "gaussian",
        "BRMS_FAMILY",
        description="'gaussian' for scores, or 'binomial' for counts of right answers (source accuracy).",
    )
    score_source: Literal["theta", "accuracy"] = option(
        "theta", "BRMS_SCORE_SOURCE", description="Weekly score: 'theta' (ability, logit) or 'accuracy' (share right)."
    )
    backend: Literal["stan", "laplace", "brms"] = option(
        "stan",
        "GROWTH_BACKEND",
        description="'stan', 'laplace' (quick look: importance sampling in seconds), or R's 'brms'.",
    )
    update_kpi: bool = variable(
        True,
        "BRMS_UPDATE_KPI",
        description="Compute P from the newest usable fit, even if METRICS_USE_BAYESIAN is off.",
    )
    goal_horizon_weeks: int = option(
        4,
        "GOAL_HORIZON_WEEKS",
        ge=0,
        le=104,
        description="Weeks after the as-of day that P looks ahead for students without a goal date.",
    )
    brms_timeout_seconds: float = variable(
        600.0, "R_BRMS_TIMEOUT_SECS", gt=0, le=MOST_SECONDS, description="Time limit of a brms fit."
    )
    seed: int = option(42, "BRMS_SEED", ge=1, le=MOST_ROWS, description="Seed of the draws; stored with the fit.")
    priors: dict[str, dict[str, Any]] = variable(
        {},
        "BRMS_PRIORS",
        description='JSON of the priors to change, such as {"week": {"dist": "normal", "mean": 0, "sd": 0.2}}.',
    )

    @property
    def oldest_fit_weeks(self) -> int:
        """Weeks after which a fit serves no P: the look-back, and 8 where it grows with the history."""
        return self.lookback_weeks or 8

    @field_validator("priors", mode="before")
    @classmethod
    def _parsed_priors(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("it is not valid JSON") from None
