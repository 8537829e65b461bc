"""Complete rows of the running week: the writer of a row also computes each of the six KPIs that the row lacks.

In closed weeks each asset adds only its own keys. docs/decisions/0017-complete-running-week.md says why.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection

from sqlalchemy import text

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.database.kpi_rows import merge_kpis
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.sql_files import statement

SQL = "kpis/running_week.sql"
Stage = Callable[[WeekRun], None]
"""Fills the temporary table staged_kpi with one KPI of the students in ``population``."""
STAGES: dict[str, Stage] = {}
"""Stage of each of the six KPIs. `assets/kpis` fills it; domains below it complete rows too, so it is kept here."""
_QUIET = logging.getLogger(f"{__name__}.quiet")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def merge_stage(run: WeekRun, name: str, *, stage: Stage, is_whole: bool) -> Published:
    """Stage one KPI of the students in ``population`` and merge it."""
    stage(run)
    published = merge_kpis(run.connection, name, week_start=run.week.start, is_whole=is_whole)
    run.connection.execute(text("DROP TABLE staged_kpi"))
    return published


def complete_rows(run: WeekRun, computed: Collection[str]) -> None:
    """Add to the running week's rows of the students in ``population`` each KPI that has neither number nor reason.

    ``computed`` names the KPIs that the transaction has merged already. The assets of the other KPIs log their own
    warnings when they run, so nothing is logged here.
    """
    if not run.week.is_running:
        return
    connection, quiet = run.connection, dataclasses.replace(run, log=_QUIET)
    connection.execute(statement(SQL, "set_aside"))
    for name, stage in STAGES.items():
        if name in computed:
            continue
        parameters = {"week_start": run.week.start, "key": name, "reason_key": f"{name}_reason"}
        if connection.execute(statement(SQL, "incomplete"), parameters).rowcount:
            merge_stage(quiet, name, stage=stage, is_whole=False)
        connection.execute(text("DROP TABLE population"))
    connection.execute(statement(SQL, "put_back"))
