"""Scoring of students with a stored churn fit: rows of survival_risk and the keys of `weekly_kpi/S`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sqlalchemy import Connection, Row, text

from seedtest_analytics.assets.churn.checks import BY_MODEL
from seedtest_analytics.assets.churn.panel import ScoredStudents, load_scored
from seedtest_analytics.assets.churn.stored_model import heuristic_model, model_from_json
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.preview import histogram, table_preview
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.assets.verdicts.evidence import RISKS, decide_for
from seedtest_analytics.database.publish import copy_frame, create_staging, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAY, Week
from seedtest_analytics.settings import SurvivalSettings
from seedtest_analytics.stats.survival.churn import ChurnModel
from seedtest_analytics.stats.survival.panel import activity_states
from seedtest_analytics.stats.survival.reasons import Reason
from seedtest_analytics.stats.verification.recalibration import Decision, published
from seedtest_analytics.stats.verification.verdict_words import BASE_RATE, WITHHELD
from seedtest_analytics.tables.churn import survival_risk, survival_risk_history

SQL = "churn/risk.sql"
SHOWN_REASONS = 3
FAMILIES = {"cox_efron": "cox", "cox_efron_ridge": "cox", "weibull_aft": "weibull", "weibull_aft_ridge": "weibull"}
"""Method of a fit: the word that readers of `S_method` know."""
_BLOCK_STUDENTS = 50_000
_STATES = {"active": "active", "stopped": "stopped", "never started": "never_started"}


@dataclass(frozen=True)
class Scorer:
    """The model that scores a week; ``run_id`` None is the heuristic.

    ``note`` says why it is the heuristic, or an earlier fit than the newest.
    """

    model: ChurnModel
    run_id: str | None
    note: str | None


def scorer_for(connection: Connection, week: Week, *, horizon_days: int, lookback_days: int) -> Scorer:
    """The newest usable fit that used no data at or after as_of and reaches the horizon; else the heuristic.

    A fit is used for as many days as its look-back has. Older fits say nothing about today's behaviour. A week without
    a fit, such as the running one, takes the newest fit without a note. A note says that the newest fit is unusable and
    an earlier one is used.
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
    """Why the heuristic scores: no fit may be used."""
    if newest is None:
        return "there is no churn fit yet"
    if newest.is_usable:
        return f"the newest churn fit, of {newest.week_start}, is more than {lookback_days} days old"
    return f"{_fell_short(newest)}, and no fit of the {lookback_days} days before is usable"


def score_week(run: WeekRun) -> Sequence[Outcome]:
    """Score the students of one week into the history, and make its newest week the current table."""
    connection, week, settings = run.connection, run.week, run.settings.survival
    population = {"since": week.days_before(settings.lookback_days), "as_of": week.as_of}
    connection.execute(statement("kpis/population.sql"), population)
    scorer = scorer_for(
        connection, week, horizon_days=settings.event_threshold_days, lookback_days=settings.lookback_days
    )
    _warn(run, scorer, what="risk")
    students = load_scored(connection, week)
    decision = _decision(run, scorer)
    risks = stage_risks(connection, students, scorer=scorer, week=week, settings=settings, decision=decision)
    connection.execute(statement(SQL, "stage_never_started"), {"as_of": week.as_of, "week_start": week.start})
    history = publish_week(run, survival_risk_history, rows="staged_risk")
    connection.execute(statement(SQL, "stage_current"))
    current = publish_week(run, survival_risk, rows="staged_current", replace=Replace.EVERYTHING)
    by_whom = f"scored by {scorer.run_id or 'the heuristic'}"
    check = BY_MODEL.judged(f"{by_whom}: {scorer.note}" if scorer.note else by_whom, is_passed=scorer.note is None)
    metadata: dict[str, Any] = {
        "as_of": week.as_of.isoformat(),
        "method": scorer.model.method,
        "fit": scorer.run_id or "none",
        "states": table_preview(connection, statement(SQL, "states"), parameters={"week_start": week.start}),
        "rows_of_the_week": history.staged,
    }
    if scorer.note:
        metadata["fit_note"] = scorer.note
    if decision is not None:
        metadata["verdict"] = f"{decision.verdict}: {decision.reason}"
    if len(risks) and np.isfinite(risks).all():
        metadata["risk"] = histogram(risks.tolist(), "Risk of silence", label="probability")
    return [run.outcome(current.with_quarantine_of(history), metadata, checks=[check])]


def _decision(run: WeekRun, scorer: Scorer) -> Decision | None:
    """What past outcomes decide about S, so that the list of risks and S are one number; None if they do not decide."""
    if not run.settings.backtest.decides:
        return None
    return decide_for(
        run.connection,
        run.week,
        past=RISKS,
        method=FAMILIES.get(scorer.model.method, scorer.model.method),
        horizon_days=run.settings.survival.event_threshold_days,
        settings=run.settings,
    )


def _warn(run: WeekRun, scorer: Scorer, *, what: str) -> None:
    """Warn that an earlier fit or the heuristic scores the week."""
    if scorer.note:
        by_whom = "an earlier fit" if scorer.run_id else "the heuristic"
        run.warn(f"{what} by {by_whom}: {scorer.note}")


def stage_risks(
    connection: Connection,
    students: ScoredStudents,
    *,
    scorer: Scorer,
    week: Week,
    settings: SurvivalSettings,
    decision: Decision | None = None,
) -> np.ndarray:
    """Fill staged_risk with rows of survival_risk_history for the population; their (n,) risks.

    A ``decision`` by past outcomes replaces the model's numbers; where it withholds them, risks are NaN.

    Blocks keep memory small: the reasons of a million students are never in memory together.
    """
    horizon, model = settings.event_threshold_days, scorer.model
    risk, lower, upper = model.predict_silence(students.covariates, horizon)
    if scorer.run_id is None:
        risk = _heuristic_of_the_contract(connection, students, week=week, settings=settings)
    if decision is not None:
        risk, lower, upper = published(decision, risk, lower=lower, upper=upper)
    rank = (rankdata(risk) - 0.5) / max(len(risk), 1)
    is_individual = decision is None or decision.verdict not in (BASE_RATE, WITHHELD)
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
                "reasons": _reasons(model, block) if is_individual else ["[]"] * len(block.user_ids),
                "method": model.method,
                "run_id": scorer.run_id,
                "verdict": None if decision is None else decision.verdict,
            }
        ).astype({"run_id": object, "verdict": object})
        if own.start == 0:
            staged_from_frame(connection, "staged_risk", table=survival_risk_history, frame=frame)
        else:
            copy_frame(connection, "staged_risk", frame=frame)
    return risk


def _heuristic_of_the_contract(
    connection: Connection, students: ScoredStudents, *, week: Week, settings: SurvivalSettings
) -> np.ndarray:
    """The number that `weekly_kpi/S` gives without a model."""
    stage_heuristic(connection, week, horizon_days=settings.event_threshold_days, since_days=settings.lookback_days)
    found = dict(connection.execute(text("SELECT user_id, (kpis ->> 'S')::float8 FROM staged_kpi")).tuples().all())
    connection.execute(text("DROP TABLE staged_kpi"))
    return np.array([found[user] for user in students.user_ids], dtype=np.float64)


def _reasons(model: ChurnModel, students: ScoredStudents) -> list[str]:
    """JSON of each student's reasons."""
    return [
        json_text(
            [
                {"subject": r.subject, "raises_risk": r.raises_risk, "silence_change": r.silence_change, "text": r.text}
                for r in reasons
            ]
        )
        for reasons in model.reasons(students.covariates, SHOWN_REASONS)
    ]


def stage_heuristic(connection: Connection, week: Week, *, horizon_days: int, since_days: int) -> None:
    """Fill staged_kpi with the contract's heuristic for the population of the last ``since_days`` days."""
    connection.execute(
        statement("kpis/S.sql"),
        {
            "as_of": week.as_of,
            "days_56": week.days_before(56),
            "since": week.days_before(since_days),
            "horizon_days": horizon_days,
        },
    )


def stage_churn_risk(run: WeekRun) -> None:
    """Fill staged_kpi with the keys of S for the population: by the model if one is usable, else by the heuristic."""
    connection, week, settings, survival = run.connection, run.week, run.settings.kpis, run.settings.survival
    horizon_days = settings.churn_horizon_days
    since_days = max(settings.users_since_days, settings.lookback_days)
    stage_heuristic(connection, week, horizon_days=horizon_days, since_days=since_days)
    if not survival.update_kpi:
        connection.execute(statement(SQL, "note_fallback"), {"note": "SURVIVAL_UPDATE_KPI is off"})
        return
    scorer = scorer_for(connection, week, horizon_days=horizon_days, lookback_days=survival.lookback_days)
    _warn(run, scorer, what="S")
    if scorer.run_id is None:
        connection.execute(statement(SQL, "note_fallback"), {"note": scorer.note})
        return
    students = load_scored(connection, week)
    create_staging(connection, "staged_model", columns={"user_id": "text", "kpis": "jsonb"})
    for _, block in students.blocks(_BLOCK_STUDENTS):
        copy_frame(connection, "staged_model", frame=_kpi_rows(block, scorer, horizon_days=horizon_days))
    connection.execute(statement(SQL, "merge_kpi"))


def _code(found: Reason) -> dict[str, Any]:
    """A reason as a code with its values, for readers of any language."""
    parts = [{"covariate": p.covariate, "value": _known(p.value), "typical": _known(p.typical)} for p in found.parts]
    return {"raises_risk": found.raises_risk, "parts": parts}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _kpi_rows(students: ScoredStudents, scorer: Scorer, *, horizon_days: int) -> pd.DataFrame:
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
                "S_reason_codes": [_code(r) for r in of_student],
                **note,
            }
        )
        for (s, low, high), of_student in zip(numbers, reasons, strict=True)
    ]
    return pd.DataFrame({"user_id": students.user_ids, "kpis": keys})
