"""A small code location whose runs the tests launch on Kubernetes, with the platform's executor and sizes."""

import os
import time
from pathlib import Path

import dagster as dg

from seedtest_analytics.assets.framework.sizes import SMALL, size_of
from seedtest_analytics.schedules.executors import chosen_executor
from seedtest_analytics.settings import load_settings

POOL = "postgres_write"


@dg.asset(pool=POOL, op_tags=SMALL.op_tags)
def written(context: dg.AssetExecutionContext) -> None:
    """Says that it runs, and waits if a file asks for it."""
    folder = Path(os.environ["TEST_FOLDER"])
    (folder / "running").write_text(context.run_id)
    while (folder / "wait").exists():
        time.sleep(0.1)
    (folder / "written").write_text(context.run_id)


@dg.asset(deps=[written], pool="report_rendering", op_tags=size_of("reports").op_tags)
def reported() -> None:
    """Runs after the other."""


defs = dg.Definitions(
    [written, reported],
    jobs=[dg.define_asset_job("write", [written]), dg.define_asset_job("write_and_report", [written, reported])],
    executor=chosen_executor(load_settings().execution),
)
