"""Known formats with rows that cannot be taken apart or used: each is one reject, and every other row loads."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.ingest.conftest import reject_rows
from tests.ingest.test_commands import run as run_fixture
from tests.ingest.test_formats import EDNET_QUESTIONS, EDX, stored, table

run = run_fixture

YEAR_2009 = "order_id|user_id|problem_id|correct|ms_first_response|skill_id|hint_count|answer_text"
YEAR_2017 = "studentId|skill|problemId|startTime|endTime|timeTaken|correct|hintCount"
OULAD = "id_assessment|id_student|date_submitted|is_banked|score"
ASSESSMENTS = table(
    "code_module|code_presentation|id_assessment|assessment_type|date|weight",
    "AAA|2013J|1|TMA|19|10",
    "AAA|2013X|2|TMA|19|10",
)
EDX_LINE = json.dumps(EDX) + "\n"

ODD: dict[str, tuple[dict[str, str], int, str]] = {
    **{
        f"order {order}": (
            {"2009.csv": table(YEAR_2009, "1|7|1|1|100|1|0|x", f"{order}|7|2|1|100|1|0|x", "3|7|3|1|100|1|0|x")},
            2,
            "row_unusable",
        )
        for order in ("abc", "", "inf", "99999999999999")
    },
    "score": ({"s.csv": table(OULAD, "1|11|18|0|78", "1|12|18|0|abc"), "a.csv": ASSESSMENTS}, 1, "row_unusable"),
    "day": ({"s.csv": table(OULAD, "1|11|18|0|78", "1|12||0|78"), "a.csv": ASSESSMENTS}, 1, "row_unusable"),
    "far day": ({"s.csv": table(OULAD, "1|11|18|0|78", "1|12|9999999|0|78"), "a.csv": ASSESSMENTS}, 1, "row_unusable"),
    "presentation": ({"s.csv": table(OULAD, "1|11|18|0|78", "2|12|18|0|78"), "a.csv": ASSESSMENTS}, 1, "row_unusable"),
    "context": ({"t.log": EDX_LINE + json.dumps({**EDX, "context": "none"}) + "\n"}, 2, "row_unusable"),
    "event": ({"t.log": EDX_LINE + json.dumps({**EDX, "event": '{"success":'}) + "\n"}, 2, "row_unusable"),
    "line": ({"t.log": EDX_LINE + '{"event_type": "problem_check",\n'}, 2, "row_not_json"),
    "fields": ({"2009.csv": table(YEAR_2009, "1|7|1|1|100|1|0|x", "2|7|2|1|100|1|0|x|more")}, 1, "row_malformed"),
}


def write(tmp_path: Path, files: dict[str, str | bytes]) -> list[str]:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [str(tmp_path / name) for name in files]


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_row_is_one_reject(run: Any, database: Engine, tmp_path: Path, odd: str) -> None:
    files, n_stored, reason = ODD[odd]
    result = run("load", *write(tmp_path, files))  # type: ignore[arg-type]
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert len(stored(database)) == n_stored
    assert [row[2] for row in reject_rows(database)] == [reason]
    assert reason in result.output


@pytest.mark.parametrize("order", [0, 1])
def test_a_log_without_a_usable_row_says_why(run: Any, database: Engine, tmp_path: Path, order: int) -> None:
    files = [ODD["score"][0], {"t.log": json.dumps({**EDX, "context": "none"}) + "\n"}][order]
    files = {name: content.replace("1|11|18|0|78\n".replace("|", ","), "") for name, content in files.items()}
    result = run("load", *write(tmp_path, files))  # type: ignore[arg-type]
    assert result.exit_code == 1
    assert "row_unusable" in result.output, repr(result.exception)


def test_a_reject_names_the_value_and_keeps_the_row(run: Any, database: Engine, tmp_path: Path) -> None:
    files, _, _ = ODD["score"]
    assert "score is 'abc', which is not a number" in run("load", *write(tmp_path, files)).output  # type: ignore[arg-type]
    words, _, row = reject_rows(database)[0][3]["text"].partition("\n")
    assert words == "score is 'abc', which is not a number"
    assert json.loads(row)["id_student"] == "12"


@pytest.mark.parametrize(
    ("header", "row"), [(YEAR_2017, "8|s|1|1096470301|1096470350|inf|1|0"), ("id|item|resp|rt", "8|1|1|1e400")]
)
def test_an_infinite_time_is_a_gap(run: Any, database: Engine, tmp_path: Path, header: str, row: str) -> None:
    result = run("load", *write(tmp_path, {"log.csv": table(header, row)}))
    assert result.exit_code == 0, repr(result.exception)
    assert [(kept[2], kept[4]) for kept in stored(database)] == [(True, None)]
    assert [row[2] for row in reject_rows(database)] == ["response_time_ms_not_number"]


def test_an_unbalanced_quote_costs_one_row_of_a_known_format(run: Any, database: Engine, tmp_path: Path) -> None:
    rows = [f"{n}|7|{n}|1|100|1|0|answer" for n in range(1, 301)]
    rows[5], rows[200] = rows[5].replace("answer", '"five'), rows[200].replace("answer", 'nine"')
    result = run("load", *write(tmp_path, {"2009.csv": table(YEAR_2009, *rows)}))
    assert "300 read, 299 attempts, 1 rejected" in result.output
    assert [row[1:3] for row in reject_rows(database)] == [(6, "row_quote_unbalanced")]


def test_a_value_of_a_known_format_may_be_long_and_have_line_breaks(run: Any, database: Engine, tmp_path: Path) -> None:
    rows = ["1|7|1|1|100|1|0|" + "x" * 200_000, '2|7|2|1|100|1|0|"first\n\nlast, line"', "3|7|3|1|100|1|0|x"]
    content = (
        "sep=,\n\n" + table(YEAR_2009, rows[0]) + "\n" + rows[1].replace("|", ",") + "\n" + rows[2].replace("|", ",")
    )
    result = run("load", *write(tmp_path, {"2009.csv": content}))
    assert "3 read, 3 attempts, 0 rejected" in result.output, repr(result.exception)


def test_ids_in_a_damaged_encoding_do_not_become_one(run: Any, database: Engine, tmp_path: Path) -> None:
    rows = [f"p{n}|1|1|1772443800" for n in range(3)]
    content = table("id|item|resp|date", *rows).encode().replace(b"p1", b"\xff1").replace(b"p2", b"\xfe1")
    result = run("load", *write(tmp_path, {"irw.csv": content}), "--encoding", "utf-8")
    assert "3 read, 1 attempts, 2 rejected" in result.output
    assert {row[2] for row in reject_rows(database)} == {"user_id_absurd"}


def test_a_malformed_row_of_a_companion_is_told(run: Any, database: Engine, tmp_path: Path) -> None:
    log = table("timestamp|solving_id|question_id|user_answer|elapsed_time", "1772443800000|1|q1|b|12000")
    files: dict[str, str | bytes] = {"u7.csv": log, "questions.csv": EDNET_QUESTIONS + "q3,b1\n"}
    assert "questions.csv: 1 rows are malformed" in run("load", *write(tmp_path, files)).output
    assert len(stored(database)) == 1


MOODLE = "Last name|ID number|Status|Completed|Grade/3.00|Q. 1 /1.00|Q. 2 /0.00"


def test_a_question_without_points_is_left_out(run: Any, database: Engine, tmp_path: Path) -> None:
    row = "Kim|s1|Finished|2 March 2026  9:30 AM|1.00|1.00|0.00"
    assert run("load", *write(tmp_path, {"Quiz.csv": table(MOODLE, row, row.replace("|0.00", "|-"))})).exit_code == 0
    assert [row[1] for row in stored(database)] == ["Quiz Q1"]


def test_two_columns_of_one_name_are_refused(run: Any, tmp_path: Path) -> None:
    header, row = MOODLE.replace("Q. 2 /0.00", "Q. 1 /1.00"), "Kim|s1|Finished|2 March 2026  9:30 AM|1.00|1.00|0.00"
    error = run("load", *write(tmp_path, {"Quiz.csv": table(header, row)})).exception
    assert "the column 'Q. 1 /1.00' occurs twice" in str(error)
