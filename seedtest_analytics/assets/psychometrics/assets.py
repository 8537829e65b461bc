"""Psychometrics: calibration of the items, ability over time, then the published abilities.

The steps are apart, so that an ability moves because answers change and not because the scale does. All see a week
as of its end and read nothing at or after it.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.psychometrics import checks
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import CalibrationSettings, load_settings
from seedtest_analytics.tables import ability as ability_tables
from seedtest_analytics.tables import psychometrics as tables


@overrides(CalibrationSettings)
class CalibrationOptions(RunOptions):
    """Options of a calibration run."""


@overrides(CalibrationSettings, "lookback_days")
class ScoringOptions(RunOptions):
    """Options of a scoring run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.mirt_item_params,
            grain="item",
            description="Item parameters on the platform scale (logit metric, D = 1) by marginal maximum likelihood over the "
            "history, or of MIRT_LOOKBACK_DAYS. One row for each item, from the newest usable calibration that has it; "
            "`mirt_item_params_history` keeps every calibration, and the view `mirt_item_bank` has each item's parameters as of "
            "each calibration.",
            checks=(checks.ITEMS_USABLE,),
        ),
        TableSpec(
            tables.mirt_fit_meta,
            grain="calibration",
            description="One row for each calibration: the model, its data, whether it converged and whether it may be used.",
            checks=(checks.USABLE, checks.ON_THE_SCALE, checks.ANCHORS_ENOUGH, checks.ANCHORS_STABLE, checks.DIF_SMALL),
        ),
        group="psychometrics",
        kinds=("postgres", "python"),
        deps=["attempt", "question", "exam_results"],
        partitions_def=WEEKLY,
    )
)
def irt_calibration(
    context: dg.AssetExecutionContext, config: CalibrationOptions, *, postgres: PostgresResource, r: RResource
) -> Iterator[Any]:
    """Calibrate the items as of each week of the run, oldest first.

    A failure of R (``MIRT_BACKEND=mirt``) fails the step with R's message and without Dagster's retries:
    MIRT_MAX_RETRIES and MIRT_RETRY_DELAY_SECS decide on those. A filter that would replace the calibration of all answers
    by that of one topic fails the step too.
    """
    from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week

    settings = load_settings().overridden("calibration", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="irt_calibration:{week}")
    yield from report(context, step.each_week(lambda run: calibrate_week(run, r)))


@dg.multi_asset(
    **declared(
        TableSpec(
            ability_tables.ability_hyperparameters,
            grain="week",
            description="How much levels, topics and items differ, and how fast they move: fitted by predictive likelihood "
            "every ABILITY_REFIT_DAYS, from the last fit on.",
            checks=(checks.HYPERPARAMETERS_USABLE,),
        ),
        TableSpec(
            ability_tables.ability_state,
            grain="student_week",
            description="Level, pace and change of each student as of each week, by the model of ability over time: from all "
            "answers, on the calibration's scale. Without new answers the level stays and its error grows.",
            checks=(checks.SILENT_STAY,),
        ),
        TableSpec(
            ability_tables.ability_topic_state,
            grain="student_topic_week",
            description="Ability of each student in each topic as of each week: the level and the topic's deviation from it.",
        ),
        group="psychometrics",
        kinds=("postgres", "python"),
        deps=["attempt", "mirt_item_params", "mirt_fit_meta"],
        partitions_def=WEEKLY,
    )
)
def ability_over_time(
    context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Filter and smooth all answers as of each week of the run, oldest first."""
    from seedtest_analytics.assets.psychometrics.ability.week import compute_state

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="ability_over_time:{week}")
    yield from report(context, step.each_week(compute_state))


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.mirt_ability,
            grain="student_week",
            description="Ability of each student as of each week: the level of `ability_state` (METRICS_ABILITY=dynamic), or "
            "EAP and posterior SD from the first answers of MIRT_SCORING_DAYS. `method` says which.",
            checks=(checks.SCORED, checks.SCALE_STABLE),
        ),
        TableSpec(
            tables.ability_window,
            grain="student_week_window",
            description="Abilities from the answers of the recent and the previous 14 days on one scale, which `I_t` "
            "compares.",
        ),
        TableSpec(
            tables.student_topic_theta,
            grain="student_topic",
            description="Current ability in each topic: that of `ability_topic_state`, or EAP from the answers in the topic "
            "with a prior from the student's other topics. So a topic with three answers stays near the student. "
            "`student_topic_theta_history` keeps every week.",
        ),
        group="psychometrics",
        kinds=("postgres", "python"),
        deps=[
            "attempt",
            "mirt_item_params",
            "mirt_fit_meta",
            "ability_hyperparameters",
            "ability_state",
            "ability_topic_state",
        ],
        partitions_def=WEEKLY,
    )
)
def irt_scoring(
    context: dg.AssetExecutionContext, config: ScoringOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Score the students as of each week of the run with that week's calibration, or the newest usable one before."""
    from seedtest_analytics.assets.psychometrics.scoring.week import score_week

    settings = load_settings().overridden("calibration", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="irt_scoring:{week}")
    yield from report(context, step.each_week(score_week))
