"""Scoring of students with a stored churn fit: rows of survival_risk and the keys of `weekly_kpi/S`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Connection, Row, text

from seedtest_analytics.assets.churn.panel import ScoredStudents, load_scored
from seedtest_analytics.assets.churn.stored_model import heuristic_model, model_from_json
from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.preview import histogram, table_preview
from seedtest_analytics.database.publish import (
    Published,
    copy_frame,
    create_staging,
    publish,
    staged_from_frame,
)
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import KpiSettings, SurvivalSettings, load_settings
from seedtest_analytics.tables.churn import survival_risk, survival_risk_history

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from seedtest_analytics.stats.survival.churn import ChurnModel

SQL = "churn/risk.sql"
SHOWN_REASONS = 3
FAMILIES = {"cox_efron": "cox", "cox_efron_ridge": "cox", "weibull_aft": "weibull"}
"""Method of a fit to the word that readers of `S_method` know."""
_BLOCK_STUDENTS = 50_000
_STATES = {"active": "active", "stopped": "stopped", "never started": "never_started"}


@dataclass(frozen=True)
class Scorer:
    """The model that a week is scored with; ``run_id`` None is the heuristic.

    ``note`` says why it is the heuristic, or why an earlier fit stands in for the newest.
    """

    model: ChurnModel
    run_id: str | None
    note: str | None


def scorer_for(connection: Connection, week: Week, *, horizon_days: int, lookback_days: int) -> Scorer:
    """The newest usable fit that knew nothing at or after as_of and reaches the horizon; else the heuristic.

    A fit is used for so many days as it looked back on: who behaves as then is not known any longer. A week that has no
    fit of its own yet, the running one for instance, takes the newest and that is no matter; a fit that was found
    unusable and is passed over for an earlier one is.
    """
    parameters = {"week_start": week.start, "as_of": week.as_of}
    newest = connection.execute(statement(SQL, "newest"), parameters).one_or_none()
    oldest = week.start - lookback_days * DAY
    found = connection.execute(statement(SQL, "usable_for"), {**parameters, "oldest": oldest}).one_or_none()
    if found is None:
        return Scorer(heuristic_model(horizon_days), None, note=_why_no_fit(newest, lookback_days))
    model = model_from_json(found.model)
    if horizon_days > model.follow_up_days:
        why = f"{found.run_id} reaches {model.follow_up_days} days, not {horizon_days}"
        return Scorer(heuristic_model(horizon_days), None, note=why)
    note = None
    if newest is not None and newest.run_id != found.run_id:
        note = f"{_fell_short(newest)}; the last good one, of {found.week_start}, is used"
    return Scorer(model, found.run_id, note=note)


def _fell_short(fit: Row[Any]) -> str:
    faults = "; ".join(fit.reasons or ["no reason stored"])
    return f"the churn fit of {fit.week_start} is not usable ({faults})"


def _why_no_fit(newest: Row[Any] | None, lookback_days: int) -> str:
    """Why the heuristic, where no fit may be used."""
    if newest is None:
        return "there is no churn fit yet"
    if newest.is_usable:
        return f"the newest churn fit, of {newest.week_start}, is more than {lookback_days} days old"
    return f"{_fell_short(newest)} and no usable one of the {lookback_days} days before stands in"


def score_risk_week(
    postgres: PostgresResource, week: Week, *, settings: SurvivalSettings, dry: bool, log: Any
) -> Outcome:
    """Score the students of one week into the history, and make its newest week the current table."""
    with postgres.transaction("survival_risk", is_dry_run=dry) as connection:
        parameters = {"since": week.days_before(settings.lookback_days), "as_of": week.as_of}
        connection.execute(statement("kpis/population.sql"), parameters)
        scorer = scorer_for(
            connection, week, horizon_days=settings.event_threshold_days, lookback_days=settings.lookback_days
        )
        _warn(log, week, what="risk", scorer=scorer)
        students = load_scored(connection, week)
        risks = stage_risks(connection, students, scorer=scorer, week=week, settings=settings)
        connection.execute(statement(SQL, "stage_never_started"), {"as_of": week.as_of, "week_start": week.start})
        history = _publish_history(connection, week)
        connection.execute(statement(SQL, "stage_current"))
        current = publish(connection, survival_risk, staged="staged_current", partition="true")
        states = table_preview(connection, statement(SQL, "states"), parameters={"week_start": week.start})
    by_whom = f"scored by {scorer.run_id or 'the heuristic'}"
    check = CheckOutcome(
        "by_model", scorer.note is None, description=f"{by_whom}: {scorer.note}" if scorer.note else by_whom
    )
    metadata: dict[str, Any] = {
        "as_of": week.as_of.isoformat(),
        "method": scorer.model.method,
        "fit": scorer.run_id or "none",
        "states": states,
        "rows_of_the_week": history.staged,
    }
    if scorer.note:
        metadata["fit_note"] = scorer.note
    if len(risks):
        metadata["risk"] = histogram(risks.tolist(), f"Risk of silence, week of {week.key}", label="probability")
    return Outcome(current, metadata, checks=[check], partition=week.key, is_dry_run=dry)


def _warn(log: Any, week: Week, *, what: str, scorer: Scorer) -> None:
    """Say that no fit, or an earlier one, is what a week is scored with."""
    if scorer.note:
        by_whom = "an earlier fit" if scorer.run_id else "the heuristic"
        log.warning(f"week of {week.key}: {what} by {by_whom}: {scorer.note}")


def _publish_history(connection: Connection, week: Week) -> Published:
    return publish(
        connection,
        survival_risk_history,
        staged="staged_risk",
        partition="t.week_start = :week_start",
        parameters={"week_start": week.start},
    )


def stage_risks(
    connection: Connection,
    students: ScoredStudents,
    *,
    scorer: Scorer,
    week: Week,
    settings: SurvivalSettings,
) -> np.ndarray:
    """Fill staged_risk with rows of survival_risk_history for the population; their (n,) risks.

    In blocks, so that the reasons of a million students are never in memory at once.
    """
    import pandas as pd
    from scipy.stats import rankdata

    from seedtest_analytics.stats.survival.panel import activity_states

    horizon, model = settings.event_threshold_days, scorer.model
    risk, lower, upper = model.predict_silence(students.covariates, horizon)
    if scorer.run_id is None:
        risk = _heuristic_of_the_contract(connection, students, week=week, settings=settings)
    rank = (rankdata(risk) - 0.5) / max(len(risk), 1)
    for own, block in students.blocks(_BLOCK_STUDENTS):
        silent = block.covariates["days_since_last"]
        frame = pd.DataFrame(
            {
                "user_id": block.user_ids,
                "week_start": week.start,
                "risk_score": risk[own],
                "risk_lower": lower[own],
                "risk_upper": upper[own],
                "hazard_ratio": model.relative_hazard(block.covariates),
                "rank_percentile": rank[own],
                "state": [_STATES[state] for state in activity_states(silent, horizon).tolist()],
                "days_silent": silent,
                "reasons": _reasons(model, block),
                "method": model.method,
                "run_id": scorer.run_id,
            }
        ).astype({"run_id": object})
        if own.start == 0:
            staged_from_frame(connection, "staged_risk", table=survival_risk_history, frame=frame)
        else:
            copy_frame(connection, "staged_risk", frame=frame)
    return risk


def _heuristic_of_the_contract(
    connection: Connection, students: ScoredStudents, *, week: Week, settings: SurvivalSettings
) -> np.ndarray:
    """The very number that `weekly_kpi/S` gives without a model."""
    import numpy as np

    stage_heuristic(connection, week, horizon_days=settings.event_threshold_days, since_days=settings.lookback_days)
    found = dict(connection.execute(text("SELECT user_id, (kpis ->> 'S')::float8 FROM staged_kpi")).tuples().all())
    connection.execute(text("DROP TABLE staged_kpi"))
    return np.array([found[user] for user in students.user_ids], dtype=np.float64)


def _reasons(model: ChurnModel, students: ScoredStudents) -> list[str]:
    """JSON of each student's reasons."""
    return [
        json_text(
            [
                {
                    "subject": r.subject,
                    "raises_risk": r.raises_risk,
                    "silence_change": r.silence_change,
                    "text": r.text,
                }
                for r in reasons
            ]
        )
        for reasons in model.reasons(students.covariates, SHOWN_REASONS)
    ]


def stage_heuristic(connection: Connection, week: Week, *, horizon_days: int, since_days: int) -> None:
    """Fill staged_kpi with the contract's heuristic for the population, whose attempts reach back so many days."""
    connection.execute(
        statement("kpis/S.sql"),
        {
            "as_of": week.as_of,
            "days_56": week.days_before(56),
            "since": week.days_before(since_days),
            "horizon_days": horizon_days,
        },
    )


def stage_churn_risk(connection: Connection, week: Week, settings: KpiSettings) -> None:  # noqa: PLR0917
    """Fill staged_kpi with the keys of S for the population: by the model where one is usable, else the heuristic."""
    since_days = max(settings.users_since_days, settings.lookback_days)
    stage_heuristic(connection, week, horizon_days=settings.churn_horizon_days, since_days=since_days)
    survival = load_settings().survival
    if not survival.update_kpi:
        connection.execute(statement(SQL, "note_fallback"), {"note": "SURVIVAL_UPDATE_KPI is off"})
        return
    scorer = scorer_for(
        connection, week, horizon_days=settings.churn_horizon_days, lookback_days=survival.lookback_days
    )
    _warn(dg.get_dagster_logger(), week, what="S", scorer=scorer)
    if scorer.run_id is None:
        connection.execute(statement(SQL, "note_fallback"), {"note": scorer.note})
        return
    students = load_scored(connection, week)
    create_staging(connection, "staged_model", columns={"user_id": "text", "kpis": "jsonb"})
    for _, block in students.blocks(_BLOCK_STUDENTS):
        copy_frame(
            connection,
            "staged_model",
            frame=_kpi_rows(block, scorer, horizon_days=settings.churn_horizon_days),
        )
    connection.execute(statement(SQL, "merge_kpi"))


def _kpi_rows(students: ScoredStudents, scorer: Scorer, *, horizon_days: int) -> pd.DataFrame:
    import pandas as pd

    numbers = zip(*scorer.model.predict_silence(students.covariates, horizon_days), strict=True)
    reasons = scorer.model.reasons(students.covariates, SHOWN_REASONS)
    note = {"S_fit_note": scorer.note} if scorer.note else {}
    keys = [
        json_text(
            {
                "S": float(s),
                "S_lower": float(low),
                "S_upper": float(high),
                "S_method": FAMILIES[scorer.model.method],
                "S_fit_run_id": scorer.run_id,
                "S_reasons": [r.text for r in of_student],
                **note,
            }
        )
        for (s, low, high), of_student in zip(numbers, reasons, strict=True)
    ]
    return pd.DataFrame({"user_id": students.user_ids, "kpis": keys})
