"""Past numbers of a model and their outcomes, and what they decide for a week.

A decision for a week reads the weeks before it and outcomes that were known when it began, and nothing else. So a
backfill decides as the week itself did, in any order of weeks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.settings import Settings
from seedtest_analytics.stats.verification.recalibration import Decision, decide

SQL = "verdicts/verdicts.sql"
OUTCOMES = "backtest/outcomes.sql"
STUDENTS = {"P": 2000, "S": 2000, "theta": 400}
"""Students whose past decides; in a larger cohort, a fixed sample of about this size."""
_STATEMENTS = {
    "P": ("goal", "evidence_of_goals"),
    "S": ("silence", "evidence"),
    "theta": ("next_answers", "evidence_of_answers"),
}


@dataclass(frozen=True)
class Found:
    """A decision; ``discrimination`` is the root mean square of the answered items', 1 where no items are involved."""

    decision: Decision
    discrimination: float = 1.0


def decide_for(
    connection: Connection,
    week: Week,
    *,
    prediction: str,
    method: str,
    horizon_days: int | None = None,
    settings: Settings,
) -> Found:
    """What the outcomes known at the start of the week say about ``prediction`` ('P', 'S' or 'theta') by ``method``.

    ``horizon_days`` is that of S: the risk of another horizon is another prediction.
    """
    outcomes, evidence = _STATEMENTS[prediction]
    last = week.start - WEEK
    window = {"first_week": week.start - settings.backtest.lookback_weeks * WEEK, "last_week": last}
    students = connection.execute(statement(SQL, "students"), window).scalar_one()
    parameters: dict[str, Any] = {
        **window,
        "timezone": week.timezone,
        "method": method,
        "stride": max(1, -(-students // STUDENTS[prediction])),
    }
    parameters |= _known_by(prediction, week.start, horizon_days=horizon_days, settings=settings)
    connection.execute(statement(OUTCOMES, outcomes), parameters)
    rows = copy_to_arrow(connection, statement(SQL, evidence))
    connection.execute(statement(OUTCOMES, "drop_outcome"))
    columns = {name: rows[name].to_numpy().astype(np.float64) for name in rows.column_names}
    return _decided(columns, widest=settings.backtest.widest_base_rate)


def _known_by(prediction: str, start: dt.date, *, horizon_days: int | None, settings: Settings) -> Mapping[str, Any]:
    if prediction == "P":
        return {"last_closed_week": start - WEEK, "default_days": 7 * settings.backtest.ability_horizon_weeks}
    return {"known_by": start} | ({"horizon_days": horizon_days} if prediction == "S" else {})


def _decided(columns: Mapping[str, Any], *, widest: float) -> Found:
    horizon = columns["horizon_days"]
    discrimination = columns.get("discrimination")
    decision = decide(
        columns["probability"],
        columns["happened"],
        week=columns["week"],
        error_ratio=columns.get("error_ratio", 0.0),
        overlap=max(1.0, float(np.median(horizon)) / 7.0) if len(horizon) else 1.0,
        reference=columns.get("reference"),
        widest=widest,
    )
    if discrimination is None or not len(discrimination):
        return Found(decision)
    return Found(decision, float(np.sqrt(np.mean(discrimination**2))))
