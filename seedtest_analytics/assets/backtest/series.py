"""Judges the forecasts of a week by the weeks that followed."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from seedtest_analytics.assets.backtest.judges import SQL, Judgement
from seedtest_analytics.assets.forecasts.series import load_series
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, instant_of, monday_of
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.verification.expectations import score_forecasts

FEW_WEEKS = "one forecast is few weeks: only its interval is judged here, its error over many forecasts"


def judge_series(run: WeekRun, instant: dt.datetime) -> dict[str, Judgement | NoResult]:
    """The forecasts made in the week against the closed weeks that they predict, by name of the prediction."""
    last_closed = monday_of(instant.astimezone(ZoneInfo(run.week.timezone)).date()) - WEEK
    rows = run.connection.execute(statement(SQL, "forecasts"), {"week_start": run.week.start}).all()
    names = {f"forecast:{row.metric}": row for row in rows}
    return {name: _judge(run, name, row=row, last_closed=last_closed) for name, row in names.items()}


def _judge(run: WeekRun, name: str, *, row: Any, last_closed: dt.date) -> Judgement | NoResult:
    known = [point["y"] for point in row.fit_meta["insample"] if point["y"] is not None]
    asked = [p for p in row.forecast if dt.date.fromisoformat(p["ds"]) <= last_closed]
    if not asked or not known:
        return NoResult("no week of the forecast is closed yet" if known else "the series had no value")
    last = dt.date.fromisoformat(asked[-1]["ds"])
    series = load_series(run.connection, row.metric, last_week=last, n_weeks=len(asked))
    observed_by_week = dict(zip(map(str, series.weeks), series.values.tolist(), strict=True))
    expected, lower, upper = ([_number(point[key]) for point in asked] for key in ("yhat", "yhat_lower", "yhat_upper"))
    observed = [observed_by_week.get(point["ds"], float("nan")) for point in asked]
    try:
        score = score_forecasts(
            expected,
            observed,
            lower=lower,
            upper=upper,
            baseline=[known[-1]] * len(asked),
            level=row.fit_meta["interval_level"],
        )
    except ValueError:
        return NoResult("no closed week of the forecast has a value and an interval")
    missed = [] if score.is_covered_as_stated else [f"its intervals held {score.coverage:.0%} of {score.n} weeks"]
    values = {
        "prediction": name,
        "method": row.fit_meta["status"],
        "judged_until": instant_of(last + WEEK, ZoneInfo(run.week.timezone)),
        "cohort_size": score.n,
        "n": score.n,
        "mae": score.mae,
        "mae_baseline": score.mae_baseline,
        "coverage": score.coverage,
        "coverage_level": score.level,
        "baseline": "the last value that was known",
        "is_credible": not missed,
        "reasons": json_text(missed),
        "notes": json_text([FEW_WEEKS]),
    }
    return Judgement(name, values, curve={})


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
