"""Bayesian growth of one week: load the scores, fit with a verdict, predict each student, publish."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.growth.bayesian.evidence import Evidence, evidence_of
from seedtest_analytics.assets.growth.bayesian.fit import GrowthFit, Samplers, fit_growth
from seedtest_analytics.assets.growth.bayesian.goals import Goals, load_goals, predictions
from seedtest_analytics.assets.growth.bayesian.plots import fit_metadata, prediction_metadata
from seedtest_analytics.assets.growth.bayesian.rows import meta_row
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores, load_scores
from seedtest_analytics.assets.growth.checks import BAYESIAN_FITTED, DIAGNOSTICS, PREDICTED
from seedtest_analytics.database.publish import Published, copy_frame, create_staging
from seedtest_analytics.settings import GrowthSettings
from seedtest_analytics.stats.growth.errors import GrowthDataError
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.mixed_model.data import MixedModelDataError
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.tables.growth import growth_brms_meta, growth_prediction

# They decide what is done with a fit, not what the fit is.
_NOT_OF_THE_FIT = {"update_kpi", "goal_horizon_weeks", "timeout_seconds", "brms_timeout_seconds"}
_STAGED_PREDICTION = "staged_prediction"


@dataclass(frozen=True)
class _Predicted:
    """Students staged for growth_prediction; ``note`` says why there are none."""

    n_students: int
    note: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def fit_bayesian_week(run: WeekRun, samplers: Samplers) -> Sequence[Outcome]:
    """Fit one week and publish the fit and, if it is usable, the predictions."""
    evidence = evidence_of(run)
    known = {"lookback_weeks": evidence.lookback_weeks}
    run = replace(run, settings=run.settings.overridden("growth", known))
    scores = load_scores(run.connection, run.week, settings=run.settings.growth)
    return publish_growth(run, scores, evidence=evidence, samplers=samplers)


def publish_growth(run: WeekRun, scores: WeeklyScores, *, evidence: Evidence, samplers: Samplers) -> Sequence[Outcome]:
    """Fit the scores of a week, write the fit and its predictions, and report both."""
    run_id = growth_fit_id(run, run.settings.growth, fingerprint=scores.fingerprint, priors=evidence.priors)
    fit = _fit(run, scores, priors=evidence.priors, samplers=samplers)
    predicted = _stage_predictions(run, fit, scores=scores, run_id=run_id)
    run.log.info(f"week of {run.week.key}: {predicted.n_students:,} students predicted")
    fits = publish_week(
        run, growth_brms_meta, rows=meta_row(fit, scores, evidence=evidence, week=run.week, run_id=run_id)
    )
    rows = publish_week(run, growth_prediction, rows=_STAGED_PREDICTION)
    # Plots are made before the commit: a run that cannot show its result does not write it.
    return (
        _fit_outcome(run, fits, fit=fit, scores=scores, evidence=evidence, run_id=run_id),
        _prediction_outcome(run, rows, fit=fit, predicted=predicted),
    )


def growth_fit_id(run: WeekRun, settings: GrowthSettings, *, fingerprint: str, priors: GrowthPriors) -> str:
    """The id of the week's Bayesian fit: its settings, its scores, and its priors as the earlier fits gave them."""
    values = settings.model_dump(mode="json", exclude=_NOT_OF_THE_FIT)
    return fit_id("brms", run.week, settings=values, data=[fingerprint, json.dumps(priors.to_json(), sort_keys=True)])


def _fit(run: WeekRun, scores: WeeklyScores, *, priors: GrowthPriors, samplers: Samplers) -> GrowthFit | NoResult:
    """The fit, or why the scores do not allow one."""
    if scores.source == "theta" and scores.scale is None:
        problem = "no usable calibration at or before the week, so there are no abilities to follow"
    else:
        try:
            with run.without_transaction():
                fit = fit_growth(scores, run.settings.growth, samplers=samplers, priors=priors)
        except (GrowthDataError, MixedModelDataError) as error:
            problem = str(error)
        else:
            _log_verdict(run, fit)
            return fit
    run.warn(f"no growth fit: {problem}")
    return NoResult(problem)


def _log_verdict(run: WeekRun, fit: GrowthFit) -> None:
    posterior, verdict = fit.posterior, fit.posterior.verdict
    seen = f"{posterior.n_students:,} students, {posterior.n_scores:,} weekly scores, {posterior.method}"
    for caution in posterior.cautions:
        run.warn(caution)
    if verdict.usable:
        run.log.info(f"week of {run.week.key}: growth fit of {seen}: usable")
    else:
        run.log.error(
            f"week of {run.week.key}: the growth fit of {seen} is not usable ({'; '.join(verdict.reasons)}). It is "
            "stored, predicts nothing and does not feed P"
        )


def _stage_predictions(run: WeekRun, fit: GrowthFit | NoResult, *, scores: WeeklyScores, run_id: str) -> _Predicted:
    columns = {column.name: column.type.compile(run.connection.dialect) for column in growth_prediction.columns}
    create_staging(run.connection, _STAGED_PREDICTION, columns=columns)
    if isinstance(fit, NoResult) or not fit.posterior.verdict.usable:
        return _Predicted(0, "there is no usable fit")
    goals = load_goals(
        run.connection,
        run.week,
        scores=scores,
        students=np.asarray(fit.data.students),
        default_target=run.settings.kpis.default_target,
        horizon_weeks=run.settings.growth.goal_horizon_weeks,
    )
    if not np.isfinite(goals.target).all():
        return _Predicted(0, "no calibration at or before the week turns a target ability into a share right")
    probabilities = []
    for block in predictions(fit, scores, goals=goals, week=run.week, run_id=run_id):
        copy_frame(run.connection, _STAGED_PREDICTION, frame=block[list(columns)])
        probabilities.append(block["p"].to_numpy())
    metadata = _prediction_metadata(fit, scores, goals=goals, probability=np.concatenate(probabilities))
    return _Predicted(len(goals.target), metadata=metadata)


def _prediction_metadata(
    fit: GrowthFit, scores: WeeklyScores, *, goals: Goals, probability: np.ndarray
) -> dict[str, Any]:
    return {
        "students_with_own_goal": int(goals.is_own.sum()),
        "students_with_goal_date": int((goals.horizon_source != "configured").sum()),
        "P_mean": float(probability.mean()),
        **prediction_metadata(fit, scores, goals=goals, probability=probability),
    }


def _fit_outcome(
    run: WeekRun,
    published: Published,
    *,
    fit: GrowthFit | NoResult,
    scores: WeeklyScores,
    evidence: Evidence,
    run_id: str,
) -> Outcome:
    as_of = run.week.as_of.isoformat()
    if isinstance(fit, NoResult):
        checks = [BAYESIAN_FITTED.failed(fit.reason), DIAGNOSTICS.passed("there is no fit to judge")]
        return run.outcome(published, {"as_of": as_of}, checks=checks)
    posterior, verdict = fit.posterior, fit.posterior.verdict
    numbers = _flat(posterior.diagnostics())
    seen = f"{posterior.n_students:,} students, {posterior.n_scores:,} scores"
    text = "; ".join(verdict.reasons) or "within all limits"
    checks = [
        BAYESIAN_FITTED.passed(
            "; ".join((seen, *posterior.cautions)), {"students": posterior.n_students, "scores": posterior.n_scores}
        ),
        DIAGNOSTICS.judged(text, is_passed=verdict.usable, metadata=numbers),
    ]
    metadata = {
        "run_id": run_id,
        "as_of": as_of,
        "method": posterior.method,
        "family": posterior.family,
        "score": f"{scores.source} ({scores.unit})",
        "students": posterior.n_students,
        "weekly_scores": posterior.n_scores,
        "lookback_weeks": evidence.lookback_weeks,
        "priors_from": evidence.earlier.run_id if evidence.earlier else "contract or settings",
        **fit_metadata(fit, scores),
    }
    return run.outcome(published, metadata, checks=checks)


def _flat(diagnostics: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of nested diagnostics by names such as ``rhat_max``."""
    flat: dict[str, Any] = {}
    for name, value in diagnostics.items():
        flat |= {f"{name}_{part}": v for part, v in value.items()} if isinstance(value, Mapping) else {name: value}
    return flat


def _prediction_outcome(
    run: WeekRun, published: Published, *, fit: GrowthFit | NoResult, predicted: _Predicted
) -> Outcome:
    is_usable = not isinstance(fit, NoResult) and fit.posterior.verdict.usable
    expected = fit.posterior.n_students if not isinstance(fit, NoResult) and is_usable else 0
    text = predicted.note or f"{predicted.n_students:,} of {expected:,} students"
    check = PREDICTED.judged(
        text, is_passed=predicted.n_students == expected, metadata={"students": predicted.n_students}
    )
    return run.outcome(published, predicted.metadata, checks=[check])
