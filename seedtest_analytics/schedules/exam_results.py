"""The sensor on exam results: new results request a sync, and the sync requests exactly the partitions it touched.

A round has two steps. The first computes the abilities of the weeks whose look-back contains the answer, scored with
each week's own calibration, and those weeks' KPIs. The second computes the features, which show abilities, and the
KPIs of later weeks, which may read an earlier ability. Nothing is calibrated or fitted again, and no report is made
again: a correction changes the observations, not the models of the time.

The sensor runs one round at a time. What is touched meanwhile follows in one further round, so that a stream of late
answers does not become a queue of runs. The days of a round that fails come again in a later one: nothing else would
compute old weeks again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.windows import WINDOW_DAYS
from seedtest_analytics.dagster_private import ASSET_PARTITION_RANGE_START_TAG
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.sessions import explaining
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAILY, DAY, PLATFORM, WEEK, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import jobs
from seedtest_analytics.settings import load_settings

SQL = "automation/sensor.sql"

KPI_REACH_DAYS = 56
"""Days before their as-of instant that E_t, R_t and S read. The choice of students reads further (settings)."""

IMPROVEMENT_REACH_DAYS = 28
"""Days that the improvement in a topic reads, its own day being the last."""

ABILITY_STANDS_DAYS = 6
"""Abilities are weekly, so the newest one may read an answer this many days before the student's last answer. P reads it
for as long as the student counts. An older ability matters only for students who have since answered nothing but items
that they had already met; it stays until that week is backfilled."""

WHOLE_HISTORY_DAYS = 100 * 365
"""More than any log has. A late answer moves the abilities of all weeks since, so all of them are computed again."""

LATE_COMMIT = dt.timedelta(minutes=10)
"""How far the sensor looks behind its cursor: a result that is committed late has an older updated_at."""

ROUND_TAG = "seedtest/touched"
"""Tag on every run of a round: the id of the last touched day that the round covers, and the number of its repetition."""

REPEAT_AFTER = dt.timedelta(hours=1)
LONGEST_PAUSE = DAY
"""The days of a failed round come again after an hour, then two, four, and at last once a day."""

_BEFORE_ALL = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Range:
    """A job and the contiguous partitions that it computes, both ends included."""

    job: str
    first: str
    last: str

    def request(self, round_id: str) -> dg.RunRequest:
        """The run of this range in a round."""
        key = f"touched:{round_id}:{self.job}:{self.first}:{self.last}"
        tags = {ROUND_TAG: round_id, **jobs.range_tags(self.first, self.last)}
        return dg.RunRequest(run_key=key, job_name=self.job, tags=tags)


def contiguous(days: Iterable[dt.date], step: dt.timedelta) -> list[tuple[dt.date, dt.date]]:
    """First and last day of each sequence of days (or Mondays) that follow each other by ``step``."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == step:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def affected_days(days: Iterable[dt.date], today: dt.date, *, reach_days: int) -> set[dt.date]:
    """Days up to ``today`` whose features read an answer from one of ``days``."""
    reached = {day + number * DAY for day in days for number in range(min(reach_days, (today - day).days + 1))}
    return {day for day in reached if day <= today}


def affected_weeks(days: Iterable[dt.date], today: dt.date, *, reach_days: int) -> set[dt.date]:
    """Mondays of the weeks up to the running one that read an answer from one of ``days``.

    A closed week reads ``reach_days`` back from its end, the running week from the start of ``today``.
    """
    mondays = {
        monday_of(day) + number * WEEK for day in days for number in range(min(reach_days, (today - day).days) // 7 + 2)
    }
    ends = {monday: min(monday + WEEK, today) for monday in mondays if monday <= today}
    return {monday for monday, end in ends.items() if any(end - reach_days * DAY <= day < end for day in days)}


def ability_reach_days() -> int:
    """Days before the as-of instant that an ability reads: all by ability over time, else the look-back or two windows."""
    settings = load_settings()
    if settings.ability.method == "dynamic":
        return WHOLE_HISTORY_DAYS
    return max(settings.calibration.days_to_score, 2 * WINDOW_DAYS)


def kpi_reach_days() -> int:
    """Days before the as-of instant that the KPIs and the choice of students read."""
    kpis = load_settings().kpis
    return max(KPI_REACH_DAYS, kpis.users_since_days, kpis.lookback_days) + ABILITY_STANDS_DAYS


def feature_reach_days() -> int:
    """Days, from an answer's own day on, whose features read it. They show an ability for a week, from its last day on."""
    shows_abilities = load_settings().features.include_theta
    return max(IMPROVEMENT_REACH_DAYS, ability_reach_days() + ABILITY_STANDS_DAYS if shows_abilities else 0)


def steps_for(days: list[dt.date], today: dt.date) -> tuple[list[Range], list[Range]]:
    """The two steps of a round for ``days``: abilities and KPIs of their weeks, then what may read them."""
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
    description="Requests a sync of the attempt log when exam results are new or changed. After the sync it requests the "
    "abilities, KPIs and features that read what the sync touched.",
)
def exam_results_sensor(
    context: dg.SensorEvaluationContext, postgres: PostgresResource
) -> dg.SensorResult | dg.SkipReason:
    """The cursor has the newest change synced, the last touched day, and the round.

    Of the round it has the id, the days, the second step ("then"), and the days of failed rounds with the instant at which
    they come again and the number of failures.
    """
    now = dt.datetime.now(PLATFORM.zone)
    try:
        with explaining(), postgres.engine.connect() as connection:
            cursor = json.loads(context.cursor) if context.cursor else _first_cursor(connection)
            sync, cursor = _request_sync(connection, cursor)
            requests, cursor = _go_on(context.instance, connection, cursor=cursor, now=now)
    except DatabaseError as error:
        return dg.SkipReason(str(error))
    return dg.SensorResult(run_requests=[*sync, *requests], cursor=json.dumps(cursor))


def _first_cursor(connection: Connection) -> dict[str, Any]:
    """Start after the days touched so far: those belong to the backfill."""
    last = connection.execute(statement(SQL, "last_touched_id")).scalar_one()
    return {"updated_at": None, "touched_id": last}


def _request_sync(connection: Connection, cursor: dict[str, Any]) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    since = dt.datetime.fromisoformat(cursor["updated_at"]) - LATE_COMMIT if cursor["updated_at"] else _BEFORE_ALL
    newest = connection.execute(statement(SQL, "newest_exam"), {"since": since}).one()
    if not newest.exams:
        return [], cursor
    key = f"sync:{newest.newest_text}:{newest.exams}"
    request = dg.RunRequest(run_key=key, job_name=jobs.sync_attempts.name)
    return [request], {**cursor, "updated_at": newest.newest_at.isoformat()}


def _go_on(
    instance: dg.DagsterInstance, connection: Connection, *, cursor: dict[str, Any], now: dt.datetime
) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    """The second step of a round once its first has ended, well or not; otherwise the first step of a new round."""
    # The cursor of an earlier release has the first two fields, or three.
    cursor = {"then": [], "round": str(cursor["touched_id"]), "days": [], **_NO_FAILURE, **cursor}
    if is_under_way(instance, cursor["round"]):
        return [], cursor
    rest = [Range(**fields) for fields in cursor["then"]]
    if rest:
        return [r.request(cursor["round"]) for r in rest], {**cursor, "then": []}
    cursor = _with_outcome(instance, cursor, now=now)
    today = now.date()
    first_day = dt.date.fromisoformat(DAILY.get_first_partition_key() or today.isoformat())
    touched = connection.execute(
        statement(SQL, "touched_days"), {"last_id": cursor["touched_id"], "first_day": first_day, "last_day": today}
    ).all()
    is_repetition = cursor["again_at"] is not None and now >= dt.datetime.fromisoformat(cursor["again_at"])
    again = [dt.date.fromisoformat(day) for day in cursor["again"]] if is_repetition else []
    days = sorted({*again, *(row.day for row in touched)})
    if not days:
        return [], cursor
    last_id = max((row.last_id for row in touched), default=cursor["touched_id"])
    round_id = f"{last_id}.{cursor['failures']}" if is_repetition else str(last_id)
    first, then = steps_for(days, today)
    asked, later = (first, then) if first else (then, [])
    cursor |= {"touched_id": last_id, "round": round_id, "days": [str(day) for day in days]}
    cursor |= {"then": [vars(r) for r in later]} | ({"again": [], "again_at": None} if is_repetition else {})
    return [r.request(round_id) for r in asked], cursor


_NO_FAILURE: dict[str, Any] = {"again": [], "again_at": None, "failures": 0}


def _with_outcome(instance: dg.DagsterInstance, cursor: dict[str, Any], *, now: dt.datetime) -> dict[str, Any]:
    """The cursor after a round has ended: the days of a failed one come again."""
    if not cursor["days"]:
        return cursor
    if has_failed(instance, cursor["round"]):
        pause = min(REPEAT_AFTER * 2 ** min(cursor["failures"], 10), LONGEST_PAUSE)
        failed = {
            "again": sorted({*cursor["again"], *cursor["days"]}),
            "again_at": (now + pause).isoformat(),
            "failures": cursor["failures"] + 1,
        }
    else:
        failed = {} if cursor["again"] else _NO_FAILURE
    return {**cursor, "days": [], **failed}


def _runs_of(instance: dg.DagsterInstance, round_id: str) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(dg.RunsFilter(tags={ROUND_TAG: round_id}))


def is_under_way(instance: dg.DagsterInstance, round_id: str) -> bool:
    """A run of the round is queued, running or about to be retried."""
    return any(map(jobs.is_under_way, _runs_of(instance, round_id)))


def has_failed(instance: dg.DagsterInstance, round_id: str) -> bool:
    """A range of the round was tried and not computed. A run that somebody cancelled is not tried again."""
    computed: dict[tuple[str, str], bool] = {}
    for run in _runs_of(instance, round_id):
        range_ = (run.job_name, run.tags[ASSET_PARTITION_RANGE_START_TAG])
        computed[range_] = computed.get(range_, False) or run.status != dg.DagsterRunStatus.FAILURE
    return not all(computed.values())
