"""Stage `quality`: did the predictions hold? Each week's, scored when the truth has arrived."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Connection

from seedtest_analytics.assets.backtest.series import judge_series
from seedtest_analytics.assets.backtest.week import JUDGES, SQL, Judgement, NotYet, end_of
from seedtest_analytics.assets.churn.plots import calibration_plot
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.run_time import is_dry_run, now, weeks
from seedtest_analytics.database.publish import publish, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import Settings, load_settings
from seedtest_analytics.tables.backtest import prediction_backtest as table

if TYPE_CHECKING:
    import pandas as pd


@table_assets(
    TableSpec(
        table,
        grain="prediction_week",
        description="The predictions of each week (S, P, abilities, forecasts) scored against what happened: "
        "Brier and log score, calibration, AUC, each beside a baseline that was known then. A week without outcomes "
        "yet has no row.",
        checks=(
            CheckDeclaration(
                "better_than_baseline",
                "No prediction is worse than its baseline, or distorted, beyond chance.",
            ),
            CheckDeclaration("no_drift", "Observed and predicted shares are as far apart as in the weeks before."),
        ),
    ),
    group="quality",
    domain="quality",
    kinds=("postgres", "python"),
    deps=[
        "attempt",
        "mirt_ability",
        "ability_window",
        "prophet_fit_meta",
        dg.AssetKey(["weekly_kpi", "S"]),
        dg.AssetKey(["weekly_kpi", "P"]),
    ],
    sql=[SQL, "forecasts/series.sql"],
    partitions_def=WEEKLY,
)
def backtest(context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource) -> Iterator[Outcome]:
    """Judge each week of the run as far as its outcomes are known."""
    settings, instant = load_settings(), now(config)
    for week in weeks(context, config):
        yield judge_week(postgres, week, instant=instant, settings=settings, dry=is_dry_run(config))


def judge_week(
    postgres: PostgresResource, week: Week, *, instant: dt.datetime, settings: Settings, dry: bool
) -> Outcome:
    """Judge one week and replace its rows."""
    with postgres.transaction(f"prediction_backtest:{week.key}", is_dry_run=dry) as connection:
        results: list[Judgement | NotYet] = [NotYet("all", "the week is not over")]
        if end_of(week) <= instant:
            results = [judge(connection, week, instant, settings) for judge in JUDGES]
            results += judge_series(connection, week, instant=instant)
        judged = [result for result in results if isinstance(result, Judgement)]
        staged_from_frame(connection, "staged_backtest", table=table, frame=_frame(week, judged))
        published = publish(
            connection,
            table,
            staged="staged_backtest",
            partition="t.week_start = :week_start",
            parameters={"week_start": week.start},
        )
        drifts = drift_reasons(connection, week)
    waiting = [result for result in results if isinstance(result, NotYet)]
    return Outcome(
        published,
        _metadata(week, judged, waiting=waiting),
        checks=_checks(judged, drifts),
        partition=week.key,
        is_dry_run=dry,
    )


def _frame(week: Week, judged: Sequence[Judgement]) -> pd.DataFrame:
    import pandas as pd

    columns = [column.name for column in table.columns if column.name != "computed_at"]
    return pd.DataFrame([{"week_start": week.start, **j.row} for j in judged], columns=columns).astype(
        {"n": "Int64", "n_events": "Int64", "cohort_size": "Int64"}
    )


def drift_reasons(connection: Connection, week: Week) -> list[str]:
    """Which predictions have moved away from what happens, by all weeks up to this one."""
    from seedtest_analytics.stats.verification.verdict import judge_drift

    rows = connection.execute(statement(SQL, "history"), {"week_start": week.start}).all()
    reasons: list[str] = []
    for prediction in sorted({row.prediction for row in rows}):
        own = [row for row in rows if row.prediction == prediction]
        verdict = judge_drift(
            [row.observed_share for row in own],
            [row.predicted_share for row in own],
            n=[row.n for row in own],
        )
        reasons += [f"{prediction}: {reason}" for reason in verdict.reasons]
    return reasons


def _metadata(week: Week, judged: Sequence[Judgement], *, waiting: Sequence[NotYet]) -> dict[str, Any]:
    header = ["prediction", "n", "observed", "predicted", "Brier", "baseline", "skill", "slope", "ICI", "AUC"]
    names = (
        "prediction",
        "n",
        "observed_share",
        "predicted_share",
        "brier",
        "brier_baseline",
        "brier_skill",
        "calibration_slope",
        "ici",
        "auc",
    )
    metadata: dict[str, Any] = {
        "scores": markdown_table(header, [[j.row.get(name) for name in names] for j in judged]),
        "not_judged": "; ".join(f"{w.prediction}: {w.reason}" for w in waiting) or "none",
    }
    for j in (j for j in judged if j.curve):
        metadata[f"calibration_{j.prediction}"] = calibration_plot(j.curve, f"{j.prediction}, week of {week.key}")
    return metadata


def _checks(judged: Sequence[Judgement], drifts: Sequence[str]) -> list[CheckOutcome]:
    faults = [f"{j.prediction}: {j.row['reasons']}" for j in judged if not j.row["is_credible"]]
    said = ", ".join(f"{j.prediction} skill {j.row['brier_skill']:+.3f}" for j in judged if "brier_skill" in j.row)
    return [
        CheckOutcome(
            "better_than_baseline",
            not faults,
            description="; ".join(faults) or said or "nothing to judge yet",
        ),
        CheckOutcome("no_drift", not drifts, description="; ".join(drifts) or "no drift"),
    ]
