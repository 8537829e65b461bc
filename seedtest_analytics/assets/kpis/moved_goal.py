"""Predictions of an earlier growth fit, moved to the week that P is for."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.goals import SUMS, as_of_date, week_numbers
from seedtest_analytics.database.publish import copy_frame, create_staging
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.stats.growth.moving import weeks_rested
from seedtest_analytics.stats.growth.prediction import predict_sums

SQL = "kpis/P.sql"
_MOVED = {"projected": "projected", "sigma": "sigma", "P": "p", "P_lower": "p_lower", "P_upper": "p_upper"}
"""Columns of growth_prediction by the names of the prediction."""


def configured_date(run: WeekRun) -> dt.date:
    """The day that P looks ahead to for students whose goal has none."""
    return as_of_date(run.week) + run.settings.growth.goal_horizon_weeks * WEEK


def stage_moved(run: WeekRun) -> None:
    """Fill moved_prediction with what the fits of chosen_prediction say as of the week; nothing by the week's own fit, which
    says it already.

    Fits that stored no sums of scores (the binomial family, and earlier releases) stay at their day.
    """
    numbers = dict.fromkeys(_MOVED.values(), "float8")
    create_staging(run.connection, "moved_prediction", columns={"user_id": "text", "horizon_date": "date", **numbers})
    for fit in run.connection.execute(statement(SQL, "chosen_fits")).all():
        if fit.fitted_at != run.week.as_of:
            _stage_of_fit(run, run_id=fit.run_id, fit_week=fit.week_start, fitted_at=fit.fitted_at)


def _stage_of_fit(run: WeekRun, *, run_id: str, fit_week: dt.date, fitted_at: dt.datetime) -> None:
    connection, week = run.connection, run.week
    connection.execute(
        statement(SQL, "movable"),
        {
            "fit_week": fit_week,
            "run_id": run_id,
            "fitted_at": fitted_at,
            "as_of": week.as_of,
            "as_of_date": as_of_date(week),
            "configured_date": configured_date(run),
            "timezone": week.timezone,
        },
    )
    rows = copy_to_arrow(connection, statement(SQL, "movable_rows")).to_pandas()
    connection.execute(statement(SQL, "drop_movable"))
    if rows.empty:
        return
    fit = connection.execute(statement(SQL, "draws"), {"run_id": run_id}).one()
    goal_week, (fitted_week, as_of_week) = (
        week_numbers(np.asarray(days, "datetime64[D]"), fit.first_monday)
        for days in (rows["horizon_date"], [as_of_date(Week(fit_week, fitted_at, week.timezone)), as_of_date(week)])
    )
    silent = weeks_rested(
        goal_week,
        last_week=rows["last_week"].to_numpy(np.float64),
        returned_week=rows["returned_week"].to_numpy(np.float64),
        fitted_week=float(fitted_week),
        as_of_week=float(as_of_week),
    )
    found = predict_sums(
        np.array(fit.draws["theta"]),
        rows[list(SUMS)].to_numpy(np.float64),
        week_mean=fit.draws["week_mean"],
        reference=tuple(fit.draws["reference"]),
        goal_week=goal_week,
        silent_weeks=silent,
        goal=rows["target"].to_numpy(np.float64),
    )
    moved = {column: found[name] for name, column in _MOVED.items()}
    copy_frame(connection, "moved_prediction", frame=pd.DataFrame({**rows[["user_id", "horizon_date"]], **moved}))
