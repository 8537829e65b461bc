"""Stage `risk`: the churn fit of a week, then the risk of each student by it.

Two steps, as with the items: a risk moves because a student did something, and scoring needs no fit.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.churn.fit import fit_week
from seedtest_analytics.assets.churn.panel import PANEL
from seedtest_analytics.assets.churn.scores import SQL, score_risk_week
from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
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


@table_assets(
    TableSpec(
        tables.survival_fit_meta,
        grain="fit",
        description="One row a churn fit. From weekly landmarks, the days until the next session: Cox model with "
        "errors clustered by student, covariates known at the landmark, followed up to the horizon. Coefficients, "
        "hazard ratios, concordance, baseline curve, check of proportional hazards, calibration out of fold, and the "
        "verdict.",
        checks=(
            CheckDeclaration("enough_events", "Enough returns, silences and students for a fit; else the heuristic."),
            CheckDeclaration(
                "calibrated",
                "Out of fold the probabilities are no worse than the base rate, and not distorted.",
            ),
            CheckDeclaration("concordance", "Who returns sooner is told apart better than by chance."),
            CheckDeclaration("proportional_hazards", "Hazard ratios are constant over the follow-up."),
        ),
    ),
    group="risk",
    domain="risk",
    kinds=("postgres", "python"),
    deps=["attempt", *(dg.AssetDep(key, partition_mapping=EARLIER_WEEKS) for key in COVARIATES)],
    sql=[PANEL],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def survival_fit(
    context: dg.AssetExecutionContext, config: SurvivalOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Fit the churn model as of each week of the run, oldest first."""
    settings = load_settings()
    survival = settings.survival.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield fit_week(postgres, week, settings=survival, kpis=settings.kpis, dry=is_dry_run(config))


@table_assets(
    TableSpec(
        tables.survival_risk,
        grain="student",
        description="Probability that each student is silent for the horizon (SURVIVAL_EVENT_THRESHOLD_DAYS), with "
        "limits, rank, state and the reasons that move it most. The newest week; `survival_risk_history` keeps every "
        "week and, without a risk, who never started.",
        checks=(
            CheckDeclaration(
                "by_model", "The risks are the newest fit's: no earlier one stands in, and not the heuristic."
            ),
        ),
    ),
    group="risk",
    domain="risk",
    kinds=("postgres", "python"),
    deps=["attempt", "survival_fit_meta", *COVARIATES],
    sql=[PANEL, SQL],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def survival_scoring(
    context: dg.AssetExecutionContext, config: SurvivalOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Score the students of each week of the run with that week's fit, or the newest usable one of the look-back."""
    settings = load_settings().survival.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield score_risk_week(postgres, week, settings=settings, dry=is_dry_run(config), log=context.log)
