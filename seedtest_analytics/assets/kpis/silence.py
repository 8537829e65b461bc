"""Silence is not a change: P of a student without a new answer moves by the time to the goal alone."""

from __future__ import annotations

import numpy as np

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.goals import as_of_date
from seedtest_analytics.assets.kpis.checks import SILENT_P_STAYS
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK
from seedtest_analytics.stats.kpi.goal import goal_probability_after

SQL = "kpis/silence.sql"
MOVED_P = 0.2
"""Weekly fits of the others' answers move a P by 0.1 at times; two numbers that differ by this much contradict each other."""
MOVED_SHARE = 0.05


def silent_p(run: WeekRun) -> CheckOutcome:
    """Compare P by the model with that of the week before, where both are by one method and about one target."""
    week = run.week
    run.connection.execute(
        statement(SQL, "stage"),
        {"week_start": week.start, "week_before": week.start - WEEK, "as_of_date": as_of_date(week)},
    )
    rows = copy_to_arrow(run.connection, statement(SQL, "rows"))
    n = rows.num_rows
    if not n:
        return SILENT_P_STAYS.passed("nobody to compare: no silent student has a P of the same kind in both weeks")
    now, before, sd, sd_before, pace, weeks = (
        rows[name].to_numpy().astype(np.float64) for name in ("p", "p_before", "sd", "sd_before", "pace", "weeks")
    )
    moved = np.abs(now - goal_probability_after(before, sd_before=sd_before, sd=sd, pace=pace, weeks=weeks))
    n_moved, largest = int((moved > MOVED_P).sum()), float(moved.max())
    text = f"{n_moved:,} of {n:,} silent students have a P that moved by more than {MOVED_P} apart from the time"
    numbers = {"silent": n, "moved": n_moved, "largest_move": largest}
    # One student among a few is chance.
    return SILENT_P_STAYS.judged(text, is_passed=n_moved <= max(1, MOVED_SHARE * n), metadata=numbers)
