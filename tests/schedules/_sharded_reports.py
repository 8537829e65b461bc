"""The reports in shards as a code location whose runs the tests launch on Kubernetes. A page is a line."""

import dagster as dg

from seedtest_analytics.assets import reports
from seedtest_analytics.build import default_resources
from seedtest_analytics.dagster_private import look_after_steps_each_second
from seedtest_analytics.schedules.executors import chosen_executor
from seedtest_analytics.settings import load_settings
from tests.assets._reports import copy_of
from tests.schedules._lines import LinesInPlaceOfPages

# Nothing waits for its time to come: a killed pod is found at once and its step tried again at once.
look_after_steps_each_second()
dg.RetryPolicy.calculate_delay = lambda policy, attempt: 0.0  # type: ignore[method-assign, assignment]

defs = dg.Definitions(
    [copy_of(reports).weekly_report],
    resources=default_resources() | {"quarto": LinesInPlaceOfPages()},
    jobs=[dg.define_asset_job("report", dg.AssetSelection.assets("weekly_report", "report_pages"))],
    executor=chosen_executor(load_settings().execution),
)
