"""Churn: the fit of a week, then the risk of each student by it.

The two steps are apart, as calibration and scoring are: a student's risk moves because the student did something, and
scoring needs no new fit.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.churn import checks
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import SurvivalSettings, load_settings
from seedtest_analytics.tables import churn as tables

EARLIER_WEEKS = dg.TimeWindowPartitionMapping(
    start_offset=-13, end_offset=-1, allow_nonexistent_upstream_partitions=True
)
"""A landmark reads the KPIs of the week that ended there."""
COVARIATES = [dg.AssetKey(["weekly_kpi", name]) for name in ("A_t", "E_t", "R_t")]


@overrides(SurvivalSettings)
class SurvivalOptions(RunOptions):
    """Options of a churn run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.survival_fit_meta,
            grain="fit",
            description="One row for each churn fit: the days from a weekly landmark until the next session, by a Cox "
            "model with errors clustered by student, covariates known at the landmark, and follow-up to the horizon. "
            "Coefficients, hazard ratios, concordance, baseline curve, test of proportional hazards, calibration out of "
            "fold, and the verdict.",
            checks=(checks.ENOUGH_EVENTS, checks.CALIBRATED, checks.CONCORDANCE, checks.PROPORTIONAL_HAZARDS),
        ),
        group="churn",
        kinds=("postgres", "python"),
        deps=["attempt", *(dg.AssetDep(key, partition_mapping=EARLIER_WEEKS) for key in COVARIATES)],
        partitions_def=WEEKLY,
    )
)
def survival_fit(
    context: dg.AssetExecutionContext, config: SurvivalOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Fit the churn model as of each week of the run, oldest first."""
    from seedtest_analytics.assets.churn.fit import fit_week

    settings = load_settings().overridden("survival", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="survival_fit_meta:{week}")
    yield from report(context, step.each_week(fit_week))


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.survival_risk,
            grain="student",
            description="Probability that each student is silent for the horizon (SURVIVAL_EVENT_THRESHOLD_DAYS), with "
            "limits, rank, state and the reasons that move it most. The table has the newest week. "
            "`survival_risk_history` keeps every week, and lists without a risk the students who never started.",
            checks=(checks.BY_MODEL,),
        ),
        group="churn",
        kinds=("postgres", "python"),
        deps=["attempt", "interest_goal", "survival_fit_meta", dg.AssetKey(["weekly_kpi", "S"]), *COVARIATES],
        partitions_def=WEEKLY,
    )
)
def survival_scoring(
    context: dg.AssetExecutionContext, config: SurvivalOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Score the students of each week of the run with that week's fit, or the newest usable one of the look-back."""
    from seedtest_analytics.assets.churn.scores import score_week

    settings = load_settings().overridden("survival", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="survival_risk")
    yield from report(context, step.each_week(score_week))
