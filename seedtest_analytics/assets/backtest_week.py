"""The predictions of one week against what happened: rows of prediction_backtest."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from seedtest_analytics.assets.risk_model import json_text
from seedtest_analytics.partitions import WEEK, Week, instant_of, monday_of
from seedtest_analytics.resources.read import copy_to_arrow
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.settings import Settings

if TYPE_CHECKING:
    from seedtest_analytics.stats.calibration.probabilities import ProbabilityScore

SQL = "backtest/outcomes.sql"
SCORES = (
    "n", "n_events", "observed_share", "predicted_share", "brier", "brier_baseline", "brier_skill", "brier_gain",
    "brier_gain_se", "log_score", "log_score_baseline", "log_skill", "calibration_intercept",
    "calibration_intercept_se", "calibration_slope", "calibration_slope_se", "ici", "auc", "auc_se",
)  # fmt: skip
ANSWER_DAYS = 7


@dataclass(frozen=True)
class Judgement:
    """A row of prediction_backtest; ``curve`` for the plot."""

    prediction: str
    row: Mapping[str, Any]
    curve: Mapping[str, Any]


@dataclass(frozen=True)
class NotYet:
    """Why a prediction cannot be judged (yet)."""

    prediction: str
    reason: str


def end_of(week: Week) -> dt.datetime:
    """First instant after the week."""
    return instant_of(week.start + WEEK, ZoneInfo(week.timezone))


def days_after(week: Week, days: int) -> dt.datetime:
    """The instant ``days`` local days after the week's end."""
    return instant_of(week.start + WEEK + dt.timedelta(days=days), ZoneInfo(week.timezone))


def judge_silence(
    connection: Connection, week: Week, instant: dt.datetime, _: Settings
) -> Judgement | NotYet:
    """S against silence over its own horizon."""
    horizon = connection.execute(statement(SQL, "silence_horizon"), {"week_start": week.start}).scalar_one()
    if horizon is None:
        return NotYet("S", "the week has no S")
    until = days_after(week, horizon)
    if until > instant:
        return NotYet("S", f"known on {until.date()}")
    known = week.start - -(-horizon // 7) * WEEK
    earlier = Week(known, week.as_of, week.timezone)
    share = connection.execute(
        statement(SQL, "silence_baseline"),
        {"week_start": known, "as_of": end_of(earlier), "until": days_after(earlier, horizon)},
    ).scalar_one()
    connection.execute(
        statement(SQL, "silence"), {"week_start": week.start, "as_of": end_of(week), "until": until}
    )
    said = (
        "the share of these very outcomes (no earlier week was known)"
        if share is None
        else f"the share {share:.3f} that fell silent from the week of {known}"
    )
    return _judged(connection, "S", until, said, [], share)


def judge_goal(
    connection: Connection, week: Week, instant: dt.datetime, settings: Settings
) -> Judgement | NotYet:
    """P against the measured ability of the week that it is about."""
    zone = ZoneInfo(week.timezone)
    last_closed = monday_of(instant.astimezone(zone).date()) - WEEK
    connection.execute(
        statement(SQL, "goal"),
        {
            "week_start": week.start,
            "as_of": end_of(week),
            "default_week": week.start + settings.backtest.ability_horizon_weeks * WEEK,
            "last_closed_week": last_closed,
        },
    )
    note = "the outcome is an ability measured by two weeks of answers; P is widened by that measurement's own error"
    said = "the share of students whose ability was at the target when P was given"
    return _judged(connection, "P", instant_of(last_closed + WEEK, zone), said, [note])


def judge_abilities(
    connection: Connection, week: Week, instant: dt.datetime, _: Settings
) -> Judgement | NotYet:
    """Abilities by the next week's first answers."""
    until = days_after(week, ANSWER_DAYS)
    if until > instant:
        return NotYet("theta", f"known on {until.date()}")
    connection.execute(
        statement(SQL, "next_answers"), {"week_start": week.start, "as_of": end_of(week), "until": until}
    )
    return _judged(
        connection, "theta", until, "the share of right answers to the item in the calibration", []
    )


JUDGES = (judge_silence, judge_goal, judge_abilities)


def _judged(
    connection: Connection,
    prediction: str,
    until: dt.datetime,
    said: str,
    notes: list[str],
    share: float | None = None,
) -> Judgement | NotYet:
    """Score backtest_outcome; its own baseline column counts except for S, whose baseline is one share."""
    import numpy as np

    from seedtest_analytics.stats.calibration.measured import probability_of_measured
    from seedtest_analytics.stats.calibration.probabilities import score_probabilities
    from seedtest_analytics.stats.calibration.verdict import judge_probabilities

    query = {"S": "silence_rows", "P": "goal_rows"}.get(prediction, "rows")
    rows = copy_to_arrow(connection, statement(SQL, query), dictionaries=("user_id",))
    methods = connection.execute(statement(SQL, "methods")).scalar_one()
    connection.execute(statement(SQL, "drop_outcome"))
    if rows.num_rows == 0:
        return NotYet(prediction, "no prediction of the week has an outcome yet")
    baseline = share if prediction == "S" else rows["baseline"].to_numpy().astype(float)
    users = rows["user_id"].combine_chunks().indices.to_numpy()
    predicted = rows["predicted"].to_numpy().astype(float)
    if prediction == "P":
        predicted = probability_of_measured(predicted, rows["sigma"].to_numpy(), rows["error_sd"].to_numpy())
    score = score_probabilities(
        predicted,
        rows["happened"].to_numpy().astype(float),
        baseline=baseline,
        clusters=users,
    )
    verdict = judge_probabilities(score)
    row = {
        "prediction": prediction,
        "method": methods or "unknown",
        "judged_until": until,
        "cohort_size": len(np.unique(users)),
        **{name: getattr(score, name) for name in SCORES},
        "baseline": said,
        "curve": json_text(dataclasses.asdict(score.curve)),
        "is_credible": verdict.is_credible,
        "reasons": json_text(verdict.reasons),
        "notes": json_text([*notes, *score.notes]),
    }
    return Judgement(prediction, row, _curve(score))


def _curve(score: ProbabilityScore) -> dict[str, Any]:
    return {name: value.tolist() for name, value in dataclasses.asdict(score.curve).items()}
