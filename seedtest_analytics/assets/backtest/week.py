"""The predictions of one week against what happened: rows of prediction_backtest."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week, instant_of, monday_of
from seedtest_analytics.settings import Settings

if TYPE_CHECKING:
    from seedtest_analytics.stats.verification.probabilities import ProbabilityScore

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
)
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


def judge_silence(connection: Connection, week: Week, instant: dt.datetime, _: Settings) -> Judgement | NotYet:  # noqa: PLR0917
    """S against silence over its own horizon."""
    horizon = connection.execute(statement(SQL, "silence_horizon"), {"week_start": week.start}).scalar_one()
    if horizon is None:
        return NotYet("S", "the week has no S")
    until = days_after(week, horizon)
    if until > instant:
        return NotYet("S", f"known on {until.date()}")
    known = week.start - -(-horizon // 7) * WEEK
    earlier = Week(known, week.as_of, timezone=week.timezone)
    share = connection.execute(
        statement(SQL, "silence_baseline"),
        {"week_start": known, "as_of": end_of(earlier), "until": days_after(earlier, horizon)},
    ).scalar_one()
    connection.execute(statement(SQL, "silence"), {"week_start": week.start, "as_of": end_of(week), "until": until})
    said = (
        "the share of these very outcomes (no earlier week was known)"
        if share is None
        else f"the share {share:.3f} that fell silent from the week of {known}"
    )
    found = _outcomes(connection, "silence_rows")
    return _judged(found, "S", found.column("predicted"), share, until, said)


def judge_goal(connection: Connection, week: Week, instant: dt.datetime, settings: Settings) -> Judgement | NotYet:  # noqa: PLR0917
    """P against the measured ability of the week that it is about."""
    from seedtest_analytics.stats.verification.measured import probability_of_measured

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
    said = "the share of students whose ability was at the target when P was given"
    found = _outcomes(connection, "goal_rows")
    sigma = found.column("sigma")
    predicted = probability_of_measured(found.column("predicted"), sigma, error_sd=found.column("error_sd"))
    until = instant_of(last_closed + WEEK, zone)
    return _judged(found, "P", predicted, found.column("baseline"), until, said, *_goal_notes(sigma))


def _goal_notes(sigma: Any) -> list[str]:
    """How P was compared with a measurement; ``sigma`` (n,) is NaN where it is not in the measurement's unit."""
    import numpy as np

    note = "the outcome is an ability measured by two weeks of answers; P is widened by that measurement's own error"
    n = int(np.isnan(sigma).sum())
    if not n:
        return [note]
    return [
        note,
        f"P of {n:,} of {len(sigma):,} students is about a share right, whose spread has no unit in common with that "
        "error: it is not widened, and its slope lies below 1 even where it is right",
    ]


def judge_abilities(connection: Connection, week: Week, instant: dt.datetime, _: Settings) -> Judgement | NotYet:  # noqa: PLR0917
    """Abilities by the next week's first answers."""
    until = days_after(week, ANSWER_DAYS)
    if until > instant:
        return NotYet("theta", f"known on {until.date()}")
    connection.execute(
        statement(SQL, "next_answers"), {"week_start": week.start, "as_of": end_of(week), "until": until}
    )
    found = _outcomes(connection, "rows")
    said = "the share of right answers to the item in the calibration"
    return _judged(found, "theta", found.column("predicted"), found.column("baseline"), until, said)


JUDGES = (judge_silence, judge_goal, judge_abilities)


@dataclass(frozen=True)
class _Outcomes:
    """What was said and what happened: Arrow columns user_id, predicted, happened and what else the query has."""

    rows: Any
    methods: str | None

    def column(self, name: str) -> Any:
        """(n,) numbers."""
        return self.rows[name].to_numpy().astype(float)


def _outcomes(connection: Connection, query: str) -> _Outcomes:
    """Read backtest_outcome and drop it."""
    rows = copy_to_arrow(connection, statement(SQL, query), dictionaries=("user_id",))
    methods = connection.execute(statement(SQL, "methods")).scalar_one()
    connection.execute(statement(SQL, "drop_outcome"))
    return _Outcomes(rows, methods)


def _judged(  # noqa: PLR0917
    found: _Outcomes,
    prediction: str,
    predicted: Any,
    baseline: Any,
    until: dt.datetime,
    said: str,
    *notes: str,
) -> Judgement | NotYet:
    """Score (n,) probabilities; ``baseline`` is one for each row or one for all, ``said`` what it is."""
    import numpy as np

    from seedtest_analytics.stats.verification.probabilities import score_probabilities
    from seedtest_analytics.stats.verification.verdict import judge_probabilities

    if found.rows.num_rows == 0:
        return NotYet(prediction, "no prediction of the week has an outcome yet")
    users = found.rows["user_id"].combine_chunks().indices.to_numpy()
    score = score_probabilities(predicted, found.column("happened"), baseline=baseline, clusters=users)
    verdict = judge_probabilities(score)
    row = {
        "prediction": prediction,
        "method": found.methods or "unknown",
        "judged_until": until,
        "cohort_size": len(np.unique(users)),
        **{name: getattr(score, name) for name in SCORES},
        "baseline": said,
        "curve": json_text(dataclasses.asdict(score.curve)),
        "is_credible": verdict.is_credible,
        "reasons": json_text(verdict.reasons),
        "notes": json_text([*notes, *score.notes]),
    }
    return Judgement(prediction, row, curve=_curve(score))


def _curve(score: ProbabilityScore) -> dict[str, Any]:
    return {name: value.tolist() for name, value in dataclasses.asdict(score.curve).items()}
