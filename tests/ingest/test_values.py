"""The meaning of a value is its own: not that of the values beside it, and that of its type where the type has one."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from seedtest_analytics.ingest import load_attempt_log
from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.convert import Reading, convert_response_time, convert_time
from seedtest_analytics.ingest.recognise import Given, recognise
from seedtest_analytics.ingest.text_rule import as_text
from seedtest_analytics.ingest.value_rules import TimeUnit, ValueRules
from tests._database import rows_of
from tests.ingest.conftest import exam_rows, reject_rows, write_log
from tests.ingest.test_commands import run as run_fixture
from tests.ingest.test_load import attempt

run = run_fixture

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (
            [20261234567.0, 1.5, float("nan"), None, -0.0, 1e-7, -3.25, 123456789012.5, float("inf"), 2e16],
            pa.float64(),
            ["20261234567", "1.5", None, None, "0", "0.0000001", "-3.25", "123456789012.5", "inf", "2e+16"],
        ),
        ([0.1, 12.0, None, 3e9], pa.float32(), ["0.1", "12", None, "3000000000"]),
        (list(np.array([1.5, 2, np.nan], np.float16)), pa.float16(), ["1.5", "2", None]),
        ([Decimal("2.50"), Decimal("1.00"), None, Decimal("-10.00")], pa.decimal128(10, 2), ["2.5", "1", None, "-10"]),
        ([Decimal("0E-12"), Decimal("100.000000000001")], pa.decimal128(30, 12), ["0", "100.000000000001"]),
        ([Decimal("12345678901234567890")], pa.decimal128(38, 0), ["12345678901234567890"]),
    ],
)
def test_the_text_of_a_number_does_not_depend_on_its_neighbours(
    values: list[Any], kind: pa.DataType, texts: list[str | None]
) -> None:
    array = pa.array(values, kind)
    assert as_text(array)[0].to_pylist() == texts
    assert [as_text(array.slice(row, 1))[0].to_pylist()[0] for row in range(len(array))] == texts


def test_students_with_numbers_stay_themselves_beside_other_values(database: Engine, tmp_path: Path) -> None:
    users = [20261234567.0, 1.5, float("nan"), 20261234567.0]
    rows = [attempt(n, user_id=user, item_id=n + 1, session_id=None) for n, user in enumerate(users)]
    load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows, session_id=pa.string())])
    assert {row[1] for row in exam_rows(database)} == {"20261234567", "1.5"}
    assert [row[2] for row in reject_rows(database)] == ["user_id_missing"]


def test_items_are_numbers_however_many_digits_the_column_has(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(n, item_id=Decimal(item)) for n, item in enumerate(("1.00", "2.50", "3.00"))]
    load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    assert [row["id"] for row in rows_of(database, "SELECT id FROM question ORDER BY 1")] == [1, 3]
    assert [row[2] for row in reject_rows(database)] == ["item_id_not_integer"]


def test_counts_since_1970_may_have_fractions() -> None:
    array = pa.array([1772413200123.0, 1772413200123.5, float("nan"), 1772413200.25, 1772413200123456.0])
    read = convert_time(array, Reading(UTC))
    second = dt.datetime(2026, 3, 2, 1, tzinfo=dt.UTC)
    micros = [None if at is None else (at - second) // dt.timedelta(microseconds=1) for at in read.values.to_pylist()]
    assert micros == [123_000, 123_500, None, 250_000, 123_456]
    assert read.problems["missing"].tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), None),
        (1e-7, "0.0000001"),
        (1.5, "1.5"),
        (12.0, "12"),
        (1e16, "10000000000000000"),
        (True, "true"),
    ],
)
def test_numbers_of_cells_and_of_json(value: Any, text: str | None) -> None:
    assert cell_text(value) == text


def test_a_student_that_is_not_a_number_is_missing(run: Any, database: Engine, tmp_path: Path) -> None:
    rows = [
        {"user_id": user, "item_id": 1, "correct": 1, "completed_at": "2026-03-02T10:00:00Z"} for user in (7, np.nan)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("load", str(tmp_path / "log.jsonl"), "--yes").exit_code == 0
    assert [row[1] for row in exam_rows(database)] == ["7"]
    assert [row[2] for row in reject_rows(database)] == ["user_id_missing"]


# ---- response times ----


@pytest.mark.parametrize("arrow_unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("time_unit", ["s", "ms"])
def test_a_duration_has_its_own_unit(arrow_unit: str, time_unit: TimeUnit) -> None:
    array = pa.array([dt.timedelta(seconds=12), None, dt.timedelta(seconds=-1)], pa.duration(arrow_unit))
    read = convert_response_time(array, Reading(UTC, ValueRules(time_unit=time_unit)))
    assert read.values.to_pylist() == [12.0, None, None]
    assert read.gaps["negative"].tolist() == [False, False, True]


def test_nobody_is_asked_for_the_unit_of_a_duration(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.parquet", [attempt(response_time_ms=dt.timedelta(microseconds=500))])
    plan = recognise([path], Given(mapping={"response_time_ms": "response_time_ms"}), names={path: "log"}, zone=UTC)
    assert plan.sample[0]["response_time_ms"] == "0.0005 s"
    assert not any("response times" in guess for guess in plan.guesses)


@pytest.mark.parametrize(
    ("written", "seconds"), [("12,5", 12.5), ("0,125", 0.125), ("3,14159", 3.14159), ("-0,5", None), ("1,234", None)]
)
def test_a_decimal_comma_is_read_where_it_has_one_meaning(written: str, seconds: float | None) -> None:
    read = convert_response_time(pa.array([written]), Reading(UTC, ValueRules(time_unit="s")))
    assert read.values.to_pylist() == [seconds]


def test_the_unit_of_times_with_a_decimal_comma_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id;item_id;correct;completed_at;duration\nkim;1;1;2026-03-02T10:00:00Z;12,5\n")
    plan = recognise([path], Given(), names={path: "log.csv"}, zone=UTC)
    assert plan.sample[0]["response_time_ms"] == "12.5 s"
