"""Stage `growth`: does a student improve? A mixed model by lme4, and a Bayesian one that feeds the goal probability."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.growth.bayesian.fit import Samplers
from seedtest_analytics.assets.growth.bayesian.week import fit_growth_week
from seedtest_analytics.assets.growth.mixed_model.week import fit_glmm_week
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


@table_assets(
    TableSpec(
        tables.growth_glmm_meta,
        grain="fit",
        description="Mixed model of the week by lme4: shares of right answers by student, topic and calendar week "
        "of the look-back. Estimates with standard errors, variance components, each topic's effect and how those of "
        "students spread, messages, error in and out of sample. Single students' slopes are `growth_slope` of "
        "`weekly_kpi`, where GLMM_UPDATE_KPI asks for them.",
        checks=(
            CheckDeclaration("fitted", "The answers of the look-back can carry the model."),
            CheckDeclaration(
                "converged", "lme4 has nothing to say about convergence, and no variance is zero (singular)."
            ),
            CheckDeclaration("predicts", "The error on held-out student-weeks is below that of their mean."),
        ),
    ),
    TableSpec(
        weekly_kpi,
        grain="student_week",
        key=("weekly_kpi", "growth_slope"),
        description="Merges `growth_slope` into the `weekly_kpi` rows of the model's own week where GLMM_UPDATE_KPI "
        "asks for it, and touches no other key:\n\n"
        + "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS["growth_slope"]),
    ),
    group="growth",
    domain="growth",
    kinds=("postgres", "r"),
    deps=["attempt"],
    sql=["growth/topic_weeks.sql", "kpis/population.sql", "kpis/merge.sql"],
    partitions_def=WEEKLY,
    pod=LARGE,
    pool=POOL,
)
def glmm_growth(
    context: dg.AssetExecutionContext, config: GlmmOptions, *, postgres: PostgresResource, r: RResource
) -> Iterator[Outcome]:
    """Fit the mixed model as of each week of the run, oldest first."""
    settings = load_settings()
    glmm = settings.glmm.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield from fit_glmm_week(
            postgres, r, week=week, settings=glmm, kpis=settings.kpis, dry=is_dry_run(config), log=context.log
        )


@table_assets(
    TableSpec(
        tables.growth_brms_meta,
        grain="fit",
        description="Bayesian growth of the week, `score ~ week + (week | student_id)` over the look-back, by Stan, by "
        "importance sampling (laplace) or by R's brms. A fit whose diagnostics fall short is stored and feeds nothing.",
        checks=(
            CheckDeclaration("fitted", "The scores of the look-back can carry the model."),
            CheckDeclaration(
                "diagnostics",
                "R-hat, effective sample sizes, divergences, E-BFMI and tree depth (laplace: Pareto k and effective "
                "draws) allow predictions. Failing, P takes the last usable fit and says so.",
                is_blocking=True,
            ),
        ),
    ),
    TableSpec(
        tables.growth_prediction,
        grain="student_week",
        description="What the week's usable fit says of each student: line, projected score, probability of the goal "
        "with its bounds. No rows where the fit is not usable.",
        checks=(CheckDeclaration("predicted", "A usable fit predicts every student that it saw."),),
        deps=["interest_goal"],
    ),
    group="growth",
    domain="growth",
    kinds=("postgres", "stan"),
    deps=["attempt", "mirt_item_params", "mirt_fit_meta"],
    sql=["growth/scores.sql", "growth/goals.sql"],
    partitions_def=WEEKLY,
    pod=LARGE,
    pool=POOL,
)
def bayesian_growth(
    context: dg.AssetExecutionContext,
    config: GrowthOptions,
    *,
    postgres: PostgresResource,
    stan: StanResource,
    r: RResource,
) -> Iterator[Outcome]:
    """Fit the Bayesian growth model as of each week of the run, oldest first."""
    settings = load_settings()
    growth = settings.growth.overridden_by(config.model_dump())
    samplers = Samplers(stan, r, log=context.log)
    for week in weeks(context, config):
        yield from fit_growth_week(
            postgres,
            week,
            settings=growth,
            default_target=settings.kpis.default_target,
            dry=is_dry_run(config),
            samplers=samplers,
        )
