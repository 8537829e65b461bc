"""Local times, offsets, and shifts by whole weeks at the ends of weeks and of daylight saving time."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from seedtest_analytics.ingest import LoadOptions, load_attempt_log
from seedtest_analytics.ingest.convert import Reading, convert_time
from seedtest_analytics.ingest.other_times import has_two_meanings, order_of
from seedtest_analytics.ingest.times import local_to_instant, parse_iso, whole_weeks_to
from seedtest_analytics.ingest.value_rules import DateOrder, ValueRules
from tests.ingest.conftest import write_log
from tests.ingest.test_load import attempt

SEOUL, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("America/New_York")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


def micros(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


@given(
    st.datetimes(dt.datetime(1900, 1, 2), dt.datetime(2199, 12, 30)),  # noqa: DTZ001
    st.sampled_from(["", "Z", "+00:00", "+09:00", "-0330", "+14"]),
    st.sampled_from(["T", " "]),
)
@settings(max_examples=200, deadline=None)
def test_iso_texts_are_read_as_python_reads_them(moment: dt.datetime, zone: str, separator: str) -> None:
    written = moment.isoformat(separator) + zone
    values, is_local, is_time = parse_iso(pa.array([written]))
    expected = dt.datetime.fromisoformat(written)
    assert bool(is_time[0])
    assert bool(is_local[0]) == (zone == "")
    assert values[0] == micros(expected if expected.tzinfo else expected.replace(tzinfo=dt.UTC))


@pytest.mark.parametrize("written", ["2025-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-1-1", "x", ""])
def test_no_times(written: str) -> None:
    assert not parse_iso(pa.array([written]))[2][0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("Mon Mar 02 2026 10:00:00 GMT+0900 (KST)", "01:00"),
        ("Mon Mar 02 2026 10:00:00 GMT+0900 (대한민국 표준시)", "01:00"),
        ("Mon Mar 02 10:00:00 KST 2026", "01:00"),
        ("Mon, 02 Mar 2026 10:00:00 GMT", "10:00"),
        ("Mon, 2 Mar 2026 10:00:00 +0900", "01:00"),
        ("2 Mar 2026 10:00Z", "10:00"),
        ("2026-03-02 10:00:00 UTC+9", "01:00"),
        ("2026-03-02 10:00:00 GMT-03:30", "13:30"),
        ("2026-03-02 10:00:00 KST", "01:00"),
        ("2026-03-02 10:00:00KST", "01:00"),
        ("2026. 3. 2. 오전 10:00 KST", "01:00"),
        ("2026-03-02 10:00:00 EST", "15:00"),
        ("2026-03-02 10:00:00 AM PST", "18:00"),
        ("2 Mar 2026 10:00 pdt", "17:00"),
        ("2026-03-02T10:00:00+09:00[Asia/Seoul]", "01:00"),
        ("2026/3/1 24:00", "00:00"),
        ("2026-03-01T24:00:00Z", "00:00"),
    ],
)
@pytest.mark.parametrize("order", [None, "dmy"])
def test_a_zone_is_what_its_name_says(written: str, instant: str, order: DateOrder | None) -> None:
    read = convert_time(pa.array([written]), Reading(ZoneInfo("UTC"), ValueRules(date_order=order)))
    assert read.values.to_pylist() == [dt.datetime.fromisoformat(f"2026-03-02T{instant}:00+00:00")]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02 10:00:00 CST",
        "Mon Mar 02 2026 10:00:00 IST",
        "2 Mar 2026 10:00 FOO",
        "2026-03-02T10:00:00[Asia/Seoul]",
        "2026-03-02 10:00:00 GMT+99",
        "Mon 03/04/2026 10:00",
        "03/04/2026 10:00 KST",
        "2026-03-02 24:00:01",
        "2026-03-02T24:00:00.5Z",
    ],
)
def test_a_time_of_several_meanings_is_rejected(written: str) -> None:
    read = convert_time(pa.array([written]), Reading(ZoneInfo("UTC")))
    assert read.values.to_pylist() == [None]
    assert read.problems["not_time"].all()


def test_a_zone_does_not_hide_that_day_and_month_could_change_places() -> None:
    assert has_two_meanings("03/04/2026 10:00 KST")
    assert order_of(["13/04/2026 10:00 GMT+9"]) == "dmy"


@given(
    st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2030, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["Asia/Seoul", "America/New_York"]),
)
@settings(max_examples=200, deadline=None)
def test_local_times_are_read_as_zoneinfo_reads_them(local: dt.datetime, zone: str) -> None:
    local = local.replace(fold=0)  # of a time that the end of summer repeats, a log can only mean the first
    given_micros = np.array([micros(local.replace(tzinfo=dt.UTC))])
    assert local_to_instant(given_micros, ZoneInfo(zone))[0] == micros(local.replace(tzinfo=ZoneInfo(zone)))


@given(
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)),
    st.sampled_from([SEOUL, NEW_YORK, ZoneInfo("UTC")]),
)
@settings(max_examples=200, deadline=None)
def test_the_last_attempt_lands_in_the_last_full_week(last: dt.datetime, to: dt.date, zone: ZoneInfo) -> None:
    weeks = whole_weeks_to(last, to, zone=zone)
    moved = last.astimezone(zone).date() + dt.timedelta(weeks=weeks)
    sunday = moved + dt.timedelta(days=6 - moved.weekday())
    assert sunday <= to < sunday + dt.timedelta(weeks=1)


@pytest.mark.parametrize(
    ("zone", "instant", "shift_to", "local_after"),
    [
        # Sunday 23:30 and Monday 00:30 in Seoul are on one UTC day; the local week counts
        ("Asia/Seoul", "2026-03-01T14:30:00+00:00", "2026-11-21", "2026-11-15T23:30:00"),
        ("Asia/Seoul", "2026-03-01T15:30:00+00:00", "2026-11-21", "2026-11-09T00:30:00"),
        ("Asia/Seoul", "2026-03-01T14:30:00+00:00", "2026-11-22", "2026-11-22T23:30:00"),
        # summer to winter: wall-clock times stay, so Sunday evening stays Sunday
        ("America/New_York", "2026-07-06T03:30:00+00:00", "2026-11-21", "2026-11-15T23:30:00"),
        ("America/New_York", "2026-01-12T05:00:00+00:00", "2026-07-19", "2026-07-13T00:00:00"),
        # 02:30 does not exist on 2026-03-08, so it becomes an hour later
        ("America/New_York", "2026-03-15T06:30:00+00:00", "2026-03-14", "2026-03-08T03:30:00"),
        # no shift: not even the hour that occurs twice changes
        ("America/New_York", "2026-11-01T06:30:00+00:00", "2026-11-01", "2026-11-01T01:30:00"),
        # a shift back
        ("Asia/Seoul", "2026-11-18T00:00:00+00:00", "2020-01-05", "2020-01-01T09:00:00"),
    ],
)
def test_shift_to(database: Engine, tmp_path: Path, zone: str, instant: str, shift_to: str, local_after: str) -> None:
    first = dt.datetime.fromisoformat(instant) - dt.timedelta(weeks=3)
    rows = [attempt(completed_at=dt.datetime.fromisoformat(instant)), attempt(session_id="s0", completed_at=first)]
    options = LoadOptions(timezone=zone, shift_to=dt.date.fromisoformat(shift_to), now=NOW)
    load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)], options=options)
    with database.connect() as connection:
        found = connection.execute(
            text("SELECT (created_at AT TIME ZONE :zone)::text FROM exam_results WHERE session_id = 's1'"),
            {"zone": zone},
        ).scalar_one()
        element = connection.execute(
            text(
                "SELECT created_at = (result_json #>> '{questions,0,answered_at}')::timestamptz "
                "FROM exam_results WHERE session_id = 's0'"
            )
        ).scalar_one()
    assert found.replace(" ", "T") == local_after
    assert element


def test_a_shift_is_repeatable_and_moves_on(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(minute, item_id=minute, session_id=None) for minute in (0, 5, 90)]
    log = write_log(tmp_path / "log.parquet", rows, session_id=pa.string())
    first = load_attempt_log(database, [log], options=LoadOptions(shift_to=dt.date(2026, 11, 21), now=NOW))
    again = load_attempt_log(database, [log], options=LoadOptions(shift_to=dt.date(2026, 11, 21), now=NOW))
    later = load_attempt_log(database, [log], options=LoadOptions(shift_to=dt.date(2026, 11, 29), now=NOW))
    assert (first.exams.inserted, again.exams.unchanged, later.exams.updated) == (2, 2, 2)
    assert later.shifted_weeks - first.shifted_weeks == 2
    with database.connect() as connection:
        elements = connection.execute(
            text("SELECT sum(jsonb_array_length(result_json -> 'questions')) FROM exam_results")
        ).scalar_one()
    assert elements == 3


def test_one_absurd_date_does_not_decide_the_shift(database: Engine, tmp_path: Path) -> None:
    future = dt.datetime(2190, 1, 1, tzinfo=dt.UTC)
    rows = [attempt(0), attempt(session_id="s2", completed_at=future)]
    options = LoadOptions(shift_to=dt.date(2026, 11, 22), now=NOW)
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)], options=options)
    assert summary.shifted_weeks == 37
