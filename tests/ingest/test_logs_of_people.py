"""Logs as people have them: each loads with at most one confirmation, and what is stored is right."""

import bz2
import csv as csv_module
import datetime as dt
import gzip
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from seedtest_analytics.ingest.item_numbers import number_of
from tests._database import rows_of
from tests.ingest.test_commands import run as run_fixture

run = run_fixture

FIRST = dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)
EXPECTED = [
    ("kim", 1, True, FIRST, 12.0),
    ("kim", 2, False, FIRST + dt.timedelta(minutes=1), 30.0),
    ("이", 1, True, FIRST + dt.timedelta(minutes=2), None),
]


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    rows = rows_of(
        engine,
        "SELECT e.user_id, (q ->> 'question_id')::bigint AS item, (q ->> 'is_correct')::boolean AS is_correct, "
        "(q ->> 'answered_at')::timestamptz AS answered_at, (q ->> 'time_spent_sec')::float8 AS seconds "
        "FROM exam_results AS e CROSS JOIN jsonb_array_elements(e.result_json -> 'questions') AS q ORDER BY 4",
    )
    return [tuple(row.values()) for row in rows]


def korean(delimiter: str = ",") -> str:
    lines = [
        ["학번", "문항번호", "정오", "제출일시", "풀이시간(초)"],
        ["kim", "1", "O", "2026. 3. 2. 오전 9:30:00", "12"],
        ["kim", "2", "X", "2026. 3. 2. 오전 9:31:00", "30"],
        ["이", "1", "정답", "2026년 3월 2일 9시 32분", ""],
    ]
    return "".join(delimiter.join(line) + "\r\n" for line in lines)


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    on_the_clock = FIRST.replace(tzinfo=None)
    sheet.append(["성적 자료"])
    sheet.append(["학생", "문항", "정답여부", "일시", "소요시간(초)"])
    sheet.append(["kim", 1, "O", on_the_clock, 12])
    sheet.append(["kim", 2, "X", on_the_clock + dt.timedelta(minutes=1), 30.0])
    sheet.append(["이", 1, "O", on_the_clock + dt.timedelta(minutes=2), None])
    book.save(path)


def json_lines() -> str:
    rows = [
        {"student": {"id": "kim"}, "question": 1, "is_correct": True, "timestamp": 1772443800, "seconds": 12},
        {"student": {"id": "kim"}, "question": 2, "is_correct": False, "timestamp": 1772443860, "seconds": 30.0},
        {"student": {"id": "이"}, "question": 1, "is_correct": True, "timestamp": 1772443920, "seconds": None},
    ]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def zipped(name: str, content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"export/{name}", content)
            archive.writestr("__MACOSX/._x", b"junk")

    return write


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(content), None)[1]


LOGS: dict[str, Callable[[Path], None]] = {
    "utf8.csv": written(korean().encode()),
    "bom.csv": written(b"\xef\xbb\xbf" + korean().encode()),
    "cp949.csv": written(korean().encode("cp949")),
    "utf16.txt": written(korean("\t").encode("utf-16")),
    "utf16-without-mark.txt": written(korean("\t").encode("utf-16-le")),
    "semicolons.csv.gz": written(gzip.compress(korean(";").encode())),
    "pipes.csv.bz2": written(bz2.compress(korean("|").encode())),
    "tabs.tsv.zst": written(pa.Codec("zstd").compress(korean("\t").encode(), asbytes=True)),
    "cp949-in.zip": zipped("성적.csv", korean().encode("cp949")),
    "book.xlsx": workbook,
    "log.jsonl": written(json_lines().encode()),
    "log.json": written(json.dumps([json.loads(line) for line in json_lines().splitlines()]).encode()),
    "log.jsonl.gz": written(gzip.compress(json_lines().encode())),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_loads_with_one_confirmation(run: Any, database: Engine, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    LOGS[name](path)
    refused = run("load", str(path), "--timezone", "UTC")
    assert refused.exit_code == 1
    assert stored(database) == []
    result = run("load", str(path), "--timezone", "UTC", "--yes")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "3 read, 3 attempts, 0 rejected" in result.output
    assert stored(database) == EXPECTED
    assert "0 new, 0 changed" in run("load", str(path), "--timezone", "UTC", "--yes").output


def test_text_items_get_the_same_numbers_in_every_log(run: Any, database: Engine, tmp_path: Path) -> None:
    header = "user_id,item_id,correct,completed_at\n"
    rows = [f"kim,Q-{n},1,2026-03-02T10:{n:02}:00Z\n" for n in range(5)] + ["kim,17,1,2026-03-02T11:00:00Z\n"]
    for name, lines in (("a.csv", rows), ("b.csv", rows[::-1])):
        (tmp_path / name).write_text(header + "".join(lines))
    result = run("load", str(tmp_path / "a.csv"))
    assert result.exit_code == 0, result.output
    assert "each gets a number" in result.output
    first = stored(database)
    assert sorted(row[1] for row in first) == sorted([17, *(number_of(f"Q-{n}") for n in range(5))])
    assert "0 new, 0 changed" in run("load", str(tmp_path / "b.csv")).output
    names = rows_of(database, "SELECT source_id, item_id FROM item_number ORDER BY source_id")
    assert [row["source_id"] for row in names] == [f"Q-{n}" for n in range(5)]
    content = rows_of(database, "SELECT content FROM question WHERE id = :id", id=number_of("Q-3"))
    assert content[0]["content"].startswith("Question Q-3 ")


def test_rejects_show_their_value_and_can_be_repaired_and_loaded(run: Any, database: Engine, tmp_path: Path) -> None:
    log, rejects = tmp_path / "log.csv", tmp_path / "rejects.csv"
    log.write_text(
        "user_id,item_id,correct,completed_at\nkim,1,1,2026-03-02T10:00:00Z\nkim,2,perhaps,2026-03-02T10:01:00Z\n"
    )
    result = run("load", str(log), "--rejects", str(rejects))
    assert "perhaps" in result.output
    assert rejects.stat().st_mode & 0o077 == 0
    (row,) = csv_module.DictReader(rejects.read_text(encoding="utf-8-sig").splitlines())
    assert (row["correct"], row["reasons"], row["from_row"]) == ("perhaps", "correct_not_boolean", "2")
    rejects.write_text(rejects.read_text(encoding="utf-8-sig").replace("perhaps", "0"))
    assert run("load", str(rejects)).exit_code == 0
    assert [(row[1], row[2]) for row in stored(database)] == [(1, True), (2, False)]


@pytest.mark.parametrize(
    ("times", "options", "message"),
    [
        (["03/04/2026 10:00", "05/06/2026 10:00"], [], "--dates dmy"),
        (["03/04/2026 10:00", "05/06/2026 10:00"], ["--dates", "dmy"], None),
        (["03/04/2026 10:00", "25/04/2026 10:00"], [], None),
    ],
)
def test_dates_with_two_meanings_are_asked_for(
    run: Any, database: Engine, tmp_path: Path, times: list[str], options: list[str], message: str | None
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,correct,completed_at\n" + "".join(f"kim,{n},1,{t}\n" for n, t in enumerate(times)))
    result = run("load", str(path), "--timezone", "UTC", *options)
    if message:
        assert message in str(result.exception)
    else:
        assert stored(database)[0][3] == dt.datetime(2026, 4, 3, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "values", "seconds"),
    [("elapsed_time", [12, 40], 12.0), ("elapsed_time", [12000, 40000], 12.0), ("time_spent_sec", [400, 700], 400.0)],
)
def test_seconds_and_milliseconds_are_told_apart(
    run: Any, database: Engine, tmp_path: Path, name: str, values: list[int], seconds: float
) -> None:
    path = tmp_path / "log.csv"
    lines = [f"kim,{n},1,2026-03-02T10:0{n}:00Z,{value}\n" for n, value in enumerate(values)]
    path.write_text(f"user_id,item_id,correct,completed_at,{name}\n" + "".join(lines))
    assert run("load", str(path), "--yes").exit_code == 0
    assert stored(database)[0][4] == seconds


def test_a_doubtful_unit_is_asked_for(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,correct,completed_at,elapsed_time\nkim,1,1,2026-03-02T10:00:00Z,500\n")
    assert "--time-unit s" in str(run("load", str(path), "--yes").exception)


def test_a_dry_run_shows_the_report_and_writes_nothing(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(korean().encode("cp949"))
    result = run("load", str(tmp_path / "log.csv"), "--timezone", "UTC", "--yes", "--dry-run")
    assert re.search(r"user_id\s*│", result.output) or "= 학번" in result.output
    assert "3 read, 3 attempts" in result.output
    assert stored(database) == []


@pytest.mark.parametrize("scores", [("0", "1", "2"), ("0", "50", "100"), ("0", "0.5", "1"), ("0,00", "2,50", "5,00")])
def test_points_are_not_guessed_to_be_right_and_wrong(run: Any, tmp_path: Path, scores: tuple[str, ...]) -> None:
    path = tmp_path / "log.csv"
    rows = [f"u{n};1;{score};2026-03-02T10:00:00Z\n" for n, score in enumerate(scores * 5)]
    path.write_text("student;item;score;time\n" + "".join(rows))
    assert "'score' has points" in str(run("load", str(path), "--yes").exception)
    assert "correct_not_boolean" in run("load", str(path), "--yes", "--map", "correct=score").output


def test_one_odd_value_does_not_make_points(run: Any, database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"u{n};1;{'2' if n == 50 else n % 2};2026-03-02T10:00:00Z\n" for n in range(200)]
    path.write_text("student;item;score;time\n" + "".join(rows))
    assert "200 read, 199 attempts, 1 rejected" in run("load", str(path), "--yes").output


def test_a_second_file_with_other_names_loses_no_column(run: Any, database: Engine, tmp_path: Path) -> None:
    header = "user_id,item_id,correct,completed_at"
    for name, topic in (("a.csv", "topic_id"), ("b.csv", "skill"), ("c.csv", "topic_id"), ("d.csv", "note")):
        (tmp_path / name).write_text(f"{header},{topic}\n{name},1,1,2026-03-02T10:00:00Z,algebra\n")
    error = run("load", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--yes").exception
    assert "b.csv: 'skill' seems to be topic_id" in str(error)
    others = [str(tmp_path / name) for name in ("a.csv", "c.csv", "d.csv")]
    assert run("load", *others, "--yes").exit_code == 0
    assert len(stored(database)) == 3
