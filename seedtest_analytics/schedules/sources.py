"""The daily observation of the web application's tables, before the chain reads them."""

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
        description="Row counts and newest changes of the source tables. A table without recent changes shows as stale.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"domain": "automation"},
    )
]
