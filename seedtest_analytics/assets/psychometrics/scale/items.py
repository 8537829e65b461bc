"""The item bank as of a stored calibration: the items that may be used for scoring and linking."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, CursorResult

from seedtest_analytics.assets.psychometrics.statements import SCALE
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.irt.result import NOT_FOR_SCORING


def items_to_score_with(
    connection: Connection, run_id: str, *, except_week: dt.date | None = None
) -> CursorResult[Any]:
    """Their parameters on the platform scale, without items whose flag says that they would mislead an ability.

    ``method`` is 'kept' for the last usable parameters of an item that the calibration did not estimate, and ``age_days``
    says how old they are. ``except_week``: Monday of a week whose own parameters are left out.
    """
    parameters = {"run_id": run_id, "not_for_scoring": sorted(NOT_FOR_SCORING), "except_week": except_week}
    return connection.execute(statement(SCALE, "parameters_of"), parameters)
