"""A growth fit as the row of growth_brms_meta, in the contract's JSON shapes."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from seedtest_analytics.assets.growth.bayesian.draws import draws_to_json
from seedtest_analytics.assets.growth.bayesian.evidence import Evidence
from seedtest_analytics.assets.growth.bayesian.fit import FORMULA, GrowthFit
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.no_result import NoResult

COLUMNS = (
    "run_id",
    "formula",
    "priors",
    "posterior_summary",
    "diagnostics",
    "fitted_at",
    "week_start",
    "is_usable",
    "model_spec",
    "draws",
    "data_fingerprint",
)


def meta_row(
    fit: GrowthFit | NoResult, scores: WeeklyScores, *, evidence: Evidence, week: Week, run_id: str
) -> pd.DataFrame:
    """The row of the fit; no row without a fit."""
    if isinstance(fit, NoResult):
        return pd.DataFrame(columns=list(COLUMNS))
    posterior, verdict = fit.posterior, fit.posterior.verdict
    diagnostics = posterior.diagnostics() | {"usable": verdict.usable, "reasons": list(verdict.reasons)}
    row = {
        "run_id": run_id,
        "formula": FORMULA[posterior.family],
        "priors": _json(posterior.priors.to_json()),
        "posterior_summary": _json(posterior.summary()),
        "diagnostics": _json(diagnostics),
        "fitted_at": week.as_of,
        "week_start": week.start,
        "is_usable": verdict.usable,
        "model_spec": _json(_spec(fit, scores, evidence=evidence)),
        "draws": _json(draws_to_json(fit)),
        "data_fingerprint": scores.fingerprint,
    }
    return pd.DataFrame([row], columns=list(COLUMNS))


def _spec(fit: GrowthFit, scores: WeeklyScores, *, evidence: Evidence) -> dict[str, Any]:
    posterior = fit.posterior
    return {
        "family": posterior.family,
        "method": posterior.method,
        "toolchain": posterior.toolchain,
        "score_source": scores.source,
        "score_unit": scores.unit,
        "scores_weighted": fit.is_weighted,
        "calibration": scores.scale.run_id if scores.scale else None,
        "lookback_weeks": evidence.lookback_weeks,
        "history_weeks": evidence.history_weeks,
        "priors_from": evidence.earlier.to_json() if evidence.earlier else None,
        "first_week": scores.first_monday.isoformat(),
        "students": posterior.n_students,
        "scores": posterior.n_scores,
        "student_weeks_set_aside": scores.set_aside,
        "seed": posterior.seed,
        "warnings": list(posterior.cautions),
    }


def _json(value: Any) -> str:
    """JSON text; a number that is not finite raises here, before the database sees it."""
    return json.dumps(value, allow_nan=False)
