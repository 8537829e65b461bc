"""Complete rows of the running week: the writer of a row also computes each of the six KPIs that the row lacks.

In closed weeks each asset adds only its own keys. docs/decisions/0017-complete-running-week.md says why.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from sqlalchemy import text

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.database.kpi_rows import keep_staged, merge_kpis
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.sql_files import statement

SQL = "kpis/running_week.sql"
Stage = Callable[[WeekRun], None]
"""Fills the temporary table staged_kpi with one KPI of the students in ``population``."""
STAGES: dict[str, Stage] = {}
"""Stage of each of the six KPIs. `assets/kpis` fills it; domains below it complete rows too, so it is kept here."""
COMPLETED = dict.fromkeys(
    (
        "attempt",
        "interest_goal",
        "mirt_item_params",
        "mirt_fit_meta",
        "mirt_ability",
        "ability_hyperparameters",
        "ability_state",
        "ability_window",
        "growth_brms_meta",
        "growth_prediction",
        "survival_fit_meta",
        *(f"weekly_kpi/{name}" for name in ("A_t", "E_t", "R_t", "P", "S")),
    ),
    "Only to complete rows of the running week. As dependencies, each KPI would wait for every other.",
)
"""Assets of whose tables the writer of a row reads what the row lacks, and why it does not depend on all of them."""
READS_ROWS = ("S",)
"""KPIs that are computed from others of the same row, which have to be written first."""
_QUIET = logging.getLogger(f"{__name__}.quiet")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def merge_stages(run: WeekRun, stages: Mapping[str, Stage], *, is_whole: bool) -> dict[str, Published]:
    """Stage KPIs of the students in ``population`` and merge them, each row once; what was published, by name."""
    kept = {}
    for name, stage in stages.items():
        stage(run)
        kept[name] = keep_staged(run.connection, name, week_start=run.week.start)
    return merge_kpis(run.connection, kept, week_start=run.week.start, is_whole=is_whole)


def complete_rows(run: WeekRun, computed: Collection[str]) -> None:
    """Add to the running week's rows of the students in ``population`` each KPI that has neither number nor reason.

    ``computed`` names the KPIs that the transaction has merged already. The assets of the other KPIs log their own
    warnings when they run, so nothing is logged here.
    """
    if not run.week.is_running:
        return
    quiet = dataclasses.replace(run, log=_QUIET)
    run.connection.execute(statement(SQL, "set_aside"))
    lacking = [name for name in STAGES if name not in computed]
    _complete(quiet, [name for name in lacking if name not in READS_ROWS])
    _complete(quiet, [name for name in lacking if name in READS_ROWS])
    run.connection.execute(statement(SQL, "put_back"))


def _complete(run: WeekRun, names: Sequence[str]) -> None:
    """Merge the named KPIs of the students whose rows lack them, each row once."""
    connection, kept = run.connection, {}
    for name in names:
        parameters = {"week_start": run.week.start, "key": name, "reason_key": f"{name}_reason"}
        if connection.execute(statement(SQL, "incomplete"), parameters).rowcount:
            STAGES[name](run)
            kept[name] = keep_staged(connection, name, week_start=run.week.start)
        connection.execute(text("DROP TABLE population"))
    if kept:
        merge_kpis(connection, kept, week_start=run.week.start, is_whole=False)
