"""`weekly_kpi/P`: the probability that a student's score reaches the goal."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.goals import MAX_HORIZON_WEEKS, as_of_date, stage_goals
from seedtest_analytics.assets.kpis.moved_goal import SQL, configured_date, stage_moved
from seedtest_analytics.assets.psychometrics.ability.hyperparameters import values_of
from seedtest_analytics.assets.psychometrics.ability.rows import DAYS_PER_WEEK
from seedtest_analytics.database.publish import copy_frame, create_staging
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.settings import GrowthSettings
from seedtest_analytics.stats.ability.goals import goal_path
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import LevelWeeks
from seedtest_analytics.stats.growth.prediction import ASSUMPTION as PROJECTION_ASSUMPTION
from seedtest_analytics.stats.kpi.goal import normal_goal_probability

PASSED = "is about a day that has passed"


@dataclass(frozen=True)
class ChosenFit:
    """The growth fit that P of a week comes from, but for students who are silent since an earlier one.

    ``passed`` is the reason for students whose predicted day is before the as-of day and who get no prediction.
    ``note`` says why the fit is not the one of the week.
    """

    run_id: str
    week_start: dt.date
    passed: str
    note: str | None = None


def stage_goal_probability(run: WeekRun) -> None:
    """Fill staged_kpi with P: from the growth posterior if the settings ask for it and it exists, else Normal.

    METRICS_USE_BAYESIAN and BRMS_UPDATE_KPI each ask for it: the legacy jobs of the KPIs and of the fit had one each.
    """
    connection, week, settings = run.connection, run.week, run.settings.kpis
    stage_goals(connection, week)
    connection.execute(statement(SQL, "abilities"), {"week_start": week.start, "as_of": week.as_of})
    create_staging(connection, "staged_kpi", columns={"user_id": "text", "kpis": "jsonb"})
    fit: ChosenFit | None = None
    reason = None
    if settings.use_bayesian or run.settings.growth.update_kpi:
        fit, reason = choose_fit(connection, week, settings=run.settings.growth)
    _choose_predictions(run, fit)
    if fit is not None:
        stage_moved(run)
        parameters = {"fit_week": fit.week_start, "as_of_date": as_of_date(week)}
        said = {"note": fit.note, "assumption": PROJECTION_ASSUMPTION}
        n = connection.execute(statement(SQL, "insert_bayesian"), {**parameters, **said}).rowcount
        run.log.info(f"week of {week.key}: updated P and sigma for {n:,} users from growth fit {fit.run_id}")
        if fit.note:
            run.warn(fit.note)
    result = connection.execute(
        statement(SQL, "rest"),
        {
            "default_target": settings.default_target,
            "reason": reason,
            "reason_passed": None if fit is None else fit.passed,
            "as_of_date": as_of_date(week),
            "last_date": as_of_date(week) + MAX_HORIZON_WEEKS * WEEK,
            "configured_date": configured_date(run),
            "timezone": week.timezone,
            "use_states": run.settings.ability.method == "dynamic",
        },
    )
    loaded = pd.DataFrame(result.all(), columns=list(result.keys()))
    for why, n in loaded["method_reason"].value_counts().items():
        run.warn(f"fallback to the Normal approximation of P for {n:,} users: {why}")
    weeks = loaded["state_week"].dropna().unique().tolist()
    stored = connection.execute(statement(SQL, "hyperparameters"), {"weeks": weeks}).all()
    fits = {row.week_start: values_of(row.hyperparameters) for row in stored}
    copy_frame(connection, "staged_kpi", frame=goal_rows(with_expectation(loaded, fits)))


def _choose_predictions(run: WeekRun, fit: ChosenFit | None) -> None:
    """Fill chosen_prediction: the growth fit of each student; nobody's without one."""
    days = max(run.settings.kpis.users_since_days, run.settings.kpis.lookback_days)
    run.connection.execute(
        statement(SQL, "chosen"),
        {
            "fit_week": None if fit is None else fit.week_start,
            "run_id": None if fit is None else fit.run_id,
            "oldest_silent": run.week.start - (days // 7 + 1) * WEEK,
            "as_of": run.week.as_of,
            "default_target": run.settings.kpis.default_target,
            "last_date": as_of_date(run.week) + MAX_HORIZON_WEEKS * WEEK,
        },
    )


def choose_fit(connection: Connection, week: Week, *, settings: GrowthSettings) -> tuple[ChosenFit | None, str]:
    """The newest usable fit within the look-back, and the reason for the Normal formula of students whom it does not predict.

    Fits belong to closed weeks, so the running week has the fit of the week before. Any other fit that is not the week's
    own has a note.
    """
    oldest = week.start - settings.oldest_fit_weeks * WEEK
    parameters = {"week_start": week.start, "as_of": week.as_of, "oldest": oldest}
    fits = connection.execute(statement(SQL, "fits"), parameters).all()
    good = next((fit for fit in fits if fit.is_usable), None)
    if good is None:
        if not fits:
            return None, f"there is no growth fit of the last {settings.oldest_fit_weeks} weeks"
        return None, f"{_shortfall(fits[0])}, and no fit of the {settings.oldest_fit_weeks} weeks before is usable"
    unseen = "no score in the look-back of the growth fit"
    if good is fits[0] and (
        good.week_start == week.start or (week.is_running and good.week_start == week.start - WEEK)
    ):
        return ChosenFit(good.run_id, good.week_start, passed=f"the growth fit of {good.week_start} {PASSED}"), unseen
    why = "the week has no growth fit" if good is fits[0] else _shortfall(fits[0])
    stand_in = f"{why}; the last good one, of {good.week_start},"
    return ChosenFit(good.run_id, good.week_start, passed=f"{stand_in} {PASSED}", note=f"{stand_in} is used"), unseen


def _shortfall(fit: Any) -> str:
    return f"the growth fit of {fit.week_start} fell short ({'; '.join(fit.reasons or ['no reason stored'])})"


def goal_rows(loaded: pd.DataFrame) -> pd.DataFrame:
    """Columns user_id and kpis (JSON text) by the Normal formula; ``method_reason`` says why not Bayesian.

    Args:
        loaded: rows of the statement ``rest`` with ``expected`` and ``expected_sd`` of the ability that the goal is compared
            with, and ``assumption`` (None: the ability of today).
    """
    expected, sd, target = (np.asarray(loaded[c], np.float64) for c in ("expected", "expected_sd", "target"))
    probability = normal_goal_probability(expected, sd, target=target)
    rows: list[dict[str, Any]] = loaded.to_dict("records")  # type: ignore[assignment]  # columns are named by text
    keys = [json.dumps(_goal_keys(row, p)) for row, p in zip(rows, probability.tolist(), strict=True)]
    return pd.DataFrame({"user_id": loaded["user_id"], "kpis": keys})


def _goal_keys(row: dict[str, Any], probability: float) -> dict[str, Any]:
    said = {"P_method_reason": row["method_reason"]} if row["method_reason"] else {}
    common = {"P_target": row["target"], "P_target_source": row["target_source"], **said}
    if probability != probability:  # NaN: no ability is known yet
        return {"P": None, "P_reason": "no ability is known yet", "P_reason_code": "no_ability", **common}
    known: dict[str, Any] = {"P": float(probability), "sigma": float(row["expected_sd"])}
    known |= {"P_method": "normal", "P_score_unit": "logit"}
    ability = {"theta": row["theta"], "ability_estimate": row["theta"], "theta_n_answers": int(row["n_answers"])}
    ability |= {"theta_se": row["se"], "theta_method": row["method"]} if row["method"] else {}
    if not pd.isna(row["answered_at"]):
        ability |= {"theta_answered_at": row["answered_at"].isoformat()}
    if row["assumption"]:
        known |= {"P_projected": float(row["expected"]), "P_assumption": row["assumption"]}
        known |= {"P_horizon_date": row["horizon_date"].isoformat(), "P_horizon_source": row["horizon_source"]}
    return {**known, **common, **ability}


def with_expectation(loaded: pd.DataFrame, fits: Mapping[dt.date, Hyperparameters]) -> pd.DataFrame:
    """Add the ability that the goal is compared with: expected on the horizon's date where a state is known, else today's.

    ``fits`` are the hyperparameters of each week of states.
    """
    out = loaded.assign(expected=loaded["theta"].astype(float), expected_sd=loaded["se"].astype(float), assumption=None)
    for week, fit in fits.items():
        of_week = loaded[loaded["state_week"] == week]
        if of_week.empty:
            continue
        levels = LevelWeeks(
            np.arange(len(of_week), dtype=np.int32),
            np.zeros(len(of_week), dtype=np.int32),
            level=of_week["theta"].to_numpy(np.float64),
            level_se=of_week["se"].to_numpy(np.float64),
            slope=of_week["slope"].to_numpy(np.float64) / DAYS_PER_WEEK,
            slope_se=of_week["slope_se"].to_numpy(np.float64) / DAYS_PER_WEEK,
            level_slope_covariance=of_week["level_slope_covariance"].to_numpy(np.float64) / DAYS_PER_WEEK,
            silent_days=np.zeros(len(of_week)),
        )
        days = of_week["days_ahead"].to_numpy(np.float64)
        path = goal_path(levels, fit, days_ahead=days, pace="own")
        out.loc[of_week.index, "expected"] = path.level
        out.loc[of_week.index, "expected_sd"] = path.se
        out.loc[of_week.index, "assumption"] = path.assumption
    return out
