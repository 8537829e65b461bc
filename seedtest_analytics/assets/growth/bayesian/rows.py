"""A growth fit as the row of growth_brms_meta, in the contract's JSON shapes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from seedtest_analytics.assets.growth.bayesian.draws import draws_to_json
from seedtest_analytics.assets.growth.bayesian.fit import FORMULA, GrowthFit
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import SettingsGroup

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.settings import GrowthSettings

# They decide what is done with a fit and not what it is.
_NO_PART_OF_THE_FIT = {"update_kpi", "goal_horizon_weeks", "timeout_seconds", "brms_timeout_seconds"}
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


def fit_run_id(prefix: str, week: Week, *, settings: SettingsGroup, fingerprint: str) -> str:
    """The same week, settings and data give the same id, so a second run replaces its own rows."""
    values = {k: v for k, v in settings.model_dump(mode="json").items() if k not in _NO_PART_OF_THE_FIT}
    spec = json.dumps(values, sort_keys=True) + fingerprint
    return f"{prefix}-{week.iso_label}-{hashlib.sha256(spec.encode()).hexdigest()[:10]}"


def meta_row(
    fit: GrowthFit | None, scores: WeeklyScores, *, settings: GrowthSettings, week: Week, run_id: str
) -> pd.DataFrame:
    """The fit's row; none where there is no fit."""
    import pandas as pd

    if fit is None:
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
        "model_spec": _json(_spec(fit, scores, settings=settings)),
        "draws": _json(draws_to_json(posterior)),
        "data_fingerprint": scores.fingerprint,
    }
    return pd.DataFrame([row], columns=list(COLUMNS))


def _spec(fit: GrowthFit, scores: WeeklyScores, *, settings: GrowthSettings) -> dict[str, Any]:
    posterior = fit.posterior
    return {
        "family": posterior.family,
        "method": posterior.method,
        "toolchain": posterior.toolchain,
        "score_source": scores.source,
        "score_unit": scores.unit,
        "scores_weighted": fit.is_weighted,
        "calibration": scores.scale.run_id if scores.scale else None,
        "lookback_weeks": settings.lookback_weeks,
        "first_week": scores.first_monday.isoformat(),
        "students": posterior.n_students,
        "scores": posterior.n_scores,
        "student_weeks_set_aside": scores.set_aside,
        "seed": posterior.seed,
        "warnings": list(posterior.cautions),
    }


def _json(value: Any) -> str:
    """JSON text; a number that is not finite is an error here and not in the database."""
    return json.dumps(value, allow_nan=False)
