"""Segments: groups of students with similar habits."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.segments import checks
from seedtest_analytics.partitions import WEEKLY, weeks_back
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import SegmentSettings, load_settings
from seedtest_analytics.tables import segments as tables

LOOK_BACK = weeks_back(11)
"""Features are means over CLUSTER_LOOKBACK_WEEKS weeks."""


@overrides(SegmentSettings)
class SegmentOptions(RunOptions):
    """Options of a segmentation."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.segment_meta,
            grain="run",
            description="One row for each segmentation of the students by nine features of their habits: robust scaling, "
            "k-means or Gaussian mixture, number of segments by silhouette and gap statistic unless CLUSTER_N_CLUSTERS "
            "sets it. `segment_profile` describes the segments and names them by their own centres. A segment keeps its "
            "identity from run to run.",
            checks=(checks.SEVERAL_SEGMENTS, checks.STABLE),
        ),
        TableSpec(
            tables.user_segment,
            grain="student",
            description="Segment of each student by the newest run, with the features that decide it.",
        ),
        group="segments",
        kinds=("postgres", "python"),
        deps=[
            "features_topic_daily",
            *(
                dg.AssetDep(dg.AssetKey(["weekly_kpi", name]), partition_mapping=LOOK_BACK)
                for name in ("I_t", "E_t", "R_t", "A_t")
            ),
        ],
        partitions_def=WEEKLY,
    )
)
def student_segments(
    context: dg.AssetExecutionContext, config: SegmentOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Segment the students as of each week of the run, oldest first."""
    from seedtest_analytics.assets.segments.week import segment_week

    settings = load_settings().overridden("segments", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="segment_meta")
    yield from report(context, step.each_week(segment_week))
