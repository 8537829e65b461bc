"""Files of every kind: CSV dialects, mapped names, rejected rows with reasons, and errors with a remedy."""

import datetime as dt
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.ingest import LoadError, LoadOptions, load_attempt_log, parse_mapping
from seedtest_analytics.ingest.rejects import REMEDIES
from seedtest_analytics.ingest.sources import open_logs
from tests.ingest.conftest import exam_rows, reject_rows, write_log
from tests.ingest.test_load import START, attempt

HEADER = "user_id,session_id,item_id,topic_id,correct,response_time_ms,hints_used,completed_at\n"
GOOD = "ann,s1,7,algebra,true,23333,1,2026-03-02T09:00:00Z\n"

BAD_ROWS = [
    (",s1,7,t,1,1,0,2026-03-02T09:00:00Z", {"user_id_missing"}),
    ("  ,s1,7,t,1,1,0,2026-03-02T09:00:00Z", {"user_id_missing"}),
    ("x" * 201 + ",s1,7,t,1,1,0,2026-03-02T09:00:00Z", {"user_id_absurd"}),
    ("a\x00b,s1,7,t,1,1,0,2026-03-02T09:00:00Z", {"user_id_absurd"}),
    ("ann," + "s" * 201 + ",7,t,1,1,0,2026-03-02T09:00:00Z", {"session_id_absurd"}),
    ("ann,s1,q_stub_3,t,1,1,0,2026-03-02T09:00:00Z", {"item_id_not_integer"}),
    ("ann,s1,9223372036854775808,t,1,1,0,2026-03-02T09:00:00Z", {"item_id_not_integer"}),
    ("ann,s1,7.5,t,1,1,0,2026-03-02T09:00:00Z", {"item_id_not_integer"}),
    ("ann,s1,,t,1,1,0,2026-03-02T09:00:00Z", {"item_id_missing"}),
    ("ann,s1,7,\x07,1,1,0,2026-03-02T09:00:00Z", {"topic_id_absurd"}),
    ("ann,s1,7,t,maybe,1,0,2026-03-02T09:00:00Z", {"correct_not_boolean"}),
    ("ann,s1,7,t,2,1,0,2026-03-02T09:00:00Z", {"correct_not_boolean"}),
    ("ann,s1,7,t,1,-1,0,2026-03-02T09:00:00Z", {"response_time_ms_negative"}),
    ("ann,s1,7,t,1,fast,0,2026-03-02T09:00:00Z", {"response_time_ms_not_number"}),
    ("ann,s1,7,t,1,inf,0,2026-03-02T09:00:00Z", {"response_time_ms_not_number"}),
    ("ann,s1,7,t,1,1,1.5,2026-03-02T09:00:00Z", {"hints_used_not_whole_number"}),
    ("ann,s1,7,t,1,1,-2,2026-03-02T09:00:00Z", {"hints_used_negative"}),
    ("ann,s1,7,t,1,1,9999999999,2026-03-02T09:00:00Z", {"hints_used_not_whole_number"}),
    ("ann,s1,7,t,1,1,0,", {"completed_at_missing"}),
    ("ann,s1,7,t,1,1,0,yesterday", {"completed_at_not_time"}),
    ("ann,s1,7,t,1,1,0,2026-02-30T09:00:00Z", {"completed_at_not_time"}),
    ("ann,s1,7,t,1,1,0,2026-03-02T24:30:00Z", {"completed_at_not_time"}),
    ("ann,s1,7,t,1,1,0,2026-03-02T09:00:00+25:00", {"completed_at_not_time"}),
    ("ann,s1,7,t,1,1,0,0226-03-02T09:00:00Z", {"completed_at_implausible"}),
    ("ann,s1,x,t,2,1,0,2026-03-02T09:00:00Z", {"item_id_not_integer", "correct_not_boolean"}),
    ("ann,s1,7,t,1,1,0", {"row_malformed"}),
    ("ann,s1,7,t,1,1,0,2026-03-02T09:00:00Z,more", {"row_malformed"}),
]

KEPT = {
    "response_time_ms_negative",
    "response_time_ms_not_number",
    "hints_used_not_whole_number",
    "hints_used_negative",
}
"""Reasons that keep the answer, with the field as not recorded."""


def csv(tmp_path: Path, body: str | bytes, name: str = "log.csv", header: str = HEADER) -> Path:
    path = tmp_path / name
    path.write_bytes(header.encode() + (body.encode() if isinstance(body, str) else body))
    return path


def test_bad_rows_are_kept_with_reasons_and_the_good_ones_load(database: Engine, tmp_path: Path) -> None:
    lines = [row + "\n" + GOOD.replace("ann", f"u{n}") for n, (row, _) in enumerate(BAD_ROWS)]
    path = csv(tmp_path, GOOD + "".join(lines))
    summary = load_attempt_log(database, [path])
    found: dict[int, set[str]] = {}
    for _, number, reason, _ in reject_rows(database):
        found.setdefault(number, set()).add(reason)
    assert found == {2 * n + 2: reasons for n, (_, reasons) in enumerate(BAD_ROWS)}
    n_kept = sum(reasons <= KEPT for _, reasons in BAD_ROWS)
    assert (summary.rows_rejected, summary.rows_with_gaps) == (len(BAD_ROWS) - n_kept, n_kept)
    accepted = summary.attempts + summary.duplicates + summary.contradictory + summary.further_topics
    assert accepted == len(BAD_ROWS) + 1 + n_kept
    assert {count.reason for count in summary.rejects if count.kept} == KEPT
    assert all(count.kept in (0, count.rows) for count in summary.rejects)
    assert sum(count.rows for count in summary.rejects) == sum(len(reasons) for _, reasons in BAD_ROWS)
    assert all(count.remedy == REMEDIES[count.reason] for count in summary.rejects)
    assert summary.rejects[0].examples[0].startswith("log.csv:")
    raw = {number: row for _, number, _, row in reject_rows(database)}
    assert raw[2 * 5 + 2]["item_id"] == "q_stub_3"
    assert raw[2 * 3 + 2]["user_id"] == "a\ufffdb"
    assert raw[2 * (len(BAD_ROWS) - 2) + 2] == {"text": "ann,s1,7,t,1,1,0"}


def test_every_reason_has_a_remedy_and_no_reason_is_unknown() -> None:
    assert {reason for _, reasons in BAD_ROWS for reason in reasons} <= set(REMEDIES)


def test_bytes_of_another_encoding_reject_their_row_only(database: Engine, tmp_path: Path) -> None:
    path = csv(tmp_path, GOOD.encode() + b"j\xf6rg,s1,7,t,1,1,0,2026-03-02T09:00:00Z\n")
    summary = load_attempt_log(database, [path])
    assert summary.attempts == 1
    assert [(row[2], row[3]["user_id"]) for row in reject_rows(database)] == [("user_id_absurd", "j\\xf6rg")]


@pytest.mark.parametrize(
    ("correct", "stored"),
    [(w, True) for w in ("true", "TRUE", "1", "1.0", "1.00", "t", "Yes", "on", " true ")]
    + [(w, False) for w in ("false", "0", "0.0", "0.000", "N", "off")]
    + [(w, None) for w in ("", "NA", "nan", "null", "None")],
)
def test_spellings_of_right_wrong_and_unanswered(
    database: Engine, tmp_path: Path, correct: str, stored: bool | None
) -> None:
    load_attempt_log(database, [csv(tmp_path, GOOD.replace("true", correct))])
    with database.connect() as connection:
        query = text("SELECT result_json #> '{questions,0}' FROM exam_results")
        element = connection.execute(query).scalar_one()
    assert element.get("is_correct") is stored


def test_the_same_rows_in_every_format_give_the_same_exams(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(n, item_id=n, user_id='김, "민"', topic_id="대수") for n in range(3)]
    line = '"김, ""민""",s1,{n},대수,True,23333.0,1.0,2026-03-02 18:{n:02d}:00+0900\n'
    body = HEADER + "".join(line.format(n=n) for n in range(3))
    files = {
        "a.csv": body.encode(),
        "bom.csv": "\ufeff".encode() + body.encode(),
        "crlf.csv": body.replace("\n", "\r\n").encode(),
        "semicolon.csv": body.replace(",", ";").replace("김; ", "김, ").encode(),
        "packed.csv.gz": gzip.compress(body.encode()),
    }
    load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    expected = exam_rows(database)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        summary = load_attempt_log(database, [tmp_path / name])
        assert (name, summary.attempts, summary.exams.unchanged) == (name, 3, 1)
    (tmp_path / "utf16.csv").write_bytes(body.encode("utf-16"))
    load_attempt_log(database, [tmp_path / "utf16.csv"], options=LoadOptions(encoding="utf-16"))
    (tmp_path / "korean.csv").write_bytes(body.encode("cp949"))
    load_attempt_log(database, [tmp_path / "korean.csv"], options=LoadOptions(encoding="cp949"))
    assert exam_rows(database) == expected


def test_stored_types_of_every_kind(database: Engine, tmp_path: Path) -> None:
    moment = dt.datetime(2026, 3, 2, 9)  # noqa: DTZ001
    table = pa.table(
        {
            "user_id": pa.array([1.0, 2.0, None]),
            "session_id": pa.array(["11", "12", "13"], pa.string_view()),
            "item_id": pa.array(["7", "8", "9"]).dictionary_encode(),
            "correct": pa.array([1, 0, None], pa.int8()),
            "response_time_ms": pa.array(["1.5", None, "2"], pa.large_string()),
            "completed_at": pa.array([moment] * 3, pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    summary = load_attempt_log(database, [tmp_path / "log.parquet"], options=LoadOptions(timezone="Asia/Seoul"))
    assert (summary.attempts, summary.local_times) == (2, 3)
    rows = exam_rows(database)
    assert [(row[0], row[1]) for row in rows] == [("11", "1"), ("12", "2")]
    assert rows[0][6] == dt.datetime(2026, 3, 2, 0, tzinfo=dt.UTC)
    assert '"time_spent_sec": 0.0015' in rows[0][3]


def test_mapped_names(database: Engine, tmp_path: Path) -> None:
    path = csv(tmp_path, "ann,7,1,2026-03-02T09:00:00Z\n", header="학생,question,ok,when\n")
    mapping = parse_mapping(["user_id=학생", "item_id=question", "correct=ok", "completed_at = when"])
    assert load_attempt_log(database, [path], options=LoadOptions(mapping)).attempts == 1


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["user_id"], "use name=column"),
        (["user=student"], "'user' .did you mean 'user_id'.. is not a column of an attempt log"),
        (["user_id=a", "user_id=b"], "names 'user_id' twice"),
    ],
)
def test_mappings_that_make_no_sense(pairs: list[str], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        parse_mapping(pairs)


def test_a_missing_column_names_those_found_and_the_remedy(database: Engine, tmp_path: Path) -> None:
    path = csv(tmp_path, "ann,7,1,2026\n", header="student_id,item_id,is_correct,completed_at\n")
    with pytest.raises(LoadError) as error:
        load_attempt_log(database, [path])
    assert str(error.value) == (
        "log.csv: column missing: user_id, correct. Columns found: 'student_id', 'item_id', 'is_correct', "
        f"'completed_at'. Rename or map: seedtest load {path} --map user_id=student_id --map correct=is_correct"
    )
    with pytest.raises(LoadError, match=r"session_id \(mapped to 'visit'\)"):
        load_attempt_log(database, [csv(tmp_path, GOOD)], options=LoadOptions({"session_id": "visit"}))


@pytest.mark.parametrize(
    ("header", "mapping"),
    [
        (
            "student,step,kc,right,when",
            "--map user_id=student --map item_id=step --map correct=right --map completed_at=when --map topic_id=kc",
        ),
        (
            "학생,문항 번호,단원,정답 여부,일시,풀이시간",
            "--map 'user_id=학생' --map 'item_id=문항 번호' --map 'correct=정답 여부' --map 'completed_at=일시' "
            "--map 'topic_id=단원' --map 'response_time_ms=풀이시간'",
        ),
        (
            "Anon Student Id,Problem ID,Outcome,Time,score",
            "--map 'user_id=Anon Student Id' --map 'item_id=Problem ID' --map correct=Outcome --map completed_at=Time",
        ),
        ("a,item_id,b,c", "--map user_id=COLUMN --map correct=COLUMN --map completed_at=COLUMN"),
    ],
)
def test_usual_names_in_english_and_korean_fill_the_command(tmp_path: Path, header: str, mapping: str) -> None:
    path = csv(tmp_path, "1,2,3,4,5,6\n", name="a log.csv", header=header + "\n")
    with pytest.raises(LoadError) as error:
        open_logs([path], {})
    assert str(error.value).endswith(f"Rename or map: seedtest load '{path}' {mapping}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv: the file is empty"),
        ("header.csv", HEADER.encode(), "header.csv: no rows after the header"),
        ("text.parquet", b"user_id,item_id\n", "not a Parquet file despite its name"),
        ("cut.parquet", b"PAR1 and then nothing of the kind", "damaged Parquet file"),
        (
            "picture.png",
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
            "picture.png: (the header is not utf-8|neither Parquet nor text)",
        ),
        (
            "korean.csv",
            ("학생" + HEADER).encode("cp949"),
            "header is not utf-8; name its encoding, e.g. --encoding cp949",
        ),
        ("broken.csv.gz", b"\x1f\x8b nonsense", "cannot be unpacked"),
        ("twice.csv", (HEADER[:-1] + ",user_id\n" + GOOD).encode(), "the column 'user_id' occurs twice"),
    ],
)
def test_unusable_files(database: Engine, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadError, match=message):
        load_attempt_log(database, [tmp_path / name])
    assert exam_rows(database) == []


def test_a_file_that_breaks_off_loads_nothing(database: Engine, tmp_path: Path) -> None:
    whole = write_log(tmp_path / "log.parquet", [attempt(n) for n in range(2000)])
    content = bytearray(whole.read_bytes())
    content[100:3000] = bytes(2900)
    whole.write_bytes(content)
    with pytest.raises(LoadError, match=r"log.parquet: (cannot be read to the end|damaged Parquet)"):
        load_attempt_log(database, [whole])
    assert exam_rows(database) == []


def test_files_folders_and_globs(database: Engine, tmp_path: Path) -> None:
    for folder in ("jan", "feb"):
        (tmp_path / folder).mkdir()
        write_log(tmp_path / folder / "log.parquet", [attempt(session_id=folder), attempt(user_id="")])
    (tmp_path / "jan" / "notes.txt").write_text("no log")
    summary = load_attempt_log(database, [str(tmp_path / "*" / "*.parquet"), tmp_path / "jan"])
    assert summary.files == ("feb/log.parquet", "jan/log.parquet")
    assert [row[0] for row in reject_rows(database)] == ["feb/log.parquet", "jan/log.parquet"]
    with pytest.raises(LoadError, match="file not found"):
        load_attempt_log(database, [tmp_path / "march.parquet"])
    (tmp_path / "none").mkdir()
    with pytest.raises(LoadError, match=r"the folder contains no .parquet, .csv"):
        load_attempt_log(database, [tmp_path / "none"])


def test_many_small_blocks_number_rows_right(database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.ingest.csv_table.BLOCK_BYTES", 700)
    monkeypatch.setattr("seedtest_analytics.ingest.staging.ROWS_PER_BUCKET", 20)
    lines = []
    for number in range(1, 121):
        if number % 10 == 0:
            lines.append("too,few\n")
        elif number % 7 == 0:
            lines.append(GOOD.replace("ann", ""))
        else:
            lines.append(GOOD.replace("ann", f"u{number}"))
    summary = load_attempt_log(database, [csv(tmp_path, "".join(lines))])
    expected = [n for n in range(1, 121) if n % 10 == 0 or n % 7 == 0]
    assert [row[1] for row in reject_rows(database)] == expected
    assert summary.rows_read == 120
    assert summary.exams.inserted == 120 - len(expected)
    assert exam_rows(database)[0][6] == START
