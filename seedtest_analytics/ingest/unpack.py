"""Workbooks, archives and JSON as files that the reader takes: Parquet with one text column for each column of the source.

Row numbers stay those of the source. CSV and Parquet files pass through.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seedtest_analytics.ingest.csv_text import packing_of
from seedtest_analytics.ingest.errors import LoadError

BATCH_ROWS = 65_536
MAX_EXPANSION = 200
"""An archive that unpacks to more than this many times its size is refused."""
MAX_JSON_ARRAY_BYTES = 1 << 30
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_WORKBOOK_PARTS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
_COPY_BYTES = 1 << 20


@dataclass
class Unpacked:
    """Files for the reader with the names that reports show, and what the user should know about them."""

    names: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def unpack(paths: list[Path], folder: Path, *, sheet: str | None = None) -> Unpacked:
    """Unpack what is not CSV or Parquet into ``folder``. Raises :class:`LoadError` with file, cause and remedy."""
    found = Unpacked()
    for path in paths:
        _unpack_one(path, path.name, folder=folder, sheet=sheet, found=found)
    return found


def _unpack_one(path: Path, name: str, *, folder: Path, sheet: str | None, found: Unpacked) -> None:
    with path.open("rb") as file:
        magic = file.read(4)
    target = folder / f"{len(found.names)}.parquet"
    if magic == _OLE or (magic == _ZIP and _is_workbook(path)):
        _write_texts(target, _workbook_rows(path, name, sheet=sheet, notes=found.notes))
        found.names[target] = name
    elif magic == _ZIP:
        for member in _members(path, name, folder=folder / f"zip{len(found.names)}"):
            _unpack_one(member, f"{name}/{member.name}", folder=folder, sheet=sheet, found=found)
    elif _begins_like_json(path):
        _write_texts(target, _json_rows(path, name, notes=found.notes))
        found.names[target] = name
    else:
        found.names[path] = name


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part in archive.namelist() for part in _WORKBOOK_PARTS)
    except (zipfile.BadZipFile, OSError):
        return False


def _members(path: Path, name: str, *, folder: Path) -> Iterator[Path]:
    """The files of an archive, extracted under their base names; hidden files are left out."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                entry
                for entry in archive.infolist()
                if not entry.is_dir()
                and not PurePosixPath(entry.filename).name.startswith((".", "__"))
                and "__MACOSX" not in entry.filename
            ]
            size = sum(entry.file_size for entry in entries)
            if size > MAX_EXPANSION * max(path.stat().st_size, _COPY_BYTES):
                raise LoadError(f"{name}: unpacks to {size:,} bytes, which no log does; unpack it yourself")
            for number, entry in enumerate(entries):
                target = folder / str(number) / PurePosixPath(entry.filename).name
                target.parent.mkdir(parents=True)
                with archive.open(entry) as source, target.open("wb") as file:
                    while chunk := source.read(_COPY_BYTES):
                        file.write(chunk)
                yield target
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise LoadError(f"{name}: the archive cannot be unpacked: {error}. Unpack it and load its files.") from None


def _workbook_rows(path: Path, name: str, *, sheet: str | None, notes: list[str]) -> Iterator[Mapping[str, str | None]]:
    """Rows of one sheet; its header is the first row with two cells or more."""
    from python_calamine import CalamineError, load_workbook

    try:
        book = load_workbook(path)
        used = [n for n in book.sheet_names if book.get_sheet_by_name(n).height > 1]
        if sheet is not None and sheet not in book.sheet_names:
            raise LoadError(f"{name}: has no sheet {sheet!r}; its sheets are {', '.join(book.sheet_names)}")
        chosen = sheet or next(iter(used), book.sheet_names[0])
        cells = book.get_sheet_by_name(chosen).iter_rows()
    except CalamineError as error:
        raise LoadError(f"{name}: cannot be read as a workbook: {error}. Save it as .xlsx or CSV.") from None
    if len(used) > 1 and sheet is None:
        notes.append(
            f"{name}: the sheet {chosen} is loaded, not {', '.join(n for n in used if n != chosen)}; see --sheet"
        )
    header: list[str] | None = None
    for row in cells:
        values = [_cell(value) for value in row]
        if header is None:
            if sum(value is not None for value in values) >= 2:
                header = [(value or "").strip() for value in values]
        elif any(value is not None for value in values):
            yield {key: value for key, value in zip(header, values, strict=False) if key}
        else:
            yield dict.fromkeys(filter(None, header))


def _cell(value: Any) -> str | None:
    """A cell as text: dates as ISO 8601, whole numbers without a decimal point."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.timedelta):
        return str(value.total_seconds())
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)


def _begins_like_json(path: Path) -> bool:
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    try:
        with pa.input_stream(str(path), compression=packing) as stream:
            return bool(stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["))
    except (OSError, pa.ArrowException):
        return False  # the reader says what is wrong


def _json_rows(path: Path, name: str, *, notes: list[str]) -> Iterator[Mapping[str, str | None]]:
    """Objects of a JSON-lines file or of one array; nested objects give names with dots."""
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    with pa.input_stream(str(path), compression=packing) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="\n")
        first = text.read(1)
        while first.isspace():
            first = text.read(1)
        if first == "[":
            yield from map(_flat, _array(first + text.read(MAX_JSON_ARRAY_BYTES), name))
            return
        bad, number = 0, 0
        line = first + text.readline()
        while line:
            if line.strip():
                number += 1
                found = _object(line)
                bad += found is None
                if found is None and bad == 1:
                    notes.append(f"{name}: row {number} is not a JSON object, and has no values: {line.strip()[:60]}")
                yield _flat(found or {})
            line = text.readline()


def _array(text: str, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LoadError(f"{name}: begins as a JSON array but is none: {error}. Export JSON lines instead.") from None
    return [row if isinstance(row, dict) else {} for row in found]


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            values[prefix + key] = json.dumps(value, ensure_ascii=False)
        else:
            values[prefix + key] = _cell(value)
    return values


def _write_texts(path: Path, rows: Iterator[Mapping[str, str | None]]) -> None:
    """Write rows as Parquet. A column that appears after the first batch is left out: its name is not in the schema."""
    writer: pq.ParquetWriter | None = None
    batch: list[Mapping[str, str | None]] = []

    def flush() -> None:
        nonlocal writer
        if writer is None:
            names = list(dict.fromkeys(name for row in batch for name in row))
            writer = pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names or ["(nothing)"]]))
        columns = [pa.array([row.get(name) for row in batch], pa.string()) for name in writer.schema.names]
        writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
        batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            flush()
    flush()
    assert writer is not None
    writer.close()
