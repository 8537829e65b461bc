"""A sensor that follows the data: new exam results request a sync, then exactly the partitions that it touched.

What reads an answer is computed in the order in which it reads: the abilities of the weeks whose look-back holds the
answer, scored with the calibration that each week has, and in the same run those weeks' KPIs; then the features, which
show abilities, and the KPIs of the weeks beyond, which may read an ability of before. Nothing is calibrated or fitted
anew, and no report is made again: corrections change what was observed, not the models of the time.

One round at a time. While runs of a round are under way the sensor asks for no other; what is touched meanwhile
comes in one go after them, so that a stream of late answers does not become a queue of runs.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    WILL_RETRY_TAG,
)
from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.windows import WINDOW_DAYS
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAILY, DAY, PLATFORM, WEEK, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import jobs
from seedtest_analytics.schedules.chain import UNDER_WAY
from seedtest_analytics.settings import load_settings

SQL = "automation/sensor.sql"

KPI_REACH_DAYS = 56
"""E_t, R_t and S read so many days before their as-of instant; who has a row at all reaches further (settings)."""

IMPROVEMENT_REACH_DAYS = 28
"""The improvement in a topic on a day reads so many days, that day being the last."""

ABILITY_STANDS_DAYS = 6
"""The newest ability of a student may rest on an answer of so many days before the last one that it rests on, because
abilities are weekly; P reads that ability for as long as the student counts. An older ability is read only of who has
answered nothing but items met before since then, and stays until that week is filled again."""

LATE_COMMIT = dt.timedelta(minutes=10)
"""An exam result committed late carries an older updated_at; the sensor looks this far behind its cursor."""

ROUND_TAG = "seedtest/touched"
"""On every run of a round: the last touched day that the round is about."""

_BEFORE_ALL = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Range:
    """A job over contiguous partitions, the last included."""

    job: str
    first: str
    last: str

    def request(self, touched_id: int) -> dg.RunRequest:
        """The run of this range in the round of ``touched_id``."""
        tags = {
            ASSET_PARTITION_RANGE_START_TAG: self.first,
            ASSET_PARTITION_RANGE_END_TAG: self.last,
            ROUND_TAG: str(touched_id),
        }
        key = f"touched:{touched_id}:{self.job}:{self.first}:{self.last}"
        return dg.RunRequest(run_key=key, job_name=self.job, tags=tags)


def contiguous(days: Iterable[dt.date], step: dt.timedelta) -> list[tuple[dt.date, dt.date]]:
    """Runs of days (or Mondays) that follow each other by ``step``, as first and last."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == step:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def affected_days(days: Iterable[dt.date], today: dt.date, *, reach_days: int) -> set[dt.date]:
    """Days whose features read an answer of one of ``days``, up to ``today``."""
    reached = {day + number * DAY for day in days for number in range(reach_days)}
    return {day for day in reached if day <= today}


def affected_weeks(days: Iterable[dt.date], today: dt.date, *, reach_days: int) -> set[dt.date]:
    """Mondays of the weeks that read an answer of one of ``days``, up to the running week.

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


def ability_reach_days() -> int:
    """Days before the as-of instant that an ability rests on: the look-back, or the two windows."""
    return max(load_settings().calibration.lookback_days, 2 * WINDOW_DAYS)


def kpi_reach_days() -> int:
    """Days before the as-of instant that some KPI, or the choice of students, reads."""
    kpis = load_settings().kpis
    return max(KPI_REACH_DAYS, kpis.users_since_days, kpis.lookback_days) + ABILITY_STANDS_DAYS


def feature_reach_days() -> int:
    """Days from an answer on whose features read it; an ability is shown from its week's last day for a week."""
    shows_abilities = load_settings().features.include_theta
    return max(IMPROVEMENT_REACH_DAYS, ability_reach_days() + ABILITY_STANDS_DAYS if shows_abilities else 0)


def steps_for(days: list[dt.date], today: dt.date) -> tuple[list[Range], list[Range]]:
    """What a change of ``days`` asks for: abilities with their weeks' KPIs first, then what may read them."""
    scored = affected_weeks(days, today, reach_days=ability_reach_days())
    further = affected_weeks(days, today, reach_days=kpi_reach_days()) - scored
    feature_days = affected_days(days, today, reach_days=feature_reach_days())
    first = _ranges(jobs.rescore_weeks.name, scored, step=WEEK)
    then = [
        *_ranges(jobs.aggregate_features_daily.name, feature_days, step=DAY),
        *_ranges(jobs.compute_daily_kpis.name, further, step=WEEK),
    ]
    return first, then


def _ranges(job: str, days: Iterable[dt.date], *, step: dt.timedelta) -> list[Range]:
    return [Range(job, first.isoformat(), last=last.isoformat()) for first, last in contiguous(days, step)]


@dg.sensor(
    jobs=[jobs.sync_attempts, jobs.rescore_weeks, jobs.aggregate_features_daily, jobs.compute_daily_kpis],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices new and changed exam results, requests a sync of the attempt log, and when the sync is done "
    "requests the weeks whose abilities and KPIs, and then the days whose features, read what it touched.",
)
def exam_results_sensor(
    context: dg.SensorEvaluationContext, postgres: PostgresResource
) -> dg.SensorResult | dg.SkipReason:
    """Cursor: {"updated_at": newest change asked for, "touched_id": last touched day handled, "then": the round's rest}."""
    today = dt.datetime.now(PLATFORM.zone).date()
    try:
        with postgres.engine.connect() as connection:
            cursor = json.loads(context.cursor) if context.cursor else _first_cursor(connection)
            sync, cursor = _request_sync(connection, cursor)
            requests, cursor = _go_on(context.instance, connection, cursor=cursor, today=today)
    except DatabaseError as error:
        return dg.SkipReason(str(error))
    return dg.SensorResult(run_requests=[*sync, *requests], cursor=json.dumps(cursor))


def _first_cursor(connection: Connection) -> dict[str, Any]:
    """Start after the days touched so far: what stands there is the back-fill's, not the sensor's."""
    last = connection.execute(statement(SQL, "last_touched_id")).scalar_one()
    return {"updated_at": None, "touched_id": last, "then": []}


def _request_sync(connection: Connection, cursor: dict[str, Any]) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    since = dt.datetime.fromisoformat(cursor["updated_at"]) - LATE_COMMIT if cursor["updated_at"] else _BEFORE_ALL
    newest = connection.execute(statement(SQL, "newest_exam"), {"since": since}).one()
    if not newest.exams:
        return [], cursor
    key = f"sync:{newest.newest_text}:{newest.exams}"
    request = dg.RunRequest(run_key=key, job_name=jobs.sync_attempts.name)
    return [request], {**cursor, "updated_at": newest.newest_at.isoformat()}


def _go_on(
    instance: dg.DagsterInstance, connection: Connection, *, cursor: dict[str, Any], today: dt.date
) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    """The rest of the round whose first step has ended, well or not, else the first step of a new one."""
    if is_under_way(instance, cursor["touched_id"]):
        return [], cursor
    # A cursor of an earlier release knows no rounds.
    rest = [Range(**fields) for fields in cursor.get("then", [])]
    if rest:
        return [r.request(cursor["touched_id"]) for r in rest], {**cursor, "then": []}
    first_day = dt.date.fromisoformat(DAILY.get_first_partition_key() or today.isoformat())
    touched = connection.execute(
        statement(SQL, "touched_days"),
        {"last_id": cursor["touched_id"], "first_day": first_day, "last_day": today},
    ).all()
    if not touched:
        return [], cursor
    last_id = max(row.last_id for row in touched)
    first, then = steps_for([row.day for row in touched], today)
    now, later = (first, then) if first else (then, [])
    cursor = {**cursor, "touched_id": last_id, "then": [vars(r) for r in later]}
    return [r.request(last_id) for r in now], cursor


def is_under_way(instance: dg.DagsterInstance, touched_id: int) -> bool:
    """A run of the round is queued or running, or failed and is about to be tried again."""
    runs = instance.get_runs(dg.RunsFilter(tags={ROUND_TAG: str(touched_id)}))
    return any(
        run.status in UNDER_WAY or (run.tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in run.tags)
        for run in runs
    )
