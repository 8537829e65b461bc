"""A placed calibration as rows of its tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pandas as pd

from seedtest_analytics.assets.framework.json_text import finite_or_none
from seedtest_analytics.assets.psychometrics.answers import Answers
from seedtest_analytics.assets.psychometrics.scale.placement import PlacedCalibration
from seedtest_analytics.assets.psychometrics.scale.pool import pool_spec
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings.psychometrics import RESPONSES_TO_LINK
from seedtest_analytics.stats.irt.config import ItemPriors, Normal
from seedtest_analytics.stats.no_result import NoResult

_HISTORY = (
    "run_id",
    "item_id",
    "model",
    "a",
    "b",
    "c",
    "se_a",
    "se_b",
    "se_c",
    "n_responses",
    "p_correct",
    "is_anchor",
    "flag",
    "week_start",
)
_FIT = ("run_id", "model_spec", "metrics", "fitted_at", "week_start", "version", "is_usable", "data_fingerprint")


def history_rows(placed: PlacedCalibration | NoResult, week: Week, *, run_id: str) -> pd.DataFrame:
    """Rows of mirt_item_params_history on the platform scale: every item; an item set aside has no parameters."""
    if isinstance(placed, NoResult):
        return pd.DataFrame(columns=list(_HISTORY))
    frame = placed.platform_items.copy()
    frame["item_id"] = frame["item_id"].astype(str)
    frame["run_id"], frame["model"], frame["week_start"] = run_id, placed.calibration.model, week.start
    return frame[list(_HISTORY)]


def fit_row(
    placed: PlacedCalibration | NoResult,
    week: Week,
    *,
    run_id: str,
    answers: Answers | None,
    dif: dict[str, Any] | None,
    keeps_parameters: bool = True,
) -> pd.DataFrame:
    """The row of mirt_fit_meta; no row without a fit. ``dif`` is kept with the metrics.

    ``keeps_parameters``: items that it did not estimate keep their last usable parameters (see `mirt_item_bank`).
    """
    if isinstance(placed, NoResult) or answers is None:
        return pd.DataFrame(columns=list(_FIT))
    row = {
        "run_id": run_id,
        "model_spec": json.dumps(
            model_spec(placed, answers) | {"filter": answers.filter, "keeps_parameters": keeps_parameters}
        ),
        "metrics": json.dumps(metrics(placed) | _pool(placed, answers) | ({} if dif is None else {"dif": dif})),
        "fitted_at": week.as_of,
        "week_start": week.start,
        "version": placed.version,
        "is_usable": not placed.reasons,
        "data_fingerprint": answers.fingerprint,
    }
    return pd.DataFrame([row], columns=list(_FIT))


def _pool(placed: PlacedCalibration, answers: Answers) -> dict[str, Any]:
    pool = placed.calibration.pool
    if pool is None:
        return {}
    # The constants of fixed anchors are 1 and 0.
    return {"pool": pool_spec(pool, answers.topics, below=RESPONSES_TO_LINK, constants=placed.constants)}


def model_spec(placed: PlacedCalibration, answers: Answers) -> dict[str, Any]:
    """Contract keys model, n_persons, n_items, linking_constants, and everything else that was decided before the fit.

    ``n_abilities``: the rows of the fit, one or more for each of ``n_persons`` students. ``occasion_days``: the days that
    share an ability; null where a student has one for all answers.
    """
    fit = placed.calibration
    return {
        "model": fit.model,
        "n_persons": len(answers.users),
        "n_abilities": fit.n_rows,
        "occasion_days": answers.occasion_days,
        "n_items": len(fit.parameters),
        "n_answers": fit.n_answers,
        "quadrature": {"points": fit.quadrature.points, "lower": fit.quadrature.lower, "upper": fit.quadrature.upper},
        "backend": placed.fitted.backend,
        "priors": priors_spec(placed.fitted.priors),
        "scale_origin": placed.origin,
        "scale": placed.scale,
        "n_anchors_tagged": placed.n_anchors,
        "linking_constants": placed.constants,
    }


def priors_spec(priors: ItemPriors) -> dict[str, dict[str, Any]]:
    """The priors by parameter: a and b (mirt: the intercept d = -a b), and c or its logit. Empty without priors."""
    spec = {}
    for name in ("a", "b", "d", "c"):
        prior = getattr(priors, name)
        if prior is not None:
            key = "logit_c" if name == "c" and isinstance(prior, Normal) else name
            spec[key] = {"dist": type(prior).__name__.lower(), **asdict(prior)}
    return spec


def metrics(placed: PlacedCalibration) -> dict[str, Any]:
    """Measures of the fit; numbers that are not finite are null."""
    fit = placed.calibration
    return {
        "log_likelihood": finite_or_none(fit.log_likelihood),
        "log_prior": finite_or_none(fit.log_prior),
        "aic": finite_or_none(fit.aic),
        "bic": finite_or_none(fit.bic),
        "n_iterations": fit.n_iterations,
        "converged": fit.converged,
        "max_gradient": finite_or_none(fit.max_gradient),
        "max_step_logit": finite_or_none(fit.max_step),
        "standard_errors": fit.standard_error_method,
        "group_mean": finite_or_none(placed.group_mean),
        "group_sd": finite_or_none(placed.group_sd),
        "n_components": fit.n_components,
        "set_aside": fit.set_aside,
        "usable": not placed.reasons,
        "reasons": list(placed.reasons),
        "warnings": list(fit.verdict.warnings),
    }
