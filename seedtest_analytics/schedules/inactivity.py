"""Newly inactive students: a sensor records them within minutes, and a daily run catches up where it did not."""

from __future__ import annotations

import datetime as dt

import dagster as dg

from seedtest_analytics.assets.inactivity import count_due
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.sessions import explaining
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import jobs

PAUSE_AFTER_FAILURE = dt.timedelta(hours=1)
"""Wait after a failed run: its cause is probably still there."""


def is_under_way(instance: dg.DagsterInstance) -> bool:
    """A run of the job is queued or running."""
    filters = dg.RunsFilter(job_name=jobs.detect_inactivity.name, statuses=jobs.UNDER_WAY)
    return bool(instance.get_runs(filters, limit=1))


def has_failed_lately(instance: dg.DagsterInstance, instant: dt.datetime) -> bool:
    """The newest run was created within the pause and failed."""
    filters = dg.RunsFilter(job_name=jobs.detect_inactivity.name, created_after=instant - PAUSE_AFTER_FAILURE)
    newest = instance.get_runs(filters, limit=1)
    return bool(newest) and newest[0].status == dg.DagsterRunStatus.FAILURE


@dg.sensor(
    job=jobs.detect_inactivity,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests one run for all students who have been inactive for INACTIVITY_THRESHOLD_DAYS since the last.",
)
def inactivity_sensor(context: dg.SensorEvaluationContext, postgres: PostgresResource) -> dg.RunRequest | dg.SkipReason:
    """The sensor needs no cursor: `inactivity_notice` has the students that are already recorded."""
    instant = dt.datetime.now(dt.UTC)
    if is_under_way(context.instance):
        return dg.SkipReason(f"a run of {jobs.detect_inactivity.name} is under way")
    if has_failed_lately(context.instance, instant):
        return dg.SkipReason("the last run failed less than an hour ago")
    try:
        with explaining(), postgres.engine.connect() as connection:
            due = count_due(connection, instant)
    except DatabaseError as error:
        return dg.SkipReason(str(error))
    if not due:
        return dg.SkipReason("no student has crossed the threshold since the last run")
    return dg.RunRequest(tags={"seedtest/students": str(due)})


@dg.schedule(
    job=jobs.detect_inactivity,
    name="detect_inactivity_schedule",
    cron_schedule="0 5 * * *",
    execution_timezone=PLATFORM.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Replaces detect-inactivity: catches up what the sensor missed.",
    tags={"domain": "automation"},
)
def inactivity_catch_up(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run unless one is under way. Without newly inactive students the run changes nothing."""
    if is_under_way(context.instance):
        return dg.SkipReason(f"a run of {jobs.detect_inactivity.name} is under way")
    return dg.RunRequest()


SENSORS = [inactivity_sensor]
SCHEDULES = [inactivity_catch_up]
