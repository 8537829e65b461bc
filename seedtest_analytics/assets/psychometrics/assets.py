"""Stage `psychometrics`: calibration of the items, then scoring of the students.

Two steps, so that an ability moves because answers changed and not because the scale did. Both see a week as of its
end and read nothing at or after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.psychometrics.calibration.filter import FilteredCalibrationError
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.r.errors import RError
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import CalibrationSettings, load_settings
from seedtest_analytics.tables import psychometrics as tables

CALIBRATION_SQL = ["psychometrics/responses.sql", "psychometrics/scale.sql", "psychometrics/anchors.sql"]


@overrides(CalibrationSettings)
class CalibrationOptions(RunOptions):
    """Options of a calibration run."""


@overrides(CalibrationSettings, "lookback_days")
class ScoringOptions(RunOptions):
    """Options of a scoring run."""


@table_assets(
    TableSpec(
        tables.mirt_item_params,
        grain="item",
        description="Item parameters by marginal maximum likelihood over the answers of the look-back, on the logit metric "
        "(D = 1). One row an item, of the newest usable calibration that has it; `mirt_item_params_history` keeps all.",
        checks=(
            CheckDeclaration("items_usable", "At least half of the answers are to items that could be calibrated."),
        ),
    ),
    TableSpec(
        tables.mirt_fit_meta,
        grain="calibration",
        description="One row a calibration: what was fitted, on what data, whether it converged and may be used.",
        checks=(
            CheckDeclaration(
                "usable",
                "The calibration converged, is on the scale and may be scored with; else the last usable one is.",
            ),
            CheckDeclaration(
                "on_the_scale", "The calibration is on the platform's scale (its origin, or linked to it)."
            ),
            CheckDeclaration(
                "anchors_enough",
                "At least MIRT_MIN_ANCHORS items tagged 'anchor' have MIRT_MIN_RESPONSES answers, so that the scale rests on "
                "them. The first calibration, the scale's origin, needs none.",
            ),
            CheckDeclaration(
                "anchors_stable",
                "No tagged anchor has drifted or has unusable parameters in `question.meta.irt`. One that has is neither "
                "fixed nor linked with: it is estimated like any item, and `model_spec.linking_constants.dropped` says why.",
            ),
            CheckDeclaration(
                "dif_small",
                "No item differs by group at equal ability (ETS class C), by the covariate of DIF_COVARIATE.",
            ),
        ),
    ),
    group="psychometrics",
    domain="psychometrics",
    kinds=("postgres", "python"),
    deps=["attempt", "question", "exam_results"],
    sql=[*CALIBRATION_SQL, "psychometrics/dif.sql"],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def irt_calibration(
    context: dg.AssetExecutionContext, config: CalibrationOptions, *, postgres: PostgresResource, r: RResource
) -> Iterator[Outcome]:
    """Calibrate the items as of each week of the run, oldest first.

    What R cannot do (``MIRT_BACKEND=mirt``) fails the step with R's message and without Dagster's retries: tries and
    waits are MIRT_MAX_RETRIES and MIRT_RETRY_DELAY_SECS. So does a filter that would put one topic in the place of all.
    """
    loaded = load_settings()
    settings = loaded.calibration.overridden_by(config.model_dump())
    for week in weeks(context, config):
        try:
            yield from calibrate_week(
                postgres,
                week,
                settings=settings,
                dry=is_dry_run(config),
                log=context.log,
                r=r,
                dif_settings=loaded.dif,
            )
        except RError as error:
            raise dg.Failure(
                f"MIRT_BACKEND={settings.backend}, week of {week.key}: {error}", allow_retries=False
            ) from error
        except FilteredCalibrationError as error:
            raise dg.Failure(str(error), allow_retries=False) from error


@table_assets(
    TableSpec(
        tables.mirt_ability,
        grain="student_week",
        description="Ability of each student as of each week: EAP and posterior SD from the first answers of the look-back.",
        checks=(
            CheckDeclaration("scored", "Students with answers have an ability; none means no usable calibration."),
            CheckDeclaration(
                "scale_stable",
                "Mean and SD of θ are near those of the week before: a jump of the cohort is a jump of the scale.",
            ),
        ),
    ),
    TableSpec(
        tables.ability_window,
        grain="student_week_window",
        description="Abilities from the answers of the recent and the previous 14 days, on one scale; `I_t` compares them.",
    ),
    TableSpec(
        tables.student_topic_theta,
        grain="student_topic",
        description="Current ability in each topic: EAP from the topic's answers with the student's overall posterior as "
        "the prior, so that a topic with three answers stays near the student. History in `student_topic_theta_history`.",
    ),
    group="psychometrics",
    domain="psychometrics",
    kinds=("postgres", "python"),
    deps=["attempt", "mirt_item_params", "mirt_fit_meta"],
    sql=[*CALIBRATION_SQL, "backtest/outcomes.sql"],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def irt_scoring(
    context: dg.AssetExecutionContext, config: ScoringOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Score the students as of each week of the run with that week's calibration, or the newest usable one before."""
    settings = load_settings().calibration.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield from score_week(postgres, week, settings=settings, dry=is_dry_run(config), log=context.log)
