"""The platform's definitions without schedules and sensors: what runs is what a test launches."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.build import build_definitions

_all = build_definitions()
defs = dg.Definitions(
    assets=_all.assets, asset_checks=_all.asset_checks, jobs=_all.jobs, resources=_all.resources, executor=_all.executor
)
