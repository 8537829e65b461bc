"""Students who fall silent are noticed while it happens, and once a day whatever happened to the sensor."""

from __future__ import annotations

import datetime as dt

import dagster as dg

from seedtest_analytics.assets.inactivity import count_due
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import jobs
from seedtest_analytics.schedules.chain import UNDER_WAY

PAUSE_AFTER_FAILURE = dt.timedelta(hours=1)
"""A run that failed is not requested again at once: what made it fail is mostly still there."""


def is_under_way(instance: dg.DagsterInstance) -> bool:
    """A run that notices silences is queued or running."""
    filters = dg.RunsFilter(job_name=jobs.detect_inactivity.name, statuses=UNDER_WAY)
    return bool(instance.get_runs(filters, limit=1))


def has_failed_lately(instance: dg.DagsterInstance, instant: dt.datetime) -> bool:
    """The newest run failed within the pause."""
    filters = dg.RunsFilter(job_name=jobs.detect_inactivity.name, created_after=instant - PAUSE_AFTER_FAILURE)
    newest = instance.get_runs(filters, limit=1)
    return bool(newest) and newest[0].status == dg.DagsterRunStatus.FAILURE


@dg.sensor(
    job=jobs.detect_inactivity,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests one run for all students who crossed INACTIVITY_THRESHOLD_DAYS of silence since the last.",
)
def inactivity_sensor(context: dg.SensorEvaluationContext, postgres: PostgresResource) -> dg.RunRequest | dg.SkipReason:
    """Who was noticed is in `inactivity_notice`, so the sensor needs no cursor and repeats nothing."""
    instant = dt.datetime.now(dt.UTC)
    if is_under_way(context.instance):
        return dg.SkipReason("a run that notices silences is under way")
    if has_failed_lately(context.instance, instant):
        return dg.SkipReason("the last run failed within the hour; the next try is later")
    try:
        with postgres.engine.connect() as connection:
            due = count_due(connection, instant)
    except DatabaseError as error:
        return dg.SkipReason(str(error))
    if not due:
        return dg.SkipReason("nobody crossed the threshold since the last run")
    return dg.RunRequest(tags={"seedtest/students": str(due)})


@dg.schedule(
    job=jobs.detect_inactivity,
    name="detect_inactivity_schedule",
    cron_schedule="0 5 * * *",
    execution_timezone=PLATFORM.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Legacy detect-inactivity: the catch-up of the sensor.",
    tags={"domain": "automation"},
)
def inactivity_catch_up(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run unless one is under way; with nobody to notice it changes nothing."""
    if is_under_way(context.instance):
        return dg.SkipReason("a run that notices silences is under way")
    return dg.RunRequest()


SENSORS = [inactivity_sensor]
SCHEDULES = [inactivity_catch_up]
