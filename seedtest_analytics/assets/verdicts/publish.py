"""Applies a week's decisions to its staged KPIs: the published number, its limits, and the verdict with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from sqlalchemy import text

from seedtest_analytics.assets.framework.json_text import finite_or_none
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.verdicts.evidence import ABILITIES, GOALS, RISKS, SQL, Past, decide_for
from seedtest_analytics.database.publish import copy_frame, create_staging
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.verification.recalibration import Decision, published
from seedtest_analytics.stats.verification.verdict_words import AS_IS, BASE_RATE, RECALIBRATED, TOO_EARLY, WITHHELD

_BLOCK_STUDENTS = 50_000
Keys = dict[str, Any]


def apply_goal_verdicts(run: WeekRun) -> None:
    """Replace the staged numbers of P and theta by those that past outcomes allow."""
    _apply(run, ABILITIES, keys=_ability_keys, gone=())
    _apply(run, GOALS, keys=_goal_keys, gone=("P_lower", "P_upper"))


def apply_risk_verdicts(run: WeekRun, *, horizon_days: int) -> None:
    """Replace the staged S by the number that past outcomes allow."""
    _apply(run, RISKS, keys=_risk_keys, gone=("S_lower", "S_upper"), horizon_days=horizon_days)


def _apply(
    run: WeekRun,
    past: Past,
    *,
    keys: Callable[[pd.DataFrame, Decision], list[Keys]],
    gone: tuple[str, ...],
    horizon_days: int | None = None,
) -> None:
    """BACKTEST_DECIDES=false publishes what the models say."""
    if not run.settings.backtest.decides:
        return
    connection, prediction = run.connection, past.prediction
    staged = copy_to_arrow(connection, statement(SQL, f"staged_{prediction.lower()}")).to_pandas()
    for method, of_method in staged.groupby("method"):
        decision = decide_for(
            connection, run.week, past=past, method=str(method), horizon_days=horizon_days, settings=run.settings
        )
        if decision.verdict not in (TOO_EARLY, AS_IS):
            run.warn(f"{prediction} ({method}) of {len(of_method):,} students is {decision.verdict}: {decision.reason}")
        taken_away = [*gone, *_TAKEN_AWAY.get((prediction, decision.verdict), ())]
        create_staging(connection, "staged_verdict", columns={"user_id": "text", "kpis": "jsonb"})
        for start in range(0, len(of_method), _BLOCK_STUDENTS):
            block = of_method.iloc[start : start + _BLOCK_STUDENTS]
            texts = [json.dumps(row, allow_nan=False) for row in keys(block, decision)]
            copy_frame(connection, "staged_verdict", frame=pd.DataFrame({"user_id": block["user_id"], "kpis": texts}))
        connection.execute(statement(SQL, "merge"), {"gone": taken_away})
        connection.execute(text("DROP TABLE staged_verdict"))


_TAKEN_AWAY = {
    ("S", BASE_RATE): ("S_reasons",),
    ("S", WITHHELD): ("S_reasons",),
    ("P", BASE_RATE): ("sigma", "P_projected"),
    ("P", WITHHELD): ("sigma", "P_projected"),
}
"""Keys about one student that a model without a say about students must not leave behind."""


def _numbers(block: pd.DataFrame, name: str) -> np.ndarray:
    return block[name].to_numpy(np.float64)


def _probability_keys(block: pd.DataFrame, decision: Decision, *, name: str) -> list[Keys]:
    values = _numbers(block, "value")
    shown = published(decision, values, lower=_numbers(block, "lower"), upper=_numbers(block, "upper"))
    said = {f"{name}_verdict": decision.verdict, f"{name}_verdict_reason": decision.reason}
    rows: list[Keys] = []
    for value, *limits in zip(values.tolist(), *(column.tolist() for column in shown), strict=True):
        number, low, high = (finite_or_none(one) for one in limits)
        row: Keys = {name: number, **said}
        if number is None:
            row[f"{name}_reason"] = f"withheld: {decision.reason}"
        else:
            row |= {f"{name}_lower": low, f"{name}_upper": high}
        if number != value:
            row[f"{name}_model"] = value
        rows.append(row)
    return rows


def _risk_keys(block: pd.DataFrame, decision: Decision) -> list[Keys]:
    return _probability_keys(block, decision, name="S")


def _goal_keys(block: pd.DataFrame, decision: Decision) -> list[Keys]:
    """P, and where P is recalibrated the spread and the expected score that belong to it."""
    rows = _probability_keys(block, decision, name="P")
    if decision.verdict in (AS_IS, TOO_EARLY):
        return rows
    sigma, target = _numbers(block, "sigma"), _numbers(block, "target")
    is_kept = decision.verdict != RECALIBRATED
    for row, spread, goal, is_projected in zip(
        rows, sigma.tolist(), target.tolist(), block["has_projection"].tolist(), strict=True
    ):
        if not np.isfinite(spread):
            continue
        row["sigma_model"] = spread
        if is_kept:
            continue
        row["sigma"] = spread / decision.slope
        if is_projected and np.isfinite(goal):
            row["P_projected"] = goal + float(ndtri(np.clip(row["P"], 1e-12, 1 - 1e-12))) * row["sigma"]
    return rows


def _ability_keys(block: pd.DataFrame, decision: Decision) -> list[Keys]:
    """theta's standard error: wider where past abilities were less certain than they said."""
    said: Mapping[str, Any] = {"theta_verdict": decision.verdict, "theta_verdict_reason": decision.reason}
    if decision.verdict == WITHHELD:
        withheld = {"theta": None, "ability_estimate": None, "theta_se": None}
        return [{**withheld, **said} for _ in range(len(block))]
    se = _numbers(block, "value")
    if decision.verdict != RECALIBRATED:
        return [dict(said) for _ in range(len(block))]
    return [{"theta_se": one / decision.slope, "theta_se_model": one, **said} for one in se.tolist()]
