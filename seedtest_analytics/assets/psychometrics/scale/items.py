"""The items of a stored calibration that may be used for scoring and linking."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, CursorResult

from seedtest_analytics.assets.psychometrics.statements import SCALE
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.irt.result import NOT_FOR_SCORING


def items_to_score_with(connection: Connection, run_id: str) -> CursorResult[Any]:
    """Their parameters on the platform scale, without items whose flag says that they would mislead an ability."""
    parameters = {"run_id": run_id, "not_for_scoring": sorted(NOT_FOR_SCORING)}
    return connection.execute(statement(SCALE, "parameters_of"), parameters)
