"""Item drift: items whose parameters have moved between two windows."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.psychometrics.checks import DRIFT_BELOW_THRESHOLD
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import DriftSettings, load_settings
from seedtest_analytics.tables import drift as tables


@overrides(DriftSettings)
class DriftOptions(RunOptions):
    """Options of a comparison."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.drift_windows,
            grain="window",
            description="The compared windows of answers: the recent one, and the baseline from DRIFT_BASELINE_FROM to "
            "DRIFT_BASELINE_TO (default: the days 120 to 90 before).",
        ),
        TableSpec(
            tables.item_calibration,
            grain="item_window",
            description="Item parameters of both windows with 95 % intervals on the scale of the baseline "
            "(Stocking-Lord; items that moved are excluded from the link).",
        ),
        TableSpec(
            tables.drift_alerts,
            grain="item_metric",
            description="Changes beyond DRIFT_THRESHOLD_DELTA_* that chance does not explain: standard errors of both "
            "calibrations and of the link, false discovery rate 5 % over all parameters of all items. A resolved alert "
            "stays resolved when its week is compared again.",
            checks=(DRIFT_BELOW_THRESHOLD,),
        ),
        group="drift",
        kinds=("postgres", "python"),
        deps=["attempt", "question"],
        partitions_def=WEEKLY,
    )
)
def irt_item_drift(
    context: dg.AssetExecutionContext, config: DriftOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Compare the recent window with the baseline as of each week of the run."""
    from seedtest_analytics.assets.psychometrics.drift.week import compare_week

    settings = load_settings().overridden("drift", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="irt_item_drift:{week}")
    yield from report(context, step.each_week(compare_week))
