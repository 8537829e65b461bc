"""The one place where the parts meet. Every resource can be overridden by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from seedtest_analytics.assets import features, inactivity, reports, sources
from seedtest_analytics.assets.attempts import assets as attempts
from seedtest_analytics.assets.backtest import assets as backtest
from seedtest_analytics.assets.churn import assets as churn
from seedtest_analytics.assets.cohorts import assets as cohorts
from seedtest_analytics.assets.forecasts import assets as forecasts
from seedtest_analytics.assets.framework.versions import versioned
from seedtest_analytics.assets.growth import assets as growth
from seedtest_analytics.assets.health import assets as health
from seedtest_analytics.assets.kpis import assets as kpis
from seedtest_analytics.assets.messages import assets as messages
from seedtest_analytics.assets.psychometrics import assets as psychometrics
from seedtest_analytics.assets.psychometrics.anchors import assets as anchors
from seedtest_analytics.assets.psychometrics.drift import assets as drift
from seedtest_analytics.assets.segments import assets as segments
from seedtest_analytics.resources.no_values import NoValues
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.resources.shard_results import SHARD_RESULTS, ShardResults
from seedtest_analytics.resources.stan.resource import StanResource
from seedtest_analytics.schedules import alerts, chain, connections, jobs, open_lineage, report_uploads, run_history
from seedtest_analytics.schedules import exam_results as sensors
from seedtest_analytics.schedules import health as health_schedules
from seedtest_analytics.schedules import inactivity as risk_schedules
from seedtest_analytics.schedules import sources as observe
from seedtest_analytics.schedules.executors import chosen_executor
from seedtest_analytics.settings import load_settings

ASSET_MODULES = [
    sources,
    attempts,
    psychometrics,
    anchors,
    features,
    growth,
    kpis,
    churn,
    inactivity,
    forecasts,
    segments,
    reports,
    cohorts,
    messages,
    backtest,
    drift,
    health,
]


def default_resources() -> dict[str, Any]:
    """Resources as production has them; none connects before it is used, and none has a field in run configuration."""
    return {
        "postgres": PostgresResource(),
        "object_store": ObjectStoreResource(),
        "quarto": QuartoResource(),
        "stan": StanResource(),
        "r": RResource(),
        "io_manager": NoValues(),
        SHARD_RESULTS: ShardResults(),
    }


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Assets, jobs, schedules, sensors and resources; ``resources`` replaces single resources by name.

    Raises :class:`seedtest_analytics.settings.SettingsError` naming every variable with a value that is not allowed.
    """
    settings = load_settings()
    return dg.Definitions(
        assets=dg.with_source_code_references(versioned(ASSET_MODULES)),
        asset_checks=dg.load_asset_checks_from_modules(ASSET_MODULES),
        resources={**default_resources(), **(resources or {})},
        jobs=[*jobs.JOBS, *run_history.JOBS, *report_uploads.JOBS, *health_schedules.JOBS, *connections.JOBS],
        schedules=[
            *observe.SCHEDULES,
            *chain.SCHEDULES,
            *risk_schedules.SCHEDULES,
            *run_history.SCHEDULES,
            *report_uploads.SCHEDULES,
            *health_schedules.SCHEDULES,
        ],
        sensors=[
            sensors.exam_results_sensor,
            *chain.SENSORS,
            *risk_schedules.SENSORS,
            *alerts.sensors(settings),
            *connections.sensors(settings.platform),
            *open_lineage.sensors(settings.lineage),
        ],
        executor=chosen_executor(settings.execution),
    )
