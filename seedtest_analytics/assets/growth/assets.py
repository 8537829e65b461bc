"""Growth: whether students improve. A mixed model by lme4, a Bayesian model that feeds the goal probability, and growth
percentiles from ability over time."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.growth import checks
from seedtest_analytics.assets.running_week import COMPLETED
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.resources.stan.resource import StanResource
from seedtest_analytics.settings import GlmmSettings, GrowthSettings, load_settings
from seedtest_analytics.tables import growth as tables
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

POOL = "model_fitting"


@overrides(GlmmSettings)
class GlmmOptions(RunOptions):
    """Options of a mixed-model run."""


@overrides(GrowthSettings)
class GrowthOptions(RunOptions):
    """Options of a Bayesian growth run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.growth_glmm_meta,
            grain="fit",
            description="Mixed model of the week by lme4: shares of right answers by student, topic and calendar week "
            "of the look-back. Estimates with standard errors, variance components, the effect of each topic and the "
            "spread of the students' effects, messages, error in and out of sample. The slope of each student is "
            "`growth_slope` of `weekly_kpi`, if GLMM_UPDATE_KPI asks for it.",
            checks=(checks.MIXED_MODEL_FITTED, checks.CONVERGED, checks.PREDICTS),
        ),
        TableSpec(
            weekly_kpi,
            grain="student_week",
            key=("weekly_kpi", "growth_slope"),
            description="Merges `growth_slope` into the `weekly_kpi` rows of the model's week if GLMM_UPDATE_KPI asks "
            "for it, and touches no other key:\n\n"
            + "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS["growth_slope"]),
        ),
        group="growth",
        kinds=("postgres", "r"),
        deps=["attempt"],
        partitions_def=WEEKLY,
        pool=POOL,
        also_reads=COMPLETED,
    )
)
def glmm_growth(
    context: dg.AssetExecutionContext, config: GlmmOptions, *, postgres: PostgresResource, r: RResource
) -> Iterator[Any]:
    """Fit the mixed model as of each week of the run, oldest first."""
    from seedtest_analytics.assets.growth.mixed_model.week import fit_mixed_model_week

    settings = load_settings().overridden("glmm", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="glmm:{week}")
    yield from report(context, step.each_week(lambda run: fit_mixed_model_week(run, r)))


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.student_growth,
            grain="student_week",
            description="How each student grows: the growth percentile given the level ABILITY_GROWTH_WEEKS before, with the "
            "interval that the errors of both levels imply, own and typical pace, and beside them the distance to the goal, "
            "the pace it needs and the percentile that keeps this pace. `reason` says why a student has no percentile.",
            checks=(checks.COMPARED, checks.CENTRED),
        ),
        group="growth",
        deps=["ability_state", "interest_goal"],
        partitions_def=WEEKLY,
    )
)
def growth_percentiles(
    context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Compare the growth of students as of each week of the run, oldest first."""
    from seedtest_analytics.assets.growth.percentiles.week import compute_student_growth

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="student_growth:{week}")
    yield from report(context, step.each_week(compute_student_growth))


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.growth_brms_meta,
            grain="fit",
            description="Bayesian growth of the week, `score ~ week + (week | student_id)` over the look-back, by Stan, "
            "by importance sampling (laplace) or by R's brms. A fit with failed diagnostics is stored and feeds nothing.",
            checks=(checks.BAYESIAN_FITTED, checks.DIAGNOSTICS),
        ),
        TableSpec(
            tables.growth_prediction,
            grain="student_week",
            description="What the week's usable fit predicts for each student: line, projected score, probability of the "
            "goal with its bounds. No rows if the fit is not usable.",
            checks=(checks.PREDICTED,),
            deps=["interest_goal"],
        ),
        group="growth",
        kinds=("postgres", "stan"),
        deps=["attempt", "mirt_item_params", "mirt_fit_meta"],
        partitions_def=WEEKLY,
        pool=POOL,
    )
)
def bayesian_growth(
    context: dg.AssetExecutionContext,
    config: GrowthOptions,
    *,
    postgres: PostgresResource,
    stan: StanResource,
    r: RResource,
) -> Iterator[Any]:
    """Fit the Bayesian growth model as of each week of the run, oldest first."""
    from seedtest_analytics.assets.growth.bayesian.fit import Samplers
    from seedtest_analytics.assets.growth.bayesian.week import fit_bayesian_week

    settings = load_settings().overridden("growth", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="growth:{week}")
    samplers = Samplers(stan, r, log=context.log)
    yield from report(context, step.each_week(lambda run: fit_bayesian_week(run, samplers)))
