"""Files that are not what a reader assumes: quotation marks, line ends, encodings, packing, headers and stored types.

Every remedy that a message proposes is tried as the message states it.
"""

import bz2
import datetime as dt
import gzip
import itertools
import random
import re
import shlex
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from seedtest_analytics.ingest import LoadError, LoadOptions, LoadSummary, load_attempt_log, parse_mapping
from seedtest_analytics.ingest.sources import open_logs, read_batches
from tests.ingest.conftest import exam_rows, reject_rows, write_log
from tests.ingest.test_load import START, attempt

HEADER = "user_id,item_id,correct,completed_at,answer_text"


def line(n: int, answer: str = "fine") -> str:
    return f"u{n},{n},1,2026-03-02T10:{n % 60:02d}:00Z,{answer}"


def write(tmp_path: Path, content: str | bytes, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reasons(engine: Engine) -> list[tuple[int, str]]:
    return [(row[1], row[2]) for row in reject_rows(engine)]


def load_lines(engine: Engine, tmp_path: Path, lines: list[str], header: str = HEADER) -> LoadSummary:
    return load_attempt_log(engine, [write(tmp_path, "\n".join([header, *lines, ""]))])


# ---- quotation marks ----


@pytest.mark.parametrize("closed_at", [None, 7, 8, 90])
def test_an_unbalanced_quote_costs_one_row(database: Engine, tmp_path: Path, closed_at: int | None) -> None:
    lines = [line(n) for n in range(1, 101)]
    lines[5] = line(6, '"five')
    if closed_at is not None:
        lines[closed_at - 1] = line(closed_at, 'hundred"')
    summary = load_lines(database, tmp_path, lines)
    assert reasons(database) == [(6, "row_quote_unbalanced")]
    assert (summary.rows_read, summary.attempts) == (100, 99)
    assert reject_rows(database)[0][3] == {"text": lines[5]}


ITEMS: dict[str, Callable[[int], str]] = {"number": str, "text": lambda n: f"Q{n}"}
TIMES: dict[str, Callable[[int], str]] = {
    "iso": lambda n: f"2026-03-02T10:{n % 60:02d}:00Z",
    "milliseconds": lambda n: f"{1772445600000 + n * 1000}",
    "korean": lambda n: f"2026. 3. 2. 오후 3:{n % 60:02d}",
    "american": lambda n: f"3/13/2026 10:{n % 60:02d}",
    "compact": lambda n: f"2026030210{n % 60:02d}05",
    "unknown": lambda n: f"day 7 minute {n}",
}


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("first_line", ['"five', '"five""', '""five"', '"'])
def test_a_pair_of_unbalanced_quotes_costs_one_row_whatever_ids_and_times_are(
    tmp_path: Path, item: str, time: str, first_line: str
) -> None:
    lines = [f"u{n},{ITEMS[item](n)},1,{TIMES[time](n)},fine" for n in range(300)]
    lines[5], lines[200] = lines[5].replace("fine", first_line), lines[200].replace("fine", 'nine"')
    path = write(tmp_path, "\n".join([HEADER, *lines, ""]))
    batches = list(read_batches(open_logs([path], {})[0]))
    is_open = first_line != '""five"'
    assert sum(len(batch.row_numbers) for batch in batches) == 300 - is_open
    bad = [(row.row_number, row.reason) for batch in batches for row in batch.malformed]
    assert bad == ([(6, "row_quote_unbalanced")] if is_open else [])


@pytest.mark.parametrize(
    ("column", "bad"),
    [(0, '"ann'), (1, '"6'), (2, '"1'), (3, '"2026-03-02T10:00:00Z'), (4, 'said ""hi'), (4, '"said ""hi'), (4, '"')],
)
def test_an_unbalanced_quote_in_any_column_costs_at_most_its_row(
    database: Engine, tmp_path: Path, column: int, bad: str
) -> None:
    lines = [line(n) for n in range(1, 11)]
    lines[3] = ",".join([*lines[3].split(",")[:column], bad, *lines[3].split(",")[column + 1 :]])
    summary = load_lines(database, tmp_path, lines)
    assert summary.rows_read == 10
    assert summary.attempts >= 9
    assert {number for number, _ in reasons(database)} <= {4}


@pytest.mark.parametrize("row", ['u7,7,1,,nine"', 'u7,,1,2026-03-02T10:07:00Z,nine"', 'u7,7,1,soon,nine"'])
def test_a_row_without_item_or_time_is_not_swallowed(database: Engine, tmp_path: Path, row: str) -> None:
    summary = load_lines(database, tmp_path, [line(5), line(6, '"five'), row, line(8)])
    assert (summary.rows_read, summary.attempts) == (4, 2)
    assert [number for number, _ in reasons(database)] == [2, 3]


def test_a_value_of_the_first_or_a_middle_column_may_have_two_lines(database: Engine, tmp_path: Path) -> None:
    header = "note,user_id,answer_text,item_id,correct,completed_at"
    rows = [f'"first\nlast",u{n},"one,\ntwo, three",{n},1,2026-03-02T10:00:00Z' for n in range(3)]
    assert load_lines(database, tmp_path, rows, header).attempts == 3


def test_marks_in_the_middle_of_a_value_are_text(database: Engine, tmp_path: Path) -> None:
    lines = [line(1, '5" pipe'), line(2, 'a "b" c'), line(3, '"a ""b"" c"'), line(4, '"a"b"c"'), line(5, '""')]
    assert load_lines(database, tmp_path, lines).attempts == 5


def test_line_breaks_within_quotes_are_part_of_the_value(database: Engine, tmp_path: Path) -> None:
    lines = [line(1), line(2, '"first, a comma\n\nthen, more, and, more, commas\r\nlast"'), line(3)]
    assert load_lines(database, tmp_path, lines).attempts == 3
    header = HEADER.replace("answer_text", "topic_id")
    summary = load_lines(database, tmp_path, [line(1), line(2, '"al\ngebra"'), line(3)], header)
    assert (summary.rows_read, reasons(database)) == (3, [(2, "topic_id_absurd")])


def test_a_quoted_value_may_cross_the_blocks_of_the_reader(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedtest_analytics.ingest.csv_table.BLOCK_BYTES", 64)
    essay = '"' + "\n".join(f"sentence {n}, and more" for n in range(40)) + '"'
    lines = [line(1), line(2, essay), line(3), line(4, '"open'), *(line(n) for n in range(5, 60))]
    summary = load_lines(database, tmp_path, lines)
    assert (summary.rows_read, summary.attempts) == (59, 58)
    assert reasons(database) == [(4, "row_quote_unbalanced")]


def test_a_mark_that_nothing_closes_at_the_end(database: Engine, tmp_path: Path) -> None:
    summary = load_lines(database, tmp_path, [line(1), line(2, '"open')])
    assert (summary.attempts, reasons(database)) == (1, [(2, "row_quote_unbalanced")])


PIECES = st.sampled_from(['"', '""', ",", "\n", "x", "7", "2026-03-02", " ", ";", "é", "\x00"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.one_of(PIECES, st.just("\n" + line(7) + "\n")), max_size=40), st.integers(40, 400))
def test_every_line_of_any_text_is_accounted_for(pieces: list[str], block_bytes: int) -> None:
    """Good rows between lines of any kind are all read, with any marks around them."""
    import tempfile

    import seedtest_analytics.ingest.csv_table as csv_table

    body = "".join(pieces)
    expected = len(re.findall(rf"^{re.escape(line(7))}$", body, re.MULTILINE))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "BLOCK_BYTES", block_bytes)
        path = write(Path(folder), HEADER + "\n" + line(1) + "\n" + body)
        batches = list(read_batches(open_logs([path], {})[0]))
    users = list(itertools.chain.from_iterable(batch.columns["user_id"].to_pylist() for batch in batches))
    numbers = [int(n) for batch in batches for n in batch.row_numbers]
    numbers += [row.row_number for batch in batches for row in batch.malformed]
    assert users.count(b"u7") == expected
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


# ---- line ends, encodings, packing, first lines ----

BODY = "\n".join([HEADER, *(line(n, "가나다") for n in range(1, 6)), ""])
FORMS: dict[str, Callable[[str], bytes]] = {
    "cr": lambda body: body.replace("\n", "\r").encode(),
    "crlf": lambda body: body.replace("\n", "\r\n").encode(),
    "crcrlf": lambda body: body.replace("\n", "\r\r\n").encode(),
    "mixed": lambda body: body.replace("\n", "\r\n", 2).replace("2,1,", "2,1,").replace("u4", "\ru4", 1).encode(),
    "no last line end": lambda body: body.rstrip("\n").encode(),
    "cr without the last": lambda body: body.rstrip("\n").replace("\n", "\r").encode(),
    "blank lines": lambda body: ("\n\n" + body.replace("\n", "\n\n") + "\n\n").encode(),
    "bom": lambda body: b"\xef\xbb\xbf" + body.encode(),
    "bom and sep": lambda body: b"\xef\xbb\xbfsep=,\r\n" + body.encode(),
    "sep semicolon": lambda body: b"sep=;\n" + body.replace(",", ";").encode(),
    "sep caret": lambda body: b"SEP=^\r\n" + body.replace(",", "^").encode(),
    "quoted sep": lambda body: b'"sep=;"\n' + body.replace(",", ";").encode(),
    "utf-16 with mark": lambda body: body.encode("utf-16"),
    "utf-16-be with mark": lambda body: b"\xfe\xff" + body.encode("utf-16-be"),
    "utf-16 tabs": lambda body: body.replace(",", "\t").encode("utf-16"),
    "blanks after commas": lambda body: body.replace(",", ", ").encode(),
    "blanks around commas": lambda body: body.replace(",", "  ,  ").encode(),
    "blanks before commas": lambda body: body.replace(",", " ,").encode(),
    "quoted and padded": lambda body: re.sub(r"[^,\n]+", lambda m: f'"{m[0]}"', body).replace(",", ", ").encode(),
    "quoted names": lambda body: body.replace("item_id", '"item_id"').encode(),
    "empty columns": lambda body: body.replace("\n", ",,\n").encode(),
    "column without name": lambda body: re.sub("(?m)^(?=.)", "7,", body).replace("7,user_id", ",user_id").encode(),
    "line break in a name": lambda body: body.replace("answer_text", '"answer\ntext, given"').encode(),
    "gzip": lambda body: gzip.compress(body.encode()),
    "two gzip members": lambda body: gzip.compress(body[:100].encode()) + gzip.compress(body[100:].encode()),
    "bzip2": lambda body: bz2.compress(body.encode()),
    "gzip of utf-16": lambda body: gzip.compress(body.encode("utf-16")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.txt"])
def test_the_same_rows_in_any_form(database: Engine, tmp_path: Path, form: str, name: str) -> None:
    load_attempt_log(database, [write(tmp_path, BODY, "plain.csv")])
    expected = exam_rows(database)
    summary = load_attempt_log(database, [write(tmp_path, FORMS[form](BODY), name)])
    assert (summary.rows_read, summary.attempts, summary.rows_rejected) == (5, 5, 0)
    assert exam_rows(database) == expected


def test_a_line_end_on_the_border_of_two_blocks(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in range(40, 120, 7):
        monkeypatch.setattr("seedtest_analytics.ingest.csv_table.BLOCK_BYTES", size)
        for form in ("crlf", "cr", "utf-16 with mark", "blank lines"):
            summary = load_attempt_log(
                database, [write(tmp_path, FORMS[form](BODY))], options=LoadOptions(is_dry_run=True)
            )
            assert (size, form, summary.rows_read, summary.attempts) == (size, form, 5, 5)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16", "shift_jis", "latin-1"])
def test_bytes_that_do_not_decode_reject_their_row_in_any_encoding(
    database: Engine, tmp_path: Path, encoding: str
) -> None:
    broken = {"cp949": b"\xff\xff", "utf-16": b"\x00\xd8", "shift_jis": b"\xff", "latin-1": b"\x85"}[encoding]
    head = "user_id,item_id,correct,completed_at\nann,1,1,2026-03-02T10:00:00Z\n"
    row = "b|b,2,1,2026-03-02T10:00:00Z\n" + "cid,3,1,2026-03-02T10:00:00Z\n"
    before, after = (part.encode(encoding.replace("utf-16", "utf-16-le")) for part in (head + "b", row[2:]))
    mark = b"\xff\xfe" if encoding == "utf-16" else b""
    summary = load_attempt_log(
        database, [write(tmp_path, mark + before + broken + after)], options=LoadOptions(encoding=encoding)
    )
    assert (summary.attempts, reasons(database)) == (2, [(2, "user_id_absurd")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and the rest of a workbook", "an Excel workbook or a zip archive; save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook"),
        (b"\r\n\r\n", "no header"),
        (b"sep=;\n", "no rows after the header"),
        (b"\xef\xbb\xbf", "no header"),
        ((HEADER + "\r").encode(), "no rows after the header"),
        (b'user_id,"item_id\n' + b"a,1\n" * 100, "a quotation mark in the header is not closed"),
        (gzip.compress(BODY.encode() * 50)[:-20], "cannot be (unpacked|read to the end)"),
    ],
)
def test_what_is_not_a_log_says_so(database: Engine, tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load_attempt_log(database, [write(tmp_path, content)])
    assert exam_rows(database) == []


# ---- remedies, tried as they are written ----


def options_of(message: str) -> LoadOptions:
    """The options of the command that a message proposes, or of an option that it names."""
    command = re.search(r"seedtest load .*", message)
    words = shlex.split(command[0]) if command else []
    encoding = re.search(r"--encoding (\S+)", message)
    return LoadOptions(
        parse_mapping([words[n + 1] for n, word in enumerate(words) if word == "--map"]),
        encoding=encoding[1] if encoding else "utf-8",
    )


@pytest.mark.parametrize(
    "header",
    [
        "student,step,right,when,kc",
        "student, step, right, when, kc",
        " Student , STEP ,Right ,When ,KC",
        '"student id","item","is correct","time stamp","skill"',
        "학생,문항 번호,정답 여부,일시,단원",
        "user-id;question id;is_correct;timestamp;kc",
        "USER_ID\tITEM_ID\tCORRECT\tCOMPLETED_AT\tTOPIC_ID",
        "it's me=user,item,correct,date,$(kc)",
    ],
)
def test_the_proposed_mapping_works_as_it_stands(database: Engine, tmp_path: Path, header: str) -> None:
    delimiter = next(mark for mark in ";\t," if mark in header)
    path = write(tmp_path, header + "\n" + line(1).replace(",", delimiter) + "\n")
    with pytest.raises(LoadError) as error:
        load_attempt_log(database, [path])
    message = str(error.value)
    if "=COLUMN" in message:
        message = message.replace("user_id=COLUMN", "'user_id=it'\\''s me=user'")
    assert load_attempt_log(database, [path], options=options_of(message)).attempts == 1


@pytest.mark.parametrize("encoding", ["cp949", "cp1252", "utf-16-le", "utf-16-be"])
def test_the_proposed_encoding_works_as_it_stands(database: Engine, tmp_path: Path, encoding: str) -> None:
    name = {"cp949": "정답", "cp1252": "réponse"}.get(encoding, "text")
    path = write(tmp_path, BODY.replace("answer_text", name).replace("가나다", name).encode(encoding))
    with pytest.raises(LoadError, match="name its encoding") as error:
        load_attempt_log(database, [path])
    assert load_attempt_log(database, [path], options=options_of(str(error.value))).attempts == 5


REMEDIED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("user_id_missing", {"user_id": " "}, {"user_id": "ann"}),
    ("user_id_absurd", {"user_id": "a\u2028b"}, {"user_id": "a" * 200}),
    ("session_id_absurd", {"session_id": "s" * 8000}, {"session_id": "\U0001f600" * 200}),
    ("topic_id_absurd", {"topic_id": "al\x85gebra"}, {"topic_id": "algebra"}),
    ("item_id_missing", {"item_id": None}, {"item_id": 7}),
    ("correct_not_boolean", {"correct": "1.5"}, {"correct": "1.00"}),
    ("correct_not_boolean", {"correct": "half"}, {"correct": ""}),
    ("response_time_ms_not_number", {"response_time_ms": "1,500"}, {"response_time_ms": "1500"}),
    ("response_time_ms_negative", {"response_time_ms": "-1"}, {"response_time_ms": ""}),
    ("hints_used_not_whole_number", {"hints_used": "1.5"}, {"hints_used": "2"}),
    ("hints_used_negative", {"hints_used": "-2"}, {"hints_used": ""}),
    ("completed_at_missing", {"completed_at": None}, {"completed_at": "2026-03-02"}),
    ("completed_at_not_time", {"completed_at": "soon"}, {"completed_at": "2026-03-02T09:30:00+09:00"}),
    ("completed_at_not_time", {"completed_at": "02/03/2026 10:00"}, {"completed_at": "2026-03-02 10:00"}),
    ("completed_at_implausible", {"completed_at": "9999-12-31T00:00:00Z"}, {"completed_at": "2199-01-01T00:00:00Z"}),
    ("rescored_at_not_time", {"rescored_at": "later"}, {"rescored_at": ""}),
]


@pytest.mark.parametrize(("reason", "bad", "good"), REMEDIED)
def test_a_row_that_follows_the_remedy_loads(
    database: Engine, tmp_path: Path, reason: str, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    rows = [attempt(0, user_id="before"), {**attempt(1), **bad}, attempt(2, user_id="after")]
    for change, expected in ((bad, {reason}), (good, set())):
        rows[1] = {**attempt(1), **change}
        texts = [
            {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in row.items()}
            for row in rows
        ]
        table = pa.table({name: [_text(row.get(name)) for row in texts] for name in {**rows[1], **rows[0]}})
        pq.write_table(table, tmp_path / "log.parquet")
        summary = load_attempt_log(database, [tmp_path / "log.parquet"], options=LoadOptions(is_dry_run=True))
        assert {count.reason for count in summary.rejects} == expected
        assert summary.attempts + summary.rows_rejected == 3


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


# ---- stored types ----


def stored(tmp_path: Path, **columns: pa.Array) -> Path:
    """A Parquet log of three rows, of which the last has the odd value."""
    base = {
        "user_id": pa.array(["a", "b", "c"]),
        "item_id": pa.array([1, 2, 3]),
        "correct": pa.array([True, False, None]),
        "completed_at": pa.array([START] * 3, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table({**base, **columns}), tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def invalid_texts() -> pa.Array:
    """A text column whose last value is not valid UTF-8, as Parquet allows."""
    stored_bytes = pa.array([b"a", b"b", b"\xffc"])
    return pa.Array.from_buffers(pa.string(), 3, stored_bytes.buffers())


SECONDS = [1_772_445_600, 1_772_445_660, 1_772_445_720_000]


@pytest.mark.parametrize(
    ("name", "column", "reason", "shown"),
    [
        ("completed_at", pa.array(SECONDS, pa.timestamp("s", "UTC")), "implausible", "1772445720000000 ms since 1970"),
        ("completed_at", pa.array([0, 0, 2**62], pa.timestamp("ms")), "implausible", f"{2**62} ms since 1970"),
        ("completed_at", pa.array([0, 0, -(2**62)], pa.timestamp("us")), "implausible", f"{-(2**62)} us since 1970"),
        ("completed_at", pa.array([0, 0, 2**31 - 1], pa.int32()).cast(pa.date32()), "implausible", None),
        ("completed_at", pa.array([0, 0, 2**50], pa.int64()).cast(pa.date64()), "implausible", None),
        ("rescored_at", pa.array(SECONDS, pa.timestamp("s")), "implausible", "1772445720000000 ms since 1970"),
        ("user_id", invalid_texts(), "absurd", "\\xffc"),
        ("topic_id", invalid_texts(), "absurd", "\\xffc"),
        ("session_id", pa.array([b"a", b"b", b"\xed\xa0\x80"]), "absurd", "\\xed\\xa0\\x80"),
        ("item_id", pa.array(["1", "2", "x" * 5000]), "not_integer", "x" * 2000),
        ("item_id", pa.array([1, 2, 2**64 - 1], pa.uint64()), "not_integer", 2**64 - 1),
        ("correct", pa.array([1.0, 0.0, 1e308]), "not_boolean", "1e+308"),
        ("correct", pa.array([1, 0, 2]), "not_boolean", 2),
        ("response_time_ms", pa.array([1.0, 2.0, float("inf")]), "not_number", "inf"),
        ("response_time_ms", pa.array([1, 2, -(2**63)]), "negative", -(2**63)),
        ("hints_used", pa.array([dt.timedelta(1)] * 2 + [dt.timedelta(2)]), None, None),
    ],
)
def test_a_bad_value_of_any_type_is_reported_and_its_neighbours_load(
    database: Engine, tmp_path: Path, name: str, column: pa.Array, reason: str | None, shown: Any
) -> None:
    summary = load_attempt_log(database, [stored(tmp_path, **{name: column})])
    assert summary.rows_read == 3
    if reason is not None:
        assert reasons(database) == [(3, f"{name}_{reason}")]
        assert summary.attempts >= 2
    if shown is not None:
        assert reject_rows(database)[0][3][name] == shown


def test_uuids_of_parquet_are_users(database: Engine, tmp_path: Path) -> None:
    users = [uuid.UUID(int=n) for n in (1, 2, 3)]
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([user.bytes for user in users], pa.binary(16)))
    load_attempt_log(database, [stored(tmp_path, user_id=column)])
    assert {row[1] for row in exam_rows(database)} == {str(user) for user in users}


def test_a_type_without_a_text_form_names_the_column_and_not_its_values(tmp_path: Path, database: Engine) -> None:
    column = pa.array([["a"]] * 3)
    with pytest.raises(LoadError, match=r"column 'topic_id' \(topic_id\) has type list.*needs one value a row"):
        load_attempt_log(database, [stored(tmp_path, topic_id=column)])


def test_blanks_around_the_names_of_parquet_columns_do_not_matter(database: Engine, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.parquet", [{f" {name} ": value for name, value in attempt().items()}])
    assert load_attempt_log(database, [path]).attempts == 1


# ---- rejects and both doors ----


def test_a_gap_keeps_the_answer_and_says_so(database: Engine, tmp_path: Path) -> None:
    rows = [
        attempt(0, response_time_ms=-5),
        attempt(1, hints_used=-1, item_id=8),
        attempt(2, item_id=None, hints_used=-1),
    ]
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    assert (summary.attempts, summary.rows_with_gaps, summary.rows_rejected) == (2, 2, 1)
    with database.connect() as connection:
        found = connection.execute(
            text("SELECT row_number, reason, is_excluded FROM load_rejects ORDER BY row_number, reason")
        ).all()
        questions = connection.execute(text("SELECT result_json -> 'questions' FROM exam_results")).scalar_one()
    assert [tuple(row) for row in found] == [
        (1, "response_time_ms_negative", False),
        (2, "hints_used_negative", False),
        (3, "hints_used_negative", True),
        (3, "item_id_missing", True),
    ]
    assert ["time_spent_sec" in question for question in questions] == [False, True]


def test_no_message_quotes_a_user(database: Engine, tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(20):
        secret = f"secret-student-{rng.random()}"
        rows = [f'{secret},{rng.choice(["1", "x"])},1,{rng.choice(["2026-03-02", "never"])},"', f'{secret}",1,,,"']
        summary = load_lines(database, tmp_path, rows)
        assert "secret-student" not in repr(summary)
