"""Workbooks, archives and JSON as files that the reader takes: Parquet with one text column for each column of the source.

Row numbers stay those of the source. CSV and Parquet files pass through.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.csv_text import packing_of
from seedtest_analytics.ingest.encodings import guessed_encoding
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance
from seedtest_analytics.ingest.formats import Format, Source, format_of
from seedtest_analytics.ingest.json_rows import begins_like_json, flat, json_objects
from seedtest_analytics.ingest.sources import column_names

BATCH_ROWS = 65_536
MAX_CELLS = 50_000_000
"""Cells of a workbook: its reader takes memory for each cell of the rectangle, also for empty ones."""
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_WORKBOOK_PARTS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_CELL = re.compile(rb'<c\b[^>]{0,99}?\br="([A-Z]{1,3})(\d{1,7})"')
_CELL_BYTES = 128
_COPY_BYTES = 1 << 20


@dataclass
class Unpacked:
    """Files for the reader with the names that reports show, and what the user should know about them."""

    names: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    json: set[Path] = field(default_factory=set)


def unpack(paths: list[Path], folder: Path, *, sheet: str | None = None) -> Unpacked:
    """Unpack what is not CSV or Parquet into ``folder``. Raises :class:`LoadError` with file, cause and remedy."""
    found = Unpacked()
    for path in paths:
        _unpack_one(path, path.name, folder=folder, sheet=sheet, found=found, allowance=Allowance(path, path.name))
    return in_our_columns(found, folder)


def _unpack_one(
    path: Path, name: str, *, folder: Path, sheet: str | None, found: Unpacked, allowance: Allowance
) -> None:
    with path.open("rb") as file:
        magic = file.read(4)
    target = folder / f"{len(found.names)}.parquet"
    if magic == _OLE or (magic == _ZIP and _is_workbook(path)):
        if magic == _ZIP:
            _check_workbook(path, name, allowance=allowance)
        write_texts(target, _workbook_rows(path, name, sheet=sheet, notes=found.notes))
        found.names[target] = name
    elif magic == _ZIP:
        inside = Path(tempfile.mkdtemp(prefix="zip", dir=folder))
        for member in _members(path, name, folder=inside, allowance=allowance):
            _unpack_one(member, f"{name}/{member.name}", folder=folder, sheet=sheet, found=found, allowance=allowance)
    elif begins_like_json(path):
        found.json.add(path)
        found.names[path] = name
    else:
        found.names[path] = name


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part in archive.namelist() for part in _WORKBOOK_PARTS)
    except (zipfile.BadZipFile, OSError):
        return False


def _check_workbook(path: Path, name: str, *, allowance: Allowance) -> None:
    """Raises :class:`LoadError` for a workbook that would use up the memory."""
    with zipfile.ZipFile(path) as archive:
        allowance.take(sum(entry.file_size for entry in archive.infolist()))
        sheets = [entry for entry in archive.infolist() if _SHEET.fullmatch(entry.filename)]
        for sheet in sheets:
            rows, columns, end = 0, 0, b""
            with archive.open(sheet) as file:
                while chunk := file.read(_COPY_BYTES):
                    for letters, number in _CELL.findall(end + chunk):
                        rows, columns = max(rows, int(number)), max(columns, _column_number(letters))
                    end = chunk[-_CELL_BYTES:]
            if rows * columns > MAX_CELLS:
                raise LoadError(
                    f"{name}: a sheet has {rows:,} rows and {columns:,} columns, more than {MAX_CELLS:,} cells; save its rows "
                    "as CSV"
                )


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number


def _members(path: Path, name: str, *, folder: Path, allowance: Allowance) -> Iterator[Path]:
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
            allowance.take(sum(entry.file_size for entry in entries))
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
        values = [cell_text(value) for value in row]
        if header is None:
            if sum(value is not None for value in values) >= 2:
                header = [(value or "").strip() for value in values]
        elif any(value is not None for value in values):
            yield {key: value for key, value in zip(header, values, strict=False) if key}
        else:
            yield dict.fromkeys(filter(None, header))


def in_our_columns(found: Unpacked, folder: Path) -> Unpacked:
    """Turn files of known formats into files in the loader's columns, and other JSON into tables."""
    formats = {path: _format(path, name, is_json=path in found.json) for path, name in found.names.items()}
    companions: dict[str, list[Mapping[str, Any]]] = {}
    for path, name in found.names.items():
        known = formats[path]
        if known is not None and known.is_companion:
            companions.setdefault(known.name, []).extend(_table_rows(path, name))
    result = Unpacked(notes=found.notes)
    told: set[str] = set()
    for number, (path, name) in enumerate(found.names.items()):
        known, target = formats[path], folder / f"rows-{number}.parquet"
        if known is not None and known.attempts is not None:
            is_json = path in found.json
            rows = json_objects(path, name, notes=result.notes) if is_json else _table_rows(path, name)
            write_texts(target, known.attempts(Source(name, rows, companions)))
            if known.name not in told:
                told.add(known.name)
                result.notes.append(f"{name} is of the format {known.name}: {known.about}")
            result.names[target] = name
        elif known is None and path in found.json:
            write_texts(target, map(flat, json_objects(path, name, notes=result.notes)))
            result.names[target] = name
        elif known is None:
            result.names[path] = name
    if not result.names:
        raise LoadError(
            f"{', '.join(found.names.values())}: no file with attempts; load these together with the attempts"
        )
    return result


def _format(path: Path, name: str, *, is_json: bool) -> Format | None:
    if is_json:
        first = next(iter(json_objects(path, name, notes=[])), {})
        return format_of(set(first), "json")
    try:
        return format_of(
            {column.strip() for column in column_names(path, encoding=_encoding(path), name=name)}, "table"
        )
    except LoadError:
        return None  # the reader says what is wrong


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    with pa.input_stream(str(path), compression=packing) as stream:
        return guessed_encoding(stream.read(_COPY_BYTES))


def _table_rows(path: Path, name: str) -> Iterator[dict[str, str | None]]:
    """Rows of a CSV or Parquet file as texts, by column."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    yield {key: cell_text(value) for key, value in row.items()}
        return
    encoding = _encoding(path)
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    header = column_names(path, encoding=encoding, name=name)
    with pa.input_stream(str(path), compression=packing) as stream:
        text = io.TextIOWrapper(
            stream, encoding="utf-8-sig" if encoding == "utf-8" else encoding, errors="replace", newline=""
        )
        first = text.readline()
        delimiter = max(",;\t|", key=re.sub('"[^"]*"', "", first).count)
        for values in csv.reader(text, delimiter=delimiter):
            if values:
                yield {key: value if value != "" else None for key, value in zip_longest(header, values[: len(header)])}


def write_texts(path: Path, rows: Iterator[Mapping[str, str | None]]) -> None:
    """Write rows as Parquet. A column that appears after the first batch is left out: its name is not in the schema."""
    writer: pq.ParquetWriter | None = None
    batch: list[Mapping[str, str | None]] = []

    def flush() -> None:
        nonlocal writer
        if writer is None:
            names = list(dict.fromkeys(name for row in batch for name in row))
            writer = pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names or ["(nothing)"]]))
        columns = [_texts([row.get(name) for row in batch]) for name in writer.schema.names]
        writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
        batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            flush()
    flush()
    assert writer is not None
    writer.close()


def _texts(values: list[str | None]) -> pa.Array:
    """Half a surrogate pair, which JSON can have, becomes bytes that are not UTF-8; the reader rejects their row."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raw = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
        return pa.array(raw, pa.binary()).cast(pa.string(), safe=False)
