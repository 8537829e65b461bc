"""The daily look at the health of all assets, after the night's chain."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.partitions import PLATFORM

judge_health = dg.define_asset_job(
    "judge_health",
    selection=dg.AssetSelection.assets("platform_health"),
    description="The state of every asset, and the commands that repair what failed.",
)

JOBS = [judge_health]
SCHEDULES = [
    dg.ScheduleDefinition(
        job=judge_health,
        name="judge_health_schedule",
        cron_schedule="0 8 * * *",
        execution_timezone=PLATFORM.timezone,
        description="After the night's chain. Replaces no CronJob.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"domain": "automation"},
    )
]
