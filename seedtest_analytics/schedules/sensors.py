"""A sensor that follows the data: new exam results request a sync, then exactly the partitions that it touched."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from sqlalchemy import Connection

from seedtest_analytics.partitions import DAILY, DAY, PLATFORM, WEEK, monday_of
from seedtest_analytics.resources.postgres import DatabaseError, PostgresResource
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.schedules import jobs
from seedtest_analytics.settings import load_settings

SQL = "automation/sensor.sql"

KPI_REACH_DAYS = 56
"""E_t, R_t and S read so many days before their as-of instant; who has a row at all reaches further (settings)."""

IMPROVEMENT_REACH_DAYS = 28
"""The improvement in a topic on a day reads so many days, that day being the last."""

LATE_COMMIT = dt.timedelta(minutes=10)
"""An exam result committed late carries an older updated_at; the sensor looks this far behind its cursor."""


_BEFORE_ALL = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def contiguous(days: Iterable[dt.date], step: dt.timedelta) -> list[tuple[dt.date, dt.date]]:
    """Runs of days (or Mondays) that follow each other by ``step``, as first and last."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == step:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def affected_days(days: Iterable[dt.date], today: dt.date) -> set[dt.date]:
    """Days whose features read an answer of one of ``days``, up to ``today``."""
    reached = {day + number * DAY for day in days for number in range(IMPROVEMENT_REACH_DAYS)}
    return {day for day in reached if day <= today}


def affected_weeks(days: Iterable[dt.date], today: dt.date, reach_days: int) -> set[dt.date]:
    """Mondays of the weeks whose KPIs read an answer of one of ``days``, up to the running week.

    A closed week reads ``reach_days`` before its end, the running one as many before the start of ``today``.
    """
    running = monday_of(today)
    closed = {
        monday
        for day in days
        for monday in _mondays(monday_of(day), monday_of(day + (reach_days - 1) * DAY))
        if monday < running and monday + WEEK - reach_days * DAY <= day
    }
    is_running_read = any(today - reach_days * DAY <= day < today for day in days)
    return closed | ({running} if is_running_read else set())


def _mondays(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    while first <= last:
        yield first
        first += WEEK


def kpi_reach_days() -> int:
    """Days before the as-of instant that some KPI, or the choice of students, reads."""
    kpis = load_settings().kpis
    return max(KPI_REACH_DAYS, kpis.users_since_days, kpis.lookback_days)


def requests_for_days(days: list[dt.date], today: dt.date, run_key: str) -> Iterator[dg.RunRequest]:
    """One run for each contiguous range of days and of weeks that read an answer of the touched ``days``."""
    for first, last in contiguous(affected_days(days, today), DAY):
        yield _range_request(jobs.aggregate_features_daily.name, first, last, run_key)
    for first, last in contiguous(affected_weeks(days, today, kpi_reach_days()), WEEK):
        yield _range_request(jobs.compute_daily_kpis.name, first, last, run_key)


def _range_request(job: str, first: dt.date, last: dt.date, run_key: str) -> dg.RunRequest:
    tags = {
        ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
        ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
    }
    return dg.RunRequest(run_key=f"{run_key}:{job}:{first}:{last}", job_name=job, tags=tags)


@dg.sensor(
    jobs=[jobs.sync_attempts, jobs.aggregate_features_daily, jobs.compute_daily_kpis],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices new and changed exam results, requests a sync of the attempt log, and when the sync is done "
    "requests the days it touched and the weeks whose KPIs read them.",
)
def exam_results_sensor(
    context: dg.SensorEvaluationContext, postgres: PostgresResource
) -> dg.SensorResult | dg.SkipReason:
    """Cursor: {"updated_at": newest change asked for, "touched_id": last touched day handled}."""
    today = dt.datetime.now(PLATFORM.zone).date()
    try:
        with postgres.engine.connect() as connection:
            cursor = json.loads(context.cursor) if context.cursor else _first_cursor(connection)
            requests, cursor = _evaluate(connection, cursor, today)
    except DatabaseError as error:
        return dg.SkipReason(str(error))
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(cursor))


def _first_cursor(connection: Connection) -> dict[str, Any]:
    """Start after the days touched so far: what stands there is the back-fill's, not the sensor's."""
    last = connection.execute(statement(SQL, "last_touched_id")).scalar_one()
    return {"updated_at": None, "touched_id": last}


def _evaluate(
    connection: Connection, cursor: dict[str, Any], today: dt.date
) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    requests: list[dg.RunRequest] = []
    since = (
        dt.datetime.fromisoformat(cursor["updated_at"]) - LATE_COMMIT if cursor["updated_at"] else _BEFORE_ALL
    )
    newest = connection.execute(statement(SQL, "newest_exam"), {"since": since}).one()
    if newest.exams:
        key = f"sync:{newest.newest_text}:{newest.exams}"
        requests.append(dg.RunRequest(run_key=key, job_name=jobs.sync_attempts.name))
        cursor = {**cursor, "updated_at": newest.newest_at.isoformat()}
    first_day = dt.date.fromisoformat(DAILY.get_first_partition_key() or today.isoformat())
    touched = connection.execute(
        statement(SQL, "touched_days"),
        {"last_id": cursor["touched_id"], "first_day": first_day, "last_day": today},
    ).all()
    if touched:
        last_id = max(row.last_id for row in touched)
        requests.extend(requests_for_days([row.day for row in touched], today, f"touched:{last_id}"))
        cursor = {**cursor, "touched_id": last_id}
    return requests, cursor
