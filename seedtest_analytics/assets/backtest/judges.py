"""Judges: the predictions of one week against what happened, as rows of prediction_backtest."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week, instant_of, monday_of
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.verification.measured import probability_of_measured
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore, score_probabilities
from seedtest_analytics.stats.verification.verdict import judge_probabilities

SQL = "backtest/outcomes.sql"
SCORES = (
    "n",
    "n_events",
    "observed_share",
    "predicted_share",
    "brier",
    "brier_baseline",
    "brier_skill",
    "brier_gain",
    "brier_gain_se",
    "log_score",
    "log_score_baseline",
    "log_skill",
    "calibration_intercept",
    "calibration_intercept_se",
    "calibration_slope",
    "calibration_slope_se",
    "ici",
    "auc",
    "auc_se",
    "auc_baseline",
    "auc_gain",
    "auc_gain_se",
)
ANSWER_DAYS = 7
MODEL = "_model"
"""Suffix of the model's own numbers where others are published."""


@dataclass(frozen=True)
class Judgement:
    """A row of prediction_backtest; ``curve`` for the plot."""

    prediction: str
    row: Mapping[str, Any]
    curve: Mapping[str, Any]


Judgements = dict[str, Judgement | NoResult]
"""By name of the prediction."""


def end_of(week: Week) -> dt.datetime:
    """First instant after the week."""
    return instant_of(week.start + WEEK, ZoneInfo(week.timezone))


def days_after(week: Week, days: int) -> dt.datetime:
    """The instant ``days`` local days after the week's end."""
    return instant_of(week.start + WEEK + dt.timedelta(days=days), ZoneInfo(week.timezone))


def judge_silence(run: WeekRun, instant: dt.datetime) -> Judgements:
    """S against silence over its own horizon."""
    connection, week = run.connection, run.week
    horizon = connection.execute(statement(SQL, "silence_horizon"), {"week_start": week.start}).scalar_one()
    if horizon is None:
        return {"S": NoResult("the week has no S")}
    until = days_after(week, horizon)
    if until > instant:
        return {"S": NoResult(f"known on {until.date()}")}
    known = week.start - -(-horizon // 7) * WEEK
    earlier = Week(known, week.as_of, timezone=week.timezone)
    share = connection.execute(
        statement(SQL, "silence_baseline"),
        {"week_start": known, "as_of": end_of(earlier), "until": days_after(earlier, horizon)},
    ).scalar_one()
    connection.execute(statement(SQL, "silence"), {**whole_week(week), "known_by": dt.date.max, "horizon_days": None})
    text = (
        "the share of these very outcomes (no earlier week was known)"
        if share is None
        else f"the share {share:.3f} that fell silent from the week of {known}"
    )
    found = outcomes_of(connection, "silence_rows")
    return _both(
        found,
        "S",
        predicted=found.column("predicted"),
        model=found.column("model"),
        baseline=share,
        until=until,
        baseline_text=text,
    )


def judge_goal(run: WeekRun, instant: dt.datetime) -> Judgements:
    """P against the measured ability of the week that it predicts."""
    connection, week = run.connection, run.week
    zone = ZoneInfo(week.timezone)
    last_closed = monday_of(instant.astimezone(zone).date()) - WEEK
    connection.execute(
        statement(SQL, "goal"),
        {
            **whole_week(week),
            "default_days": 7 * run.settings.backtest.ability_horizon_weeks,
            "last_closed_week": last_closed,
        },
    )
    found = outcomes_of(connection, "goal_rows")
    sigma, error = found.column("sigma"), found.column("error_sd")
    until = instant_of(last_closed + WEEK, zone)
    return _both(
        found,
        "P",
        predicted=probability_of_measured(found.column("predicted"), sigma, error_sd=error),
        model=probability_of_measured(found.column("model"), found.column("model_sigma"), error_sd=error),
        baseline=found.column("baseline"),
        until=until,
        baseline_text="the share of students whose ability was at the target when P was given",
        notes=_goal_notes(sigma),
    )


def _goal_notes(sigma: Any) -> list[str]:
    """How P was compared with a measurement. ``sigma`` (n,) is NaN if its unit is not the measurement's."""
    note = "the outcome is an ability measured by two weeks of answers; P is widened by that measurement's own error"
    n = int(np.isnan(sigma).sum())
    if not n:
        return [note]
    return [
        note,
        f"P of {n:,} of {len(sigma):,} students is about a share right, whose spread has no unit in common with that "
        "error: it is not widened, and its slope lies below 1 even where it is right",
    ]


def judge_abilities(run: WeekRun, instant: dt.datetime) -> Judgements:
    """Abilities by the next week's first answers."""
    connection, week = run.connection, run.week
    until = days_after(week, ANSWER_DAYS)
    if until > instant:
        return {"theta": NoResult(f"known on {until.date()}")}
    connection.execute(statement(SQL, "next_answers"), {**whole_week(week), "known_by": dt.date.max})
    found = outcomes_of(connection, "rows")
    judged = judged_as(
        found,
        "theta",
        predicted=found.column("predicted"),
        baseline=found.column("baseline"),
        until=until,
        baseline_text="the share of right answers to the item in the calibration",
    )
    return {"theta": judged}


JUDGES = (judge_silence, judge_goal, judge_abilities)


def whole_week(week: Week) -> dict[str, Any]:
    """Parameters of a statement that reads all students of one week."""
    one = {"first_week": week.start, "last_week": week.start}
    return {**one, "timezone": week.timezone, "method": None, "stride": 1}


def _both(found: Outcomes, prediction: str, *, predicted: Any, model: Any, **how: Any) -> Judgements:
    """Judge what was published and, where that is not the model's own number for all, the model as `<prediction>_model`."""
    is_shown = np.isfinite(predicted)
    judged = {
        prediction: judged_as(found.where(is_shown), prediction, predicted=predicted[is_shown], **_at(is_shown, how))
    }
    if not np.array_equal(predicted, model, equal_nan=True):
        name = f"{prediction}{MODEL}"
        judged[name] = judged_as(found, name, predicted=model, **how)
    return judged


def _at(rows: Any, how: dict[str, Any]) -> dict[str, Any]:
    """``how`` with a baseline of some of the rows, if it is one for each."""
    baseline = how["baseline"]
    return how if baseline is None or np.ndim(baseline) == 0 else {**how, "baseline": baseline[rows]}


@dataclass(frozen=True)
class Outcomes:
    """Predictions and outcomes: Arrow columns user_id, predicted, happened and further ones of the query."""

    rows: Any
    methods: str | None

    def column(self, name: str) -> Any:
        """(n,) numbers."""
        return self.rows[name].to_numpy().astype(float)

    def where(self, rows: Any) -> Outcomes:
        """Some of the rows."""
        return self if rows.all() else Outcomes(self.rows.filter(rows), self.methods)


def outcomes_of(connection: Connection, query: str) -> Outcomes:
    """Read backtest_outcome and drop it."""
    rows = copy_to_arrow(connection, statement(SQL, query), dictionaries=("user_id",))
    methods = connection.execute(statement(SQL, "methods")).scalar_one()
    connection.execute(statement(SQL, "drop_outcome"))
    return Outcomes(rows, methods)


def judged_as(
    found: Outcomes,
    prediction: str,
    *,
    predicted: Any,
    baseline: Any,
    until: dt.datetime,
    baseline_text: str,
    notes: Sequence[str] = (),
) -> Judgement | NoResult:
    """Score (n,) probabilities. ``baseline`` is one number for each row or one for all."""
    if found.rows.num_rows == 0:
        return NoResult("no prediction of the week has an outcome yet")
    users = found.rows["user_id"].combine_chunks().indices.to_numpy()
    score = score_probabilities(predicted, found.column("happened"), baseline=baseline, clusters=users)
    verdict = judge_probabilities(score)
    row = {
        "prediction": prediction,
        "method": found.methods or "unknown",
        "judged_until": until,
        "cohort_size": len(np.unique(users)),
        **{name: getattr(score, name) for name in SCORES},
        "baseline": baseline_text,
        "curve": json_text(dataclasses.asdict(score.curve)),
        "is_credible": verdict.is_credible,
        "reasons": json_text(verdict.reasons),
        "notes": json_text([*notes, *score.notes]),
    }
    return Judgement(prediction, row, curve=_curve(score))


def _curve(score: ProbabilityScore) -> dict[str, Any]:
    return {name: value.tolist() for name, value in dataclasses.asdict(score.curve).items()}
