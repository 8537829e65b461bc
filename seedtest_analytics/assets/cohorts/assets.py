"""Pages about groups of students: of each class, of each organisation, and of the platform for its operators."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.cohorts.checks import COHORTS_RENDERED, COHORTS_STORED
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.reports import cohort_report as table


class CohortOptions(RunOptions):
    """Options of a run of the pages about groups."""


@dg.multi_asset(
    **declared(
        TableSpec(
            table,
            grain="cohort_week",
            description="Weekly pages about groups of students, rendered from `quarto/cohort_page.qmd`: for the teachers of "
            "each class, for each organisation, and for the operators of the platform. Classes below REPORT_MIN_COHORT "
            "students have no numbers. The list of the week (`index/{week_start}/index.html`) links them.",
            checks=(COHORTS_RENDERED, COHORTS_STORED),
        ),
        group="reports",
        kinds=("python", "html"),
        deps=[
            "weekly_report",
            "report_pages",
            *(dg.AssetKey(["weekly_kpi", name]) for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")),
            "attempt",
            "attempt_quarantine",
            "features_topic_daily",
            "ability_state",
            "ability_topic_state",
            "mirt_fit_meta",
            "mirt_item_params",
            "anchor_candidates",
            "item_calibration",
            "drift_alerts",
            "student_growth",
            "prediction_verdict",
            "prediction_backtest",
            "fairness_audit",
            "prophet_fit_meta",
            "prophet_anomalies",
            "segment_meta",
            "platform_health",
        ],
        partitions_def=WEEKLY,
        pool="report_rendering",
    )
)
def cohort_report(
    context: dg.AssetExecutionContext,
    config: CohortOptions,
    *,
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    quarto: QuartoResource,
) -> Iterator[Any]:
    """Render and store the pages of each week of the run, then the list of the week."""
    from seedtest_analytics.assets.cohorts.week import CohortRun

    run = CohortRun(postgres, object_store, quarto, settings=load_settings().reports, is_dry_run=is_dry_run(config))
    yield from report(context, run.each_of(weeks(context, config), log=context.log))
