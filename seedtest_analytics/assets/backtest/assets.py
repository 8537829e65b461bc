"""Backtest: the predictions of each week, scored when their outcomes are known, and what past outcomes decide."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.backtest import checks
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.run_time import now
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.verdicts.checks import MODELS_SPEAK
from seedtest_analytics.partitions import PAST_WEEKS, WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.backtest import fairness_audit, prediction_backtest, prediction_verdict

OUTCOMES = [
    dg.AssetDep(dg.AssetKey.from_user_string(name), partition_mapping=PAST_WEEKS)
    for name in ("mirt_item_params", "mirt_fit_meta", "mirt_ability", "ability_window", "weekly_kpi/S", "weekly_kpi/P")
]
"""Past predictions and what happened."""


@dg.multi_asset(
    **declared(
        TableSpec(
            prediction_backtest,
            grain="prediction_week",
            description="The predictions of each week (S, P, abilities, forecasts) scored against what happened: Brier and "
            "log score, calibration, AUC, each beside a baseline that was known then. A week without outcomes has no row "
            "yet.",
            checks=(checks.BETTER_THAN_BASELINE, checks.NO_DRIFT),
        ),
        group="backtest",
        kinds=("postgres", "python"),
        deps=[
            "attempt",
            "exam_results",
            "features_topic_daily",
            "mirt_item_params",
            "mirt_fit_meta",
            "mirt_ability",
            "ability_window",
            "prophet_fit_meta",
            *(dg.AssetKey(["weekly_kpi", name]) for name in ("S", "P")),
        ],
        partitions_def=WEEKLY,
    )
)
def backtest(context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Judge each week of the run as far as its outcomes are known."""
    from seedtest_analytics.assets.backtest.week import judge_week

    instant = now(config)
    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="prediction_backtest:{week}")
    yield from report(context, step.each_week(lambda run: judge_week(run, instant)))


@dg.multi_asset(
    **declared(
        TableSpec(
            prediction_verdict,
            grain="prediction_week",
            description="What outcomes of past weeks decide about P, S and theta of each week: as_is, recalibrated, "
            "base_rate, withheld, or too_early. The keys of `weekly_kpi` have it already; this table has the numbers behind "
            "it. A decision reads the weeks before it and outcomes known when the week began.",
            checks=(MODELS_SPEAK,),
        ),
        group="backtest",
        kinds=("postgres", "python"),
        deps=["attempt", *OUTCOMES],
        partitions_def=WEEKLY,
    )
)
def verdicts(context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Record the decisions of each week of the run."""
    from seedtest_analytics.assets.verdicts.week import record_week

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="prediction_verdict:{week}")
    yield from report(context, step.each_week(record_week))


@dg.multi_asset(
    **declared(
        TableSpec(
            fairness_audit,
            grain="prediction_week_group",
            description="P, S, theta and the next answer by group of DIF_COVARIATE: gaps of ranking (AUC, ABROCA with a "
            "randomisation test) and of calibration, each with what could have been found. Without DIF_COVARIATE there are "
            "no rows. An audit reads the weeks before it and outcomes known when the week began.",
            checks=(checks.GROUPS_ALIKE,),
        ),
        group="backtest",
        kinds=("postgres", "python"),
        deps=["attempt", "exam_results", *OUTCOMES, dg.AssetDep("ability_topic_state", partition_mapping=PAST_WEEKS)],
        partitions_def=WEEKLY,
    )
)
def fairness(context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Audit the predictions of each week of the run."""
    from seedtest_analytics.assets.backtest.fairness import audit_week

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="fairness_audit:{week}")
    yield from report(context, step.each_week(audit_week))
