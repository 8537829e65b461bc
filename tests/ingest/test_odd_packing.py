"""Packed files, archives, pipes, encodings and names: what is read, and what a message says about the rest."""

import bz2
import gzip
import io
import json
import lzma
import os
import shlex
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.ingest import LoadError, LoadOptions, load_attempt_log
from seedtest_analytics.ingest.encodings import guessed_encoding
from seedtest_analytics.ingest.sources import BATCH_ROWS
from seedtest_analytics.ingest.text_tables import write_texts
from tests.ingest.conftest import reject_rows
from tests.ingest.test_commands import run as run_fixture
from tests.ingest.test_formats import EDX

run = run_fixture

HEADER = "user_id,item_id,correct,completed_at\n"
ROWS = "ann,1,1,2026-03-02T10:00:00Z\nlee,2,0,2026-03-02T10:01:00Z\n"
LOG = (HEADER + ROWS).encode()
BAD = b",3,1,2026-03-02T10:02:00Z\n"


def users(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT DISTINCT user_id FROM exam_results ORDER BY 1")).scalars())


def parquet() -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({name: [value] for name, value in row("ann").items()}), made)
    return made.getvalue()


def row(user: str, **more: object) -> dict[str, object]:
    return {"user_id": user, "item_id": "1", "correct": "1", "completed_at": "2026-03-02T10:00:00Z", **more}


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def zipped(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        member = tarfile.TarInfo("log.csv")
        member.size = len(LOG)
        archive.addfile(member, io.BytesIO(LOG))
    return made.getvalue()


READ = {
    "names.csv": ("BZ," + HEADER + "".join(f"x,{line}\n" for line in ROWS.splitlines())).encode(),
    "log.csv.bz2": bz2.compress(LOG),
    "log.parquet.gz": gzip.compress(parquet()),
    "zip.gz": gzip.compress(zipped(("log.csv", LOG))),
    "utf32.csv": LOG.decode().encode("utf-32"),
    "utf16.jsonl": lines(row("ann")).encode("utf-16"),
    "bare16.jsonl": lines(row("ann")).encode("utf-16-le"),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_by_its_content(run: Any, database: Engine, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(READ[name])
    result = run("load", str(tmp_path / name))
    assert result.exit_code == 0, repr(result.exception)
    assert "ann" in users(database)


UNREAD = {
    "cut.csv.gz": (gzip.compress(os.urandom(50_000))[:-100], "cannot be unpacked"),
    "cut.jsonl.gz": (gzip.compress(lines(*(row(f"u{n}") for n in range(50_000))).encode())[:-100], "cannot be read"),
    "log.csv.xz": (lzma.compress(LOG), "is packed by xz; unpack it with `xz --decompress`"),
    "log.tar.gz": (tarred(), "is a tar archive; unpack it with `tar xf`"),
    "log.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "is a 7-Zip archive"),
    "log.pdf": (b"%PDF-1.7\n", "is a PDF document"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_message_says_what_the_file_is(run: Any, tmp_path: Path, name: str) -> None:
    content, words = UNREAD[name]
    (tmp_path / name).write_bytes(content)
    error = run("load", str(tmp_path / name)).exception
    assert isinstance(error, LoadError)
    assert words in str(error)


def test_a_log_that_ends_too_early_says_so(database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(LOG + b"".join(b"u%d,1,1,2026-03-02T10:00:00Z\n" % n for n in range(90_000)))[:-100])
    with pytest.raises(LoadError, match="cannot be"):
        load_attempt_log(database, [path])


def test_members_that_are_no_logs_are_left_out(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(
        zipped(("README.txt", b"Hello,\nthese are our logs."), ("x/log.csv", LOG), ("guide.pdf", b"%PDF-1.7\n"))
    )
    result = run("load", str(tmp_path / "a.zip"))
    assert result.exit_code == 0, repr(result.exception)
    assert "left out: a.zip/README.txt" in result.output
    assert "left out: a.zip/guide.pdf" in result.output
    assert users(database) == ["ann", "lee"]


def test_a_member_of_a_known_format_needs_no_name_of_a_log(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("tracking.log", lines(EDX).encode()), ("log.csv", LOG)))
    assert run("load", str(tmp_path / "a.zip")).exit_code == 0
    assert users(database) == ["7", "ann", "lee"]


def test_a_text_that_is_alone_in_an_archive_is_a_log(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("log.txt", LOG)))
    assert run("load", str(tmp_path / "a.zip")).exit_code == 0
    assert users(database) == ["ann", "lee"]


def test_files_of_one_name_keep_their_rejects(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("x/log.csv", LOG + BAD), ("y/log.csv", LOG + BAD)))
    for folder in ("p", "q"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_bytes(LOG + BAD)
    result = run("load", *(str(tmp_path / name) for name in ("a.zip", "p/log.csv", "q/log.csv")))
    assert result.exit_code == 0, repr(result.exception)
    names = [rejected[0] for rejected in reject_rows(database)]
    assert sorted(name.removeprefix(f"{tmp_path.name}/") for name in names) == [
        "a.zip/x/log.csv",
        "a.zip/y/log.csv",
        "p/log.csv",
        "q/log.csv",
    ]


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_pipe_is_refused_and_not_waited_for(run: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pipe" if kind == "fifo" else Path("/dev/null")
    if kind == "fifo":
        os.mkfifo(path)
    assert "a pipe or a device" in str(run("load", str(path)).exception)


def test_a_remedy_names_the_path_of_the_user(run: Any, database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(lines({"who": "ann", "what": 1, "correct": 1, "completed_at": "2026-03-02T10:00:00Z"}))
    message = str(run("load", str(path)).exception)
    command = message.partition("map: ")[2].replace("COLUMN", "who", 1).replace("COLUMN", "what", 1)
    assert shlex.split(command)[:3] == ["seedtest", "load", str(path)]
    assert run(*shlex.split(command)[1:], "--yes").exit_code == 0
    assert users(database) == ["ann"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_rejects_overwrite_no_log(run: Any, tmp_path: Path, is_linked: bool) -> None:
    for name, content in (("log.csv", LOG), ("log.jsonl", lines(row("ann")).encode())):
        (tmp_path / name).write_bytes(content)
        other = tmp_path / f"other-{name}"
        other.hardlink_to(tmp_path / name)
        error = run("load", str(tmp_path / name), "--rejects", str(other if is_linked else tmp_path / name)).exception
        assert "would be lost" in str(error)
        assert (tmp_path / name).read_bytes() == content


def test_a_name_that_comes_late_is_a_column(tmp_path: Path) -> None:
    rows = [{"user_id": f"u{n}"} for n in range(BATCH_ROWS)]
    late = [{"user_id": "late", "topic_id": "algebra"}, {"user_id": "later"}]
    write_texts(tmp_path / "t.parquet", [*rows, *late], name="log.jsonl")
    found = pq.read_table(tmp_path / "t.parquet")
    assert found.num_rows == BATCH_ROWS + 2
    assert found.slice(BATCH_ROWS - 1).to_pylist() == [
        {"user_id": f"u{BATCH_ROWS - 1}", "topic_id": None},
        {"user_id": "late", "topic_id": "algebra"},
        {"user_id": "later", "topic_id": None},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_names_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"log\.jsonl: values have more than 10,000 names"):
        write_texts(tmp_path / "t.parquet", ({f"n{n}": "1"} for n in range(10_001)), name="log.jsonl")


@pytest.mark.parametrize("is_given", [False, True])
def test_korean_ids_in_json_stay_apart(run: Any, database: Engine, tmp_path: Path, is_given: bool) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines(row("학생"), row("학셍")).encode("cp949"))
    options = ["--encoding", "cp949"] if is_given else []
    assert run("load", str(tmp_path / "log.jsonl"), *options).exit_code == 0
    assert users(database) == ["학생", "학셍"]


def test_damaged_ids_in_json_are_rejected(run: Any, database: Engine, tmp_path: Path) -> None:
    content = lines(row("김하나"), row("이둘"), row("x1"), row("x2")).encode()
    (tmp_path / "log.jsonl").write_bytes(content.replace(b"x1", b"\xff1").replace(b"x2", b"\xfe2"))
    run("load", str(tmp_path / "log.jsonl"), "--encoding", "utf-8")
    assert users(database) == ["김하나", "이둘"]
    assert [rejected[1:3] for rejected in reject_rows(database)] == [(3, "user_id_absurd"), (4, "user_id_absurd")]


def test_each_file_has_its_encoding(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LOG.replace(b"ann", "가나".encode()))
    (tmp_path / "b.csv").write_bytes(LOG.replace(b"lee", b"x").replace(b"ann", "학생".encode("cp949")))
    result = run("load", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert result.exit_code == 0, repr(result.exception)
    assert "b.csv: read as cp949" in result.output
    assert users(database) == ["lee", "x", "가나", "학생"]


def test_a_nul_in_one_value_does_not_change_the_encoding(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(LOG + b"u\x00x,3,1,2026-03-02T10:02:00Z\n")
    result = run("load", str(tmp_path / "log.csv"))
    assert "3 read, 2 attempts, 1 rejected" in result.output, repr(result.exception)
    assert users(database) == ["ann", "lee"]


def test_the_encoding_does_not_depend_on_one_byte_or_on_the_end_of_the_sample() -> None:
    korean = "학생 아무개는 문제를 풀었다\n".encode() * 20
    assert guessed_encoding(korean + b"\xff") == "utf-8"
    assert {guessed_encoding(korean[:cut].replace(b"\n", b" ")) for cut in range(50, 60)} == {"utf-8"}
    assert guessed_encoding(korean.decode().encode("cp949")) == "cp949"


def test_a_library_call_may_guess_too(database: Engine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(LOG.replace(b"ann", "학생".encode("cp949")))
    load_attempt_log(database, [tmp_path / "log.csv"], options=LoadOptions(encoding=None))
    assert users(database) == ["lee", "학생"]
