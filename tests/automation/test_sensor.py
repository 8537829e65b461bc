"""The sensor on exam results with a real database: what it asks for, and what it does not."""

import datetime as dt
import json
import logging
from typing import Any

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from seedtest_analytics.partitions import monday_of
from seedtest_analytics.resources.attempt_sync import sync_attempts
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules import sensors
from seedtest_analytics.schedules.sensors import (
    affected_days,
    affected_weeks,
    contiguous,
    exam_results_sensor,
)
from tests._database import execute
from tests._exams import Exam, question, store

UTC = dt.UTC
DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
NOW = dt.datetime.now(UTC)
TODAY = NOW.date()
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SYNC, FEATURES, KPIS = "sync_attempts", "aggregate_features_daily", "compute_daily_kpis"


def evaluate(url: str, cursor: str | None) -> Any:
    """One evaluation with a resource of its own, as the daemon makes it."""
    resources = {"postgres": PostgresResource(url_override=url)}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context,
    ):
        return exam_results_sensor(context)


class Sensor:
    """The sensor from tick to tick, with its cursor and with run keys launched once, as the daemon does it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.cursor: str | None = None
        self.keys: set[str] = set()

    def tick(self) -> list[tuple[str, str | None, str | None]]:
        """Job, first and last partition of each run launched."""
        result = evaluate(self.engine.url.render_as_string(hide_password=False), self.cursor)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        requests = [r for r in result.run_requests or [] if r.run_key not in self.keys]
        self.keys |= {str(r.run_key) for r in requests}
        return [(str(r.job_name), r.tags.get(START), r.tags.get(END)) for r in requests]

    def sync(self) -> None:
        sync_attempts(self.engine, dt.datetime.now(UTC), "UTC")


@pytest.fixture
def sensor(database: Engine) -> Sensor:
    return Sensor(database)


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
    assert sensor.tick() == [
        (FEATURES, str(yesterday), str(TODAY)),
        (KPIS, str(first), str(last)),
    ]
    assert sensor.tick() == []


def test_an_exam_of_today_enters_todays_features_and_no_kpi_before_tomorrow(sensor: Sensor) -> None:
    """The running week's KPIs are as of the start of today."""
    sensor.tick()
    store(sensor.engine, exam_at(dt.datetime.combine(TODAY, dt.time(0, 0, 1), UTC)))
    sensor.tick()
    sensor.sync()
    assert sensor.tick() == [(FEATURES, str(TODAY), str(TODAY))]


def test_a_late_correction_asks_for_its_old_weeks_and_no_more(sensor: Sensor) -> None:
    old = dt.datetime.combine(monday_of(TODAY) - 60 * WEEK + 2 * DAY, dt.time(12), UTC)
    exam = exam_at(old)
    store(sensor.engine, exam)
    sensor.sync()
    assert sensor.tick() == []
    store(sensor.engine, Exam((question(1, is_correct=False),), created_at=old, updated_at=NOW, id=exam.id))
    assert sensor.tick() == [(SYNC, None, None)]
    sensor.sync()
    week = monday_of(old.date())
    # 90 days: a week counts whoever answered in the 90 days before its end.
    assert sensor.tick() == [
        (FEATURES, str(old.date()), str(old.date() + 27 * DAY)),
        (KPIS, str(week), str(week + 12 * WEEK)),
    ]


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
    assert sensor.tick() == [(SYNC, None, None)]


@pytest.mark.parametrize("hostile", ["9999-01-01 00:00+00", "infinity"])
def test_a_time_in_the_future_does_not_blind_the_sensor(sensor: Sensor, hostile: str) -> None:
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=hostile))
    assert sensor.tick() == [(SYNC, None, None)]
    assert sensor.tick() == []
    sensor.sync()
    sensor.tick()
    store(sensor.engine, exam_at(NOW - DAY, updated_at=dt.datetime.now(UTC)))
    assert sensor.tick() == [(SYNC, None, None)]


def test_the_cursor_is_readable(sensor: Sensor) -> None:
    store(sensor.engine, exam_at(NOW - DAY))
    sensor.tick()
    assert set(json.loads(sensor.cursor or "")) == {"updated_at", "touched_id"}


def test_a_database_that_is_down_skips_with_the_reason_and_keeps_the_cursor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = evaluate(
            "postgresql://seedtest:hunter2@127.0.0.1:1/seedtest", '{"updated_at": null, "touched_id": 7}'
        )
    assert isinstance(answer, dg.SkipReason)
    assert "127.0.0.1" in str(answer.skip_message)
    assert "hunter2" not in str(answer.skip_message) + caplog.text


# ---- which partitions ----


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(0, 6), st.integers(7, 130))
def test_affected_weeks_are_those_whose_window_holds_the_day(
    age_days: int, weekday: int, reach_days: int
) -> None:
    today = dt.date(2026, 3, 9) + weekday * DAY
    day = today - age_days * DAY
    expected = set()
    for number in range(40):
        monday = monday_of(today) - number * WEEK
        as_of = min(monday + WEEK, today)
        if as_of - reach_days * DAY <= day < as_of:
            expected.add(monday)
    assert affected_weeks([day], today, reach_days) == expected


def test_affected_days_are_those_whose_improvement_holds_the_day() -> None:
    today = dt.date(2026, 3, 9)
    assert affected_days([today], today) == {today}
    assert affected_days([today - 100 * DAY], today) == {today - (100 - n) * DAY for n in range(28)}
    assert affected_days([today + DAY], today) == set()


def test_contiguous_days_are_one_range() -> None:
    first = dt.date(2026, 2, 27)
    days = [first, first + DAY, first + 2 * DAY, first + 9 * DAY, first]
    assert contiguous(days, DAY) == [(first, first + 2 * DAY), (first + 9 * DAY, first + 9 * DAY)]
    assert contiguous([], DAY) == []


def test_reach_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sensors.kpi_reach_days() == 90
    monkeypatch.setenv("KPI_USERS_SINCE_DAYS", "20")
    assert sensors.kpi_reach_days() == 56
    monkeypatch.setenv("KPI_LOOKBACK_DAYS", "120")
    assert sensors.kpi_reach_days() == 120
