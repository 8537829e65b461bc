"""Growth percentiles of one week: the levels of `ability_state`, compared, beside the goals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, empty_rows, publish_week
from seedtest_analytics.assets.growth.bayesian.goals import as_of_date, student_goals
from seedtest_analytics.assets.growth.checks import CENTRED, COMPARED
from seedtest_analytics.assets.growth.percentiles.plots import percentile_metadata
from seedtest_analytics.assets.growth.percentiles.rows import Levels, growth_rows
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.growth.percentiles import MIN_STUDENTS, GrowthPercentiles, growth_percentiles
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.tables.growth import student_growth

SQL = "growth/percentiles.sql"
UNIFORM_SD = 100 / np.sqrt(12)
# Four standard errors of the mean of a uniform percentile, and what few students may add.
CENTRED_ERRORS, CENTRED_MARGIN = 4.0, 2.0


def compute_student_growth(run: WeekRun) -> Sequence[Outcome]:
    """Compute and publish the growth of every student with a state in the week."""
    levels = load_levels(run)
    if levels is None:
        published = publish_week(run, student_growth, rows=empty_rows(student_growth))
        nothing = "not computed: the week has no rows of ability_state"
        return (run.outcome(published, checks=[COMPARED.passed(nothing), CENTRED.passed(nothing)]),)
    with run.without_transaction():
        found = _compare(levels)
    settings = run.settings
    goals = student_goals(
        run.connection,
        run.week,
        users=levels.frame["user_id"].to_numpy(object),
        default_target=settings.kpis.default_target,
        horizon_weeks=settings.growth.goal_horizon_weeks,
    )
    days = (goals.horizon_date - np.datetime64(as_of_date(run.week), "D")).astype(np.float64)
    rows = growth_rows(levels, found, goals=goals, week=run.week, days_to_goal=days)
    published = publish_week(run, student_growth, rows=rows[[c.name for c in student_growth.columns if c.name in rows]])
    if isinstance(found, NoResult):
        run.warn(f"no growth percentiles: {found.reason}")
    metadata: dict[str, Any] = {"compared": int(rows["percentile"].notna().sum()), "students": len(rows)}
    if not isinstance(found, NoResult):
        metadata |= percentile_metadata(rows, found.curves, weeks=levels.weeks)
    return (run.outcome(published, metadata, checks=_checks(rows, found, levels=levels)),)


def load_levels(run: WeekRun) -> Levels | None:
    """The week's states; None without any."""
    run.connection.execute(statement(SQL, "stage"), {"week_start": run.week.start})
    table = copy_to_arrow(run.connection, statement(SQL, "rows"))
    run.connection.execute(statement(SQL, "drop"))
    if table.num_rows == 0:
        return None
    frame: pd.DataFrame = table.to_pandas()
    return Levels(frame, weeks=float(frame["weeks"].astype(np.float64).round(6).iloc[0]))


def _compare(levels: Levels) -> GrowthPercentiles | NoResult:
    compared = levels.is_compared
    if compared.sum() < MIN_STUDENTS:
        return NoResult(
            f"not enough students to compare with: {int(compared.sum())} of {MIN_STUDENTS} have a level before and now, and "
            "an answer in between"
        )
    return growth_percentiles(
        levels.column("earlier_level"),
        levels.column("earlier_se"),
        later=levels.column("level"),
        later_se=levels.column("se"),
        gain_se=levels.column("gain_se"),
        is_reference=compared[levels.has_two],
    )


def _checks(rows: pd.DataFrame, found: GrowthPercentiles | NoResult, *, levels: Levels) -> list[CheckOutcome]:
    n = int(levels.is_compared.sum())
    numbers = {"compared": n, "enough": MIN_STUDENTS}
    if isinstance(found, NoResult):
        return [COMPARED.failed(found.reason, numbers), CENTRED.passed("not computed: there are no percentiles")]
    mean = float(rows["percentile"].mean())
    limit = CENTRED_MARGIN + CENTRED_ERRORS * UNIFORM_SD / np.sqrt(n)
    text = f"mean percentile {mean:.1f} of {n:,} students, 50 ± {limit:.1f} expected"
    return [
        COMPARED.passed(f"{n:,} students with two levels {levels.weeks:g} weeks apart", numbers),
        CENTRED.judged(text, is_passed=abs(mean - 50) <= limit, metadata={"mean_percentile": mean}),
    ]
