"""The web application's tables are looked at once a day, before anything reads them."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.schedules import jobs

SCHEDULES = [
    dg.ScheduleDefinition(
        job=jobs.observe_source_tables,
        name="observe_source_tables_schedule",
        cron_schedule="50 2 * * *",
        execution_timezone=PLATFORM.timezone,
        description="Rows and newest change of the source tables; what has not changed for too long shows as stale.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"domain": "automation"},
    )
]
