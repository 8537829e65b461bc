"""Past numbers of a model and their outcomes, and what they decide for a week.

A decision for a week reads the weeks before it and outcomes that were known when it began, and nothing else. So a
backfill decides as the week itself did, in any order of weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.settings import Settings
from seedtest_analytics.stats.verification.recalibration import Decision, decide, decide_errors
from seedtest_analytics.stats.verification.verdict_words import TOO_EARLY, WITHHELD

SQL = "verdicts/verdicts.sql"
OUTCOMES = "backtest/outcomes.sql"


@dataclass(frozen=True)
class Past:
    """A prediction, and the statements that read its past numbers with what happened.

    Each is a constant that its readers name, so the code says which tables a step reads.
    """

    prediction: str
    outcomes: str
    """Statement of OUTCOMES."""
    evidence: str
    """Statement of SQL."""
    students: int
    """Students whose past decides; in a larger cohort, a fixed sample of about this size."""


GOALS = Past("P", outcomes="goal", evidence="evidence_of_goals", students=2000)
RISKS = Past("S", outcomes="silence", evidence="evidence", students=2000)
ABILITIES = Past("theta", outcomes="next_answers", evidence="evidence_of_answers", students=400)


def decide_for(
    connection: Connection, week: Week, *, past: Past, method: str, horizon_days: int | None = None, settings: Settings
) -> Decision:
    """What the outcomes known at the start of the week say about a prediction by ``method``.

    ``horizon_days`` is that of S: the risk of another horizon is another prediction.
    """
    last = week.start - WEEK
    window = {"first_week": week.start - settings.backtest.lookback_weeks * WEEK, "last_week": last}
    students = connection.execute(statement(SQL, "students"), window).scalar_one()
    parameters = {
        **window,
        "timezone": week.timezone,
        "method": method,
        "stride": max(1, -(-students // past.students)),
        "known_by": week.start,
        "last_closed_week": last,
        "default_days": 7 * settings.backtest.ability_horizon_weeks,
        "horizon_days": horizon_days,
    }
    wanted = statement(OUTCOMES, past.outcomes)
    connection.execute(wanted, {name: parameters[name] for name in wanted.compile().params})
    rows = copy_to_arrow(connection, statement(SQL, past.evidence))
    connection.execute(statement(OUTCOMES, "drop_outcome"))
    columns = {name: rows[name].to_numpy().astype(np.float64) for name in rows.column_names}
    return _decided(columns, widest=settings.backtest.widest_base_rate)


def _decided(columns: Mapping[str, Any], *, widest: float) -> Decision:
    horizon = columns["horizon_days"]
    decision = decide(
        columns["probability"],
        columns["happened"],
        week=columns["week"],
        error_ratio=columns.get("error_ratio", 0.0),
        overlap=max(1.0, float(np.median(horizon)) / 7.0) if len(horizon) else 1.0,
        reference=columns.get("reference"),
        widest=widest,
    )
    if "sensitivity" not in columns or decision.verdict in (TOO_EARLY, WITHHELD):
        return decision
    where = {name: columns[name] for name in ("sensitivity", "se", "student", "week", "topic")}
    return decide_errors(decision, probability=columns["probability"], outcome=columns["happened"], **where)
