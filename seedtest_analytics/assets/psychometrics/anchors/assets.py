"""Anchor candidates: items measured against the criteria of anchors."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.psychometrics.checks import ANCHORS_COVER
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.drift import anchor_candidates


@dg.multi_asset(
    **declared(
        TableSpec(
            anchor_candidates,
            grain="item_week",
            description="Items against the criteria of anchors: answers, difficulty, discrimination, stability over "
            "calibrations, no flag (odd estimate, drift, DIF), all on the platform scale; and a choice that covers topics "
            "and difficulties. `seedtest tag-anchors` tags the choice.",
            checks=(ANCHORS_COVER,),
        ),
        group="psychometrics",
        kinds=("postgres", "python"),
        deps=["attempt", "question", "mirt_item_params", "mirt_fit_meta", "drift_alerts"],
        partitions_def=WEEKLY,
    )
)
def irt_anchor_candidates(
    context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Judge the items as of each week of the run by the calibration that scores the week."""
    from seedtest_analytics.assets.psychometrics.anchors.week import judge_candidates

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="irt_anchor_candidates:{week}")
    yield from report(context, step.each_week(judge_candidates))
