"""The jobs that schedules and sensors launch: one a legacy CronJob, each a selection of the asset graph."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.partitions import DAILY, WEEKLY

KPI_KEYS = [["weekly_kpi", name] for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")]

sync_attempts = dg.define_asset_job(
    "sync_attempts",
    selection=dg.AssetSelection.assets("attempt", "attempt_quarantine"),
    description="Bring the attempt log in step with exam_results.",
)
calibrate_irt = dg.define_asset_job(
    "calibrate_irt",
    selection=dg.AssetSelection.groups("attempts", "psychometrics"),
    partitions_def=WEEKLY,
    description="Sync the attempts, calibrate the items, score the students.",
)
aggregate_features_daily = dg.define_asset_job(
    "aggregate_features_daily",
    selection=dg.AssetSelection.assets("features_topic_daily"),
    partitions_def=DAILY,
    description="Daily features of the last AGG_LOOKBACK_DAYS days.",
)
compute_daily_kpis = dg.define_asset_job(
    "compute_daily_kpis",
    selection=dg.AssetSelection.assets(*KPI_KEYS),
    partitions_def=WEEKLY,
    description="The six KPIs of the running week, on Mondays of the closed week too.",
)
generate_weekly_report = dg.define_asset_job(
    "generate_weekly_report",
    selection=dg.AssetSelection.assets("weekly_report"),
    partitions_def=WEEKLY,
    description="One report a student for the last closed week.",
)

JOBS = [sync_attempts, calibrate_irt, aggregate_features_daily, compute_daily_kpis, generate_weekly_report]
