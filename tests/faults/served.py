"""The platform's definitions without schedules and sensors: what runs is what a test launches."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs and the executor as they are."""
    whole = build_definitions()
    return dg.Definitions(
        assets=whole.assets,
        asset_checks=whole.asset_checks,
        jobs=whole.jobs,
        resources=whole.resources,
        executor=whole.executor,
    )
