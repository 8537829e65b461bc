"""The sensor on exam results with a real database: what it requests, and what it does not."""

import datetime as dt
import json
import logging
from typing import Any

import dagster as dg
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.dagster_private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    WILL_RETRY_TAG,
)
from seedtest_analytics.partitions import DAY, WEEK, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import exam_results as sensors
from seedtest_analytics.schedules.exam_results import affected_days, affected_weeks, contiguous, exam_results_sensor
from tests._database import execute
from tests._exams import Exam, question, store
from tests.schedules._runs import add_run

UTC = dt.UTC
NOW = dt.datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day of each test, because the suite may go on over midnight."""
    at = dt.datetime.now(UTC)
    monkeypatch.setitem(globals(), "NOW", at)
    monkeypatch.setitem(globals(), "TODAY", at.date())


SYNC, RESCORE, FEATURES, KPIS = ("sync_attempts", "rescore_weeks", "aggregate_features_daily", "compute_daily_kpis")
Launched = list[tuple[str, str | None, str | None]]


def evaluate(instance: dg.DagsterInstance, url: str, cursor: str | None) -> Any:
    """One evaluation with its own resource, as in the daemon."""
    resources = {"postgres": PostgresResource.having(url=url)}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        return exam_results_sensor(context)


class Sensor:
    """The sensor from tick to tick. It keeps the cursor and launches each run key once, as the daemon does."""

    def __init__(self, engine: Engine, instance: dg.DagsterInstance) -> None:
        self.engine, self.instance = engine, instance
        self.cursor: str | None = None
        self.keys: set[str] = set()
        self.seen_at = dt.datetime.now(UTC)

    def tick(self, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS) -> Launched:
        """Job, first and last partition of each launched run; each gets ``status`` at once."""
        self.seen_at = dt.datetime.now(UTC)
        result = evaluate(self.instance, self.engine.url.render_as_string(hide_password=False), self.cursor)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        requests = [r for r in result.run_requests or [] if r.run_key not in self.keys]
        self.keys |= {str(r.run_key) for r in requests}
        for r in requests:
            add_run(self.instance, str(r.job_name), status=status, tags=r.tags)
        return [
            (str(r.job_name), r.tags.get(ASSET_PARTITION_RANGE_START_TAG), r.tags.get(ASSET_PARTITION_RANGE_END_TAG))
            for r in requests
        ]

    def end_all(self, status: dg.DagsterRunStatus, **tags: str) -> None:
        """End the queued and running runs."""
        for run in self.instance.get_runs():
            if not run.is_finished:
                self.instance.delete_run(run.run_id)
                self.instance.add_run(run.with_status(status).with_tags({**run.tags, **tags}))

    def sync(self) -> None:
        sync_attempts(self.engine, dt.datetime.now(UTC), timezone="UTC")


@pytest.fixture
def sensor(database: Engine, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    """With abilities of a look-back, which end the reach of an answer."""
    monkeypatch.setenv("METRICS_ABILITY", "static")
    return Sensor(database, instance)


def at_hours(hours: int, *, later_than: Sensor) -> dt.datetime:
    """A minute after the pause of ``hours`` that follows the last failure that the sensor has seen."""
    again_at = dt.datetime.fromisoformat(json.loads(later_than.cursor or "")["again_at"])
    pause = dt.timedelta(hours=hours)
    assert abs(again_at - pause - later_than.seen_at) < dt.timedelta(minutes=5)
    return again_at + dt.timedelta(minutes=1)


def exam_at(instant: dt.datetime, **fields: Any) -> Exam:
    return Exam((question(1),), created_at=instant, **fields)


def test_nothing_new_asks_for_nothing(sensor: Sensor) -> None:
    assert sensor.tick() == []
    assert sensor.tick() == []


def test_a_new_exam_asks_for_one_sync_however_often_it_is_seen(sensor: Sensor) -> None:
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY))
    assert sensor.tick() == [(SYNC, None, None)]
    assert sensor.tick() == []
    sensor.sync()
    assert SYNC not in [job for job, _, _ in sensor.tick()]


def test_after_the_sync_exactly_the_days_and_weeks_that_read_the_exam(sensor: Sensor) -> None:
    sensor.tick()
    yesterday = TODAY - DAY
    store(sensor.engine, exam_at(dt.datetime.combine(yesterday, dt.time(12), UTC)))
    sensor.tick()
    sensor.sync()
    first, last = monday_of(yesterday), monday_of(TODAY)
    assert sensor.tick() == [(RESCORE, str(first), str(last))]
    assert sensor.tick() == [(FEATURES, str(yesterday), str(TODAY))]
    assert sensor.tick() == []


def test_an_exam_of_today_enters_todays_features_and_no_kpi_before_tomorrow(sensor: Sensor) -> None:
    """The running week's KPIs are as of the start of today."""
    sensor.tick()
    store(sensor.engine, exam_at(dt.datetime.combine(TODAY, dt.time(0, 0, 1), UTC)))
    sensor.tick()
    sensor.sync()
    assert sensor.tick() == [(FEATURES, str(TODAY), str(TODAY))]


def late_correction(sensor: Sensor) -> dt.date:
    """Change an exam of a Wednesday sixty weeks ago today, and sync it. Returns the Monday of its week."""
    old = dt.datetime.combine(monday_of(TODAY) - 60 * WEEK + 2 * DAY, dt.time(12), UTC)
    exam = exam_at(old)
    store(sensor.engine, exam)
    sensor.sync()
    assert sensor.tick() == []
    store(sensor.engine, Exam((question(1, is_correct=False),), created_at=old, updated_at=NOW, id=exam.id))
    assert sensor.tick() == [(SYNC, None, None)]
    sensor.sync()
    return monday_of(old.date())


def test_a_late_correction_asks_for_its_old_weeks_in_their_order_and_no_more(sensor: Sensor) -> None:
    week = late_correction(sensor)
    wednesday = week + 2 * DAY
    # Abilities read 30 days; the week that ends 33 days after the Wednesday does not read it.
    assert sensor.tick() == [(RESCORE, str(week), str(week + 3 * WEEK))]
    # A week counts students who answered in the 90 days before its end, and their abilities reach 6 days further.
    assert sensor.tick() == [
        (FEATURES, str(wednesday), str(wednesday + 27 * DAY)),
        (KPIS, str(week + 4 * WEEK), str(week + 13 * WEEK)),
    ]
    assert sensor.tick() == []


def test_ability_over_time_reads_a_late_answer_in_every_week_since(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_ABILITY", "dynamic")
    week = late_correction(sensor)
    assert sensor.tick() == [(RESCORE, str(week), str(monday_of(TODAY)))]
    wednesday = week + 2 * DAY
    assert sensor.tick() == [(FEATURES, str(wednesday), str(wednesday + 27 * DAY))]


def test_features_that_show_abilities_are_asked_for_as_long_as_these_stand(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGG_INCLUDE_THETA", "true")
    week = late_correction(sensor)
    sensor.tick()
    # The last ability that reads the Wednesday belongs to the week that ends 26 days later (look-back 30). The features
    # of that week's Sunday and of the six days after it show it.
    first, last = sensor.tick()[0][1:]
    assert first == str(week + 2 * DAY)
    assert dt.date.fromisoformat(str(last)) >= week + 4 * WEEK - DAY + 6 * DAY


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
@pytest.mark.parametrize("end", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_what_reads_the_abilities_waits_for_them_however_they_end(
    sensor: Sensor, status: dg.DagsterRunStatus, end: dg.DagsterRunStatus
) -> None:
    late_correction(sensor)
    assert [job for job, _, _ in sensor.tick(status)] == [RESCORE]
    assert sensor.tick() == []
    sensor.end_all(end)
    assert [job for job, _, _ in sensor.tick()] == [FEATURES, KPIS]


def test_the_days_of_a_failed_round_come_again(sensor: Sensor) -> None:
    """Nothing else would compute old weeks again."""
    late_correction(sensor)
    failed = sensor.tick(dg.DagsterRunStatus.FAILURE)
    assert [job for job, _, _ in failed] == [RESCORE]
    then = sensor.tick()
    assert sensor.tick() == []
    for hours in (1, 2, 4):
        with time_machine.travel(at_hours(hours, later_than=sensor), tick=True):
            assert sensor.tick(dg.DagsterRunStatus.FAILURE) == failed, hours
            assert sensor.tick() == then
            assert sensor.tick() == []
    with time_machine.travel(at_hours(8, later_than=sensor), tick=True):
        assert sensor.tick() == failed
        assert sensor.tick() == then
        assert sensor.tick() == []
    with time_machine.travel(NOW + 30 * DAY, tick=True):
        assert sensor.tick() == []


def test_what_is_touched_later_does_not_wait_for_a_failed_round(sensor: Sensor) -> None:
    late_correction(sensor)
    sensor.tick(dg.DagsterRunStatus.FAILURE)
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=dt.datetime.now(UTC)))
    sensor.tick()
    sensor.sync()
    (first, *_) = sensor.tick()
    assert first[0] == RESCORE
    assert first[1] == str(monday_of(TODAY - DAY))


def test_a_round_that_somebody_cancels_does_not_come_again(sensor: Sensor) -> None:
    late_correction(sensor)
    sensor.tick(dg.DagsterRunStatus.CANCELED)
    sensor.tick()
    sensor.tick()
    with time_machine.travel(NOW + DAY, tick=True):
        assert sensor.tick() == []


def test_a_crashed_run_that_is_tried_again_is_waited_for(sensor: Sensor) -> None:
    late_correction(sensor)
    sensor.tick(dg.DagsterRunStatus.STARTED)
    sensor.end_all(dg.DagsterRunStatus.FAILURE, **{WILL_RETRY_TAG: "true"})
    assert sensor.tick() == []
    failed = sensor.instance.get_runs()[0]
    sensor.instance.add_run_tags(failed.run_id, {AUTO_RETRY_RUN_ID_TAG: "the second try"})
    assert [job for job, _, _ in sensor.tick()] == [FEATURES, KPIS]


def test_what_is_touched_while_a_round_runs_comes_in_one_go_after_it(sensor: Sensor) -> None:
    """A stream of late answers does not become a queue of runs."""
    late_correction(sensor)
    sensor.tick(dg.DagsterRunStatus.STARTED)
    for number in range(3):
        store(sensor.engine, exam_at(NOW - (40 + number) * DAY, updated_at=dt.datetime.now(UTC)))
        assert [job for job, _, _ in sensor.tick()] == [SYNC]
        sensor.sync()
    assert sensor.tick() == []
    sensor.end_all(dg.DagsterRunStatus.SUCCESS)
    assert [job for job, _, _ in sensor.tick()] == [FEATURES, KPIS]
    first, last = monday_of(TODAY - 42 * DAY), monday_of(TODAY - 40 * DAY + 29 * DAY)
    ((job, first_asked, last_asked),) = sensor.tick()
    assert (job, first_asked) == (RESCORE, str(first))
    assert str(last - WEEK) <= str(last_asked) <= str(last)


def test_a_cursor_of_an_earlier_release_is_read(sensor: Sensor) -> None:
    store(sensor.engine, exam_at(NOW - 9 * DAY))
    sensor.sync()
    sensor.cursor = '{"updated_at": "2020-01-01T00:00:00+00:00", "touched_id": 0}'
    assert [job for job, _, _ in sensor.tick()] == [RESCORE]


def test_a_rescore_without_a_change_asks_for_no_partition(sensor: Sensor) -> None:
    exam = exam_at(NOW - 9 * DAY)
    store(sensor.engine, exam)
    sensor.sync()
    sensor.tick()
    execute(sensor.engine, "UPDATE exam_results SET updated_at = now()")
    assert sensor.tick() == [(SYNC, None, None)]
    sensor.sync()
    assert sensor.tick() == []


def test_what_was_there_before_the_first_tick_is_the_back_fills(sensor: Sensor) -> None:
    store(sensor.engine, *(exam_at(NOW - day * DAY) for day in range(3)))
    sensor.sync()
    assert sensor.tick() == []


def test_days_before_the_first_partition_are_left_out(sensor: Sensor) -> None:
    sensor.tick()
    store(sensor.engine, exam_at(dt.datetime(2001, 5, 5, tzinfo=UTC)))
    sensor.sync()
    assert [job for job, _, _ in sensor.tick() if job != SYNC] == []


def test_an_exam_committed_late_is_seen_behind_the_cursor(sensor: Sensor) -> None:
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=NOW))
    assert sensor.tick() == [(SYNC, None, None)]
    sensor.sync()
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=NOW - dt.timedelta(minutes=5)))
    assert (SYNC, None, None) in sensor.tick()


@pytest.mark.parametrize("hostile", ["9999-01-01 00:00+00", "infinity"])
def test_a_time_in_the_future_does_not_blind_the_sensor(sensor: Sensor, hostile: str) -> None:
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=hostile))
    assert sensor.tick() == [(SYNC, None, None)]
    assert sensor.tick() == []
    sensor.sync()
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=dt.datetime.now(UTC)))
    assert (SYNC, None, None) in sensor.tick()


def test_the_cursor_is_readable(sensor: Sensor) -> None:
    store(sensor.engine, exam_at(NOW - DAY))
    sensor.tick()
    fields = {"updated_at", "touched_id", "round", "days", "then", "again", "again_at", "failures"}
    assert set(json.loads(sensor.cursor or "")) == fields


def test_a_database_that_is_down_skips_with_the_reason_and_keeps_the_cursor(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), dg.DagsterInstance.ephemeral() as instance:
        answer = evaluate(
            instance,
            "postgresql://seedtest:hunter2@127.0.0.1:1/seedtest",
            '{"updated_at": null, "touched_id": 7, "then": []}',
        )
    assert isinstance(answer, dg.SkipReason)
    assert "127.0.0.1" in str(answer.skip_message)
    assert "hunter2" not in str(answer.skip_message) + caplog.text


def test_a_database_without_tables_skips_and_says_what_to_do(empty_database: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        answer = evaluate(instance, empty_database, None)
    assert isinstance(answer, dg.SkipReason)
    assert "seedtest migrate" in str(answer.skip_message)


# ---- which partitions ----


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(0, 6), st.integers(7, 130))
def test_affected_weeks_are_those_whose_window_holds_the_day(age_days: int, weekday: int, reach_days: int) -> None:
    today = dt.date(2026, 3, 9) + weekday * DAY
    day = today - age_days * DAY
    expected = set()
    for number in range(40):
        monday = monday_of(today) - number * WEEK
        as_of = min(monday + WEEK, today)
        if as_of - reach_days * DAY <= day < as_of:
            expected.add(monday)
    assert affected_weeks([day], today, reach_days=reach_days) == expected


def test_affected_days_are_those_whose_improvement_holds_the_day() -> None:
    today = dt.date(2026, 3, 9)
    assert affected_days([today], today, reach_days=28) == {today}
    assert affected_days([today - 100 * DAY], today, reach_days=28) == {today - (100 - n) * DAY for n in range(28)}
    assert affected_days([today + DAY], today, reach_days=28) == set()


def test_contiguous_days_are_one_range() -> None:
    first = dt.date(2026, 2, 27)
    days = [first, first + DAY, first + 2 * DAY, first + 9 * DAY, first]
    assert contiguous(days, DAY) == [(first, first + 2 * DAY), (first + 9 * DAY, first + 9 * DAY)]
    assert contiguous([], DAY) == []


def test_reach_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sensors.ability_reach_days() == sensors.WHOLE_HISTORY_DAYS
    monkeypatch.setenv("METRICS_ABILITY", "static")
    assert (sensors.ability_reach_days(), sensors.kpi_reach_days(), sensors.feature_reach_days()) == (30, 96, 28)
    monkeypatch.setenv("KPI_USERS_SINCE_DAYS", "20")
    assert sensors.kpi_reach_days() == 62
    monkeypatch.setenv("KPI_LOOKBACK_DAYS", "120")
    assert sensors.kpi_reach_days() == 126
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "7")
    assert sensors.ability_reach_days() == 28
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "60")
    assert (sensors.ability_reach_days(), sensors.feature_reach_days()) == (60, 28)
    monkeypatch.setenv("AGG_INCLUDE_THETA", "true")
    assert sensors.feature_reach_days() == 66
