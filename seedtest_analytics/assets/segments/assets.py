"""Stage `trends`: segments of students with alike habits."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.segments.week import SQL, segment_week
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import SegmentSettings, load_settings
from seedtest_analytics.tables import segments as tables

LOOK_BACK = dg.TimeWindowPartitionMapping(start_offset=-11, end_offset=0, allow_nonexistent_upstream_partitions=True)
"""Features are means over CLUSTER_LOOKBACK_WEEKS weeks."""


@overrides(SegmentSettings)
class SegmentOptions(RunOptions):
    """Options of a segmentation."""


@table_assets(
    TableSpec(
        tables.segment_meta,
        grain="run",
        description="One row a segmentation of the students by nine features of their habits: robust scaling, k-means "
        "or Gaussian mixture, number by silhouette and gap statistic unless CLUSTER_N_CLUSTERS. `segment_profile` has "
        "the segments with names by their own centres; a segment keeps its identity from run to run.",
        checks=(
            CheckDeclaration("several_segments", "There are groups, and enough students to find them."),
            CheckDeclaration("stable", "Every segment is found again in bootstraps (Jaccard)."),
        ),
    ),
    TableSpec(
        tables.user_segment,
        grain="student",
        description="Segment of each student by the newest run, with the features that put the student there.",
    ),
    group="trends",
    domain="segments",
    kinds=("postgres", "python"),
    deps=[
        "features_topic_daily",
        *(
            dg.AssetDep(dg.AssetKey(["weekly_kpi", name]), partition_mapping=LOOK_BACK)
            for name in ("I_t", "E_t", "R_t", "A_t")
        ),
    ],
    sql=[SQL],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def student_segments(
    context: dg.AssetExecutionContext, config: SegmentOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Segment the students as of each week of the run, oldest first."""
    settings = load_settings().segments.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield from segment_week(postgres, week, settings=settings, dry=is_dry_run(config))
