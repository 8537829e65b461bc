"""Stage `quality`: items whose parameters have moved between two windows."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.psychometrics.drift.week import SQL, compare_week
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import DriftSettings, load_settings
from seedtest_analytics.tables import drift as tables


@overrides(DriftSettings)
class DriftOptions(RunOptions):
    """Options of a comparison."""


@table_assets(
    TableSpec(
        tables.drift_windows,
        grain="window",
        description="The windows of answers that were compared: the recent one, and the baseline of DRIFT_BASELINE_FROM "
        "and DRIFT_BASELINE_TO or the days 120 to 90 before.",
    ),
    TableSpec(
        tables.item_calibration,
        grain="item_window",
        description="Item parameters of both windows with 95 % intervals, on the baseline's scale (Stocking-Lord, items "
        "that moved do not carry the link).",
    ),
    TableSpec(
        tables.drift_alerts,
        grain="item_metric",
        description="Changes beyond DRIFT_THRESHOLD_DELTA_* that chance does not explain: standard errors of both "
        "calibrations and of the link, false discovery rate 5 % over all parameters of all items. An alert that somebody "
        "has resolved stays resolved when its week is compared again.",
        checks=(CheckDeclaration("drift_below_threshold", "No item has moved beyond the thresholds."),),
    ),
    group="quality",
    domain="psychometrics",
    kinds=("postgres", "python"),
    deps=["attempt", "question"],
    sql=["psychometrics/responses.sql", SQL],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def irt_item_drift(
    context: dg.AssetExecutionContext, config: DriftOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Compare the recent window with the baseline as of each week of the run."""
    settings = load_settings()
    drift = settings.drift.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield from compare_week(
            postgres,
            week,
            calibration=settings.calibration,
            settings=drift,
            dry=is_dry_run(config),
            log=context.log,
        )
