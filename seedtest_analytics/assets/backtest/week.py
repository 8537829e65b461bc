"""The backtest of one week: judge its predictions as far as their outcomes are known, and publish the scores."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.backtest.checks import BETTER_THAN_BASELINE, NO_DRIFT
from seedtest_analytics.assets.backtest.judges import JUDGES, MODEL, SQL, Judgement, end_of
from seedtest_analytics.assets.backtest.series import judge_series
from seedtest_analytics.assets.backtest.simple_rules import BY_RULE, judge_beside_rules, rule_is_better
from seedtest_analytics.assets.churn.plots import calibration_plot
from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.verification.verdict import judge_drift
from seedtest_analytics.tables.backtest import prediction_backtest

SHOWN = {
    "prediction": "prediction",
    "n": "n",
    "observed": "observed_share",
    "predicted": "predicted_share",
    "Brier": "brier",
    "baseline": "brier_baseline",
    "skill": "brier_skill",
    "slope": "calibration_slope",
    "ICI": "ici",
    "AUC": "auc",
}
"""Heading of the table in the UI: column of prediction_backtest."""


def judge_week(run: WeekRun, instant: dt.datetime) -> Sequence[Outcome]:
    """Judge one week by the outcomes known at ``instant`` and replace its rows."""
    results: dict[str, Judgement | NoResult] = {"all": NoResult("the week is not over")}
    if end_of(run.week) <= instant:
        results = {
            name: found for judge in (*JUDGES, judge_beside_rules) for name, found in judge(run, instant).items()
        }
        results |= judge_series(run, instant)
    judged = [result for result in results.values() if isinstance(result, Judgement)]
    waiting = {name: result for name, result in results.items() if isinstance(result, NoResult)}
    published = publish_week(run, prediction_backtest, rows=_frame(run.week, judged))
    drifts = drift_reasons(run.connection, run.week)
    metadata = _metadata(judged, waiting)
    checks = [_better(judged, _newest_judged(run)), _no_drift(drifts)]
    return [run.outcome(published, metadata, checks=checks)]


def _frame(week: Week, judged: Sequence[Judgement]) -> pd.DataFrame:
    columns = [column.name for column in prediction_backtest.columns if column.name != "computed_at"]
    return pd.DataFrame([{"week_start": week.start, **j.row} for j in judged], columns=columns).astype(
        {"n": "Int64", "n_events": "Int64", "cohort_size": "Int64"}
    )


def drift_reasons(connection: Connection, week: Week) -> list[str]:
    """Predictions that have drifted from what happens, by all weeks up to this one."""
    rows = connection.execute(statement(SQL, "history"), {"week_start": week.start}).all()
    reasons: list[str] = []
    # S beside a rule is S once more.
    for prediction in sorted({row.prediction for row in rows if BY_RULE not in row.prediction}):
        own = [row for row in rows if row.prediction == prediction]
        verdict = judge_drift(
            [row.observed_share for row in own], [row.predicted_share for row in own], n=[row.n for row in own]
        )
        reasons += [f"{prediction}: {reason}" for reason in verdict.reasons]
    return reasons


def _metadata(judged: Sequence[Judgement], waiting: Mapping[str, NoResult]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "scores": markdown_table(list(SHOWN), [[j.row.get(name) for name in SHOWN.values()] for j in judged]),
        "not_judged": "; ".join(f"{prediction}: {result.reason}" for prediction, result in waiting.items()) or "none",
    }
    for judgement in (j for j in judged if j.curve):
        metadata[f"calibration_{judgement.prediction}"] = calibration_plot(judgement.curve, judgement.prediction)
    return metadata


def _newest_judged(run: WeekRun) -> Sequence[Mapping[str, Any]]:
    """Rows of the newest earlier week that has been judged."""
    rows = run.connection.execute(statement(SQL, "newest_judged"), {"week_start": run.week.start}).mappings()
    return [dict(row) for row in rows]


def _better(judged: Sequence[Judgement], earlier: Sequence[Mapping[str, Any]]) -> CheckOutcome:
    """The verdict of the week; while its outcomes are not known, that of the newest week whose outcomes are."""
    if not judged and not earlier:
        return BETTER_THAN_BASELINE.passed("nothing to judge yet")
    rows = [
        {**j.row, "prediction": j.prediction, "reasons": json.loads(j.row.get("reasons", "[]"))} for j in judged
    ] or earlier
    # A model whose numbers are not published as they are has been judged already, and so has S beside a rule: only
    # whether the rule is better is new.
    shown = [r for r in rows if not r["prediction"].endswith(MODEL) and BY_RULE not in r["prediction"]]
    faults = [f"{r['prediction']}: {', '.join(r['reasons'])}" for r in shown if not r["is_credible"]]
    faults += [reason for r in rows if BY_RULE in r["prediction"] for reason in rule_is_better(r)]
    skills = {r["prediction"]: r["brier_skill"] for r in rows if r.get("brier_skill") is not None}
    text = "; ".join(faults) or ", ".join(f"{name} skill {skill:+.3f}" for name, skill in skills.items())
    text = text or "no worse than the baseline"
    if not judged:
        text = f"the newest week with known outcomes, {earlier[0]['week_start']}: {text}"
    metadata = {f"brier_skill_{name}": skill for name, skill in skills.items()}
    return BETTER_THAN_BASELINE.judged(text, is_passed=not faults, metadata=metadata)


def _no_drift(drifts: Sequence[str]) -> CheckOutcome:
    return NO_DRIFT.judged(
        "; ".join(drifts) or "no drift", is_passed=not drifts, metadata={"drifted_predictions": len(drifts)}
    )
