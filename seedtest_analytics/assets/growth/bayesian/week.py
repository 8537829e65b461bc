"""Bayesian growth of one week: scores in, the fit with its verdict and each student's prediction out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.growth.bayesian.fit import GrowthFit, Samplers, fit_growth
from seedtest_analytics.assets.growth.bayesian.goals import Goals, load_goals, predictions
from seedtest_analytics.assets.growth.bayesian.plots import fit_metadata, prediction_metadata
from seedtest_analytics.assets.growth.bayesian.rows import fit_run_id, meta_row
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores, load_scores
from seedtest_analytics.database.publish import (
    Published,
    copy_frame,
    create_staging,
    publish,
    staged_from_frame,
)
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import GrowthSettings
from seedtest_analytics.tables.growth import growth_brms_meta, growth_prediction

_THIS_WEEK = "t.week_start = :week_start"


@dataclass(frozen=True)
class _Predicted:
    """What was staged for growth_prediction; ``note`` says why nothing was."""

    n_students: int
    note: str
    metadata: dict[str, Any] = field(default_factory=dict)


def fit_growth_week(
    postgres: PostgresResource,
    week: Week,
    *,
    settings: GrowthSettings,
    default_target: float,
    dry: bool,
    samplers: Samplers,
) -> Iterator[Outcome]:
    """Fit one week and publish the fit and, where it is usable, the predictions in one transaction."""
    with postgres.transaction(f"growth:{week.key}", is_dry_run=dry) as connection:
        scores = load_scores(connection, week, settings=settings)
        outcomes = publish_growth(
            connection,
            scores,
            week=week,
            settings=settings,
            default_target=default_target,
            dry=dry,
            samplers=samplers,
        )
    yield from outcomes


def publish_growth(
    connection: Connection,
    scores: WeeklyScores,
    *,
    week: Week,
    settings: GrowthSettings,
    default_target: float,
    dry: bool,
    samplers: Samplers,
) -> tuple[Outcome, Outcome]:
    """Fit the scores of a week, write the fit and its predictions, and report both; the caller commits."""
    run_id = fit_run_id("brms", week, settings=settings, fingerprint=scores.fingerprint)
    fit, problem = _fit(scores, settings, week=week, samplers=samplers)
    predicted = _stage_predictions(
        connection,
        fit,
        scores=scores,
        week=week,
        run_id=run_id,
        defaults=(default_target, settings.goal_horizon_weeks),
    )
    samplers.log.info(f"week of {week.key}: {predicted.n_students:,} students predicted")
    staged_from_frame(
        connection,
        "staged_fit",
        table=growth_brms_meta,
        frame=meta_row(fit, scores, settings=settings, week=week, run_id=run_id),
    )
    fits, rows = (
        publish(connection, table, staged=staged, partition=_THIS_WEEK, parameters={"week_start": week.start})
        for table, staged in (
            (growth_brms_meta, "staged_fit"),
            (growth_prediction, "staged_prediction"),
        )
    )
    # Plots too, so that a run that cannot tell what it did has not done it.
    return (
        _fit_outcome(fits, fit, problem=problem, scores=scores, week=week, run_id=run_id, dry=dry),
        _prediction_outcome(rows, fit, predicted=predicted, week=week, dry=dry),
    )


def _fit(
    scores: WeeklyScores, settings: GrowthSettings, *, week: Week, samplers: Samplers
) -> tuple[GrowthFit | None, str]:
    """The fit, or None and the reason why the scores cannot carry one."""
    from seedtest_analytics.stats.growth.errors import GrowthDataError
    from seedtest_analytics.stats.mixed_model.data import MixedModelDataError

    if scores.source == "theta" and scores.scale is None:
        problem = "no usable calibration at or before the week, so there are no abilities to follow"
    else:
        try:
            fit = fit_growth(scores, settings, samplers=samplers)
        except (GrowthDataError, MixedModelDataError) as error:
            problem = str(error)
        else:
            _log_verdict(fit, week, samplers=samplers)
            return fit, ""
    samplers.log.warning(f"week of {week.key}: no growth fit: {problem}")
    return None, problem


def _log_verdict(fit: GrowthFit, week: Week, *, samplers: Samplers) -> None:
    posterior, verdict = fit.posterior, fit.posterior.verdict
    seen = f"{posterior.n_students:,} students, {posterior.n_scores:,} weekly scores, {posterior.method}"
    for warning in posterior.cautions:
        samplers.log.warning(f"week of {week.key}: {warning}")
    if verdict.usable:
        samplers.log.info(f"week of {week.key}: growth fit of {seen}: usable")
    else:
        samplers.log.error(
            f"week of {week.key}: growth fit of {seen} falls short ({'; '.join(verdict.reasons)}); it is stored, "
            "predicts nothing and does not feed P"
        )


def _stage_predictions(
    connection: Connection,
    fit: GrowthFit | None,
    *,
    scores: WeeklyScores,
    week: Week,
    run_id: str,
    defaults: tuple[float, int],
) -> _Predicted:
    dialect = postgresql.dialect()
    columns = {column.name: column.type.compile(dialect) for column in growth_prediction.columns}
    create_staging(connection, "staged_prediction", columns=columns)
    if fit is None or not fit.posterior.verdict.usable:
        return _Predicted(0, "there is no usable fit")
    goals = load_goals(
        connection,
        week,
        scores=scores,
        students=np.asarray(fit.data.students),
        default_target=defaults[0],
        horizon_weeks=defaults[1],
    )
    if not np.isfinite(goals.target).all():
        return _Predicted(0, "no calibration at or before the week turns a target ability into a share right")
    probabilities = []
    for block in predictions(fit, scores, goals=goals, week=week, run_id=run_id):
        copy_frame(connection, "staged_prediction", frame=block[list(columns)])
        probabilities.append(block["p"].to_numpy())
    return _Predicted(
        len(goals.target),
        "",
        metadata=_metadata(fit, scores, goals=goals, probability=np.concatenate(probabilities)),
    )


def _metadata(fit: GrowthFit, scores: WeeklyScores, *, goals: Goals, probability: np.ndarray) -> dict[str, Any]:
    counts = {
        "students_with_own_goal": int(goals.is_own.sum()),
        "students_with_goal_date": int((goals.horizon_source != "configured").sum()),
        "P_mean": float(probability.mean()),
    }
    return counts | prediction_metadata(fit, scores, goals=goals, probability=probability)


def _fit_outcome(
    published: Published,
    fit: GrowthFit | None,
    *,
    problem: str,
    scores: WeeklyScores,
    week: Week,
    run_id: str,
    dry: bool,
) -> Outcome:
    if fit is None:
        checks = [
            CheckOutcome("fitted", False, description=problem),  # noqa: FBT003
            CheckOutcome("diagnostics", True, description="there is no fit to judge"),  # noqa: FBT003
        ]
        return Outcome(published, {"as_of": week.as_of.isoformat()}, checks=checks, partition=week.key, is_dry_run=dry)
    posterior, verdict = fit.posterior, fit.posterior.verdict
    numbers = {k: str(v) for k, v in posterior.diagnostics().items()}
    text = "; ".join(verdict.reasons) or "within all limits"
    seen = f"{posterior.n_students:,} students, {posterior.n_scores:,} scores"
    checks = [
        CheckOutcome("fitted", True, description="; ".join((seen, *posterior.cautions))),  # noqa: FBT003
        CheckOutcome("diagnostics", verdict.usable, description=text, metadata=numbers),
    ]
    metadata = {
        "run_id": run_id,
        "as_of": week.as_of.isoformat(),
        "method": posterior.method,
        "family": posterior.family,
        "score": f"{scores.source} ({scores.unit})",
        "students": posterior.n_students,
        "weekly_scores": posterior.n_scores,
        **fit_metadata(fit, scores),
    }
    return Outcome(published, metadata, checks=checks, partition=week.key, is_dry_run=dry)


def _prediction_outcome(
    published: Published, fit: GrowthFit | None, *, predicted: _Predicted, week: Week, dry: bool
) -> Outcome:
    expected = fit.posterior.n_students if fit is not None and fit.posterior.verdict.usable else 0
    text = predicted.note or f"{predicted.n_students:,} of {expected:,} students"
    check = CheckOutcome("predicted", predicted.n_students == expected, description=text)
    return Outcome(published, predicted.metadata, checks=[check], partition=week.key, is_dry_run=dry)
