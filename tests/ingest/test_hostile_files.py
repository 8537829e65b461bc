"""Files that are made to stop a load, to fill the disk or to use up the memory."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import Engine

from seedtest_analytics.ingest import LoadError, load_attempt_log
from seedtest_analytics.ingest.expansion import MAX_EXPANSION
from seedtest_analytics.ingest.roster_files import read_roster
from seedtest_analytics.ingest.unpack import unpack
from tests.ingest.conftest import reject_rows

LOG = b"user_id,item_id,correct,completed_at\nann,1,1,2026-03-02T10:00:00Z\n"
MEGABYTE = 1 << 20


def row(user: str = "ann", **more: object) -> str:
    return json.dumps({"user_id": user, "item_id": 1, "correct": 1, "completed_at": "2026-03-02T10:00:00Z", **more})


def zipped(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def unpacked(tmp_path: Path, name: str, content: bytes) -> list[str]:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (tmp_path / name).write_bytes(content)
    return list(unpack([tmp_path / name], folder).names.values())


DEEP = row(extra=0).replace('"extra": 0', f'"extra": {"[" * 100_000}{"]" * 100_000}')
NESTED = row(extra=0).replace('"extra": 0', '"extra": ' + '{"a":' * 950 + "1" + "}" * 950)
BAD_LINES = {
    "deep": DEEP,
    "nested": NESTED,
    "surrogate": row("\ud800"),
    "name": row(strange=1).replace("strange", "\\ud800"),
}


@pytest.mark.parametrize("bad", BAD_LINES)
@pytest.mark.parametrize("is_first", [True, False])
def test_one_line_of_json_stops_no_other(database: Engine, tmp_path: Path, bad: str, is_first: bool) -> None:
    path, folder = tmp_path / "log.jsonl", tmp_path / "unpacked"
    folder.mkdir()
    lines = [BAD_LINES[bad], row("lee")] if is_first else [row("lee"), BAD_LINES[bad]]
    path.write_text("\n".join([*lines, row("min"), ""]))
    found = unpack([path], folder)
    assert not [note for note in found.notes if "ann" in note], "a note quotes a user"
    summary = load_attempt_log(database, list(found.names))
    assert (summary.rows_read, summary.attempts >= 2) == (3, True)
    if bad == "surrogate":
        assert {reason for _, _, reason, _ in reject_rows(database)} == {"user_id_absurd"}


def test_a_deep_array_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="Export JSON lines"):
        unpacked(tmp_path, "log.json", f"[{row()},{'[' * 100_000}{']' * 100_000}]".encode())


def test_an_archive_in_an_archive_is_unpacked(tmp_path: Path) -> None:
    inner = zipped(("log.csv", LOG))
    assert unpacked(tmp_path, "a.zip", zipped(("march.zip", inner), ("april.zip", inner))) == [
        "a.zip/march.zip/log.csv",
        "a.zip/april.zip/log.csv",
    ]


def test_archives_in_an_archive_may_not_fill_the_disk_together(tmp_path: Path) -> None:
    inner = zipped(("log.csv", LOG + b"\n" * (150 * MEGABYTE)))
    bomb = zipped(("0.csv", LOG), *((f"{n}.zip", inner) for n in range(3)))
    assert len(bomb) < 5_000
    with pytest.raises(LoadError, match="which no log or roster does"):
        unpacked(tmp_path, "a.zip", bomb)
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert on_disk <= (MAX_EXPANSION + 1) * MEGABYTE


def test_a_packed_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"user_id":"' + b" " * (250 * MEGABYTE) + b'"}\n')
    with pytest.raises(LoadError, match="which no log or roster does"):
        unpacked(tmp_path, "log.json.gz", packed)


def test_a_far_cell_of_a_workbook_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """The reader takes memory for every cell between: 17 billion here, which ends the process."""
    book, made = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["user_id", "item_id"])
    book.active.cell(1_048_576, 16_384, "x")
    book.save(made)
    assert len(made.getvalue()) < 10_000
    with pytest.raises(LoadError, match="1,048,576 rows and 16,384 columns"):
        unpacked(tmp_path, "a.xlsx", made.getvalue())


def test_a_roster_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "roster.zip"
    manifest = b"propertyName,value\noneroster.version,1.2\nfile.users,bulk\n"
    path.write_bytes(zipped(("manifest.csv", manifest), ("users.csv", b"sourcedId\n" + b"\n" * (250 * MEGABYTE))))
    with pytest.raises(LoadError, match="which no log or roster does"):
        read_roster(path, user_ids="sourcedId")
