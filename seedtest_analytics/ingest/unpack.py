"""Workbooks, archives and JSON as files that the reader takes: Parquet with one text column for each column of the source.

Row numbers stay those of the source. CSV and Parquet files pass through.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from seedtest_analytics.ingest.columns import PROBLEM, REQUIRED
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance
from seedtest_analytics.ingest.formats import Format, Source, format_of
from seedtest_analytics.ingest.json_rows import begins_like_json, flat, json_objects
from seedtest_analytics.ingest.packing import OLE, PARQUET, ZIP, head_of, packing_of, refusing_damage, unpacked_stream
from seedtest_analytics.ingest.sources import LOG_SUFFIXES, column_names, distinct_names
from seedtest_analytics.ingest.text_tables import table_rows, write_texts
from seedtest_analytics.ingest.workbooks import check_workbook, is_workbook, workbook_rows

_COPY_BYTES = 1 << 20


@dataclass
class Unpacked:
    """Files for the reader with the names that reports show, and what the user should know about them.

    ``origins`` has the path that the user gave. ``asides`` are members of archives that no name shows to be logs.
    """

    names: dict[Path, str] = field(default_factory=dict)
    origins: dict[Path, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    json: set[Path] = field(default_factory=set)
    asides: set[Path] = field(default_factory=set)
    _uses: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, name: str, *, origin: Path) -> None:
        """Add a file. Rejects are stored by name and row, so a second file of one name gets a number."""
        self._uses[name] += 1
        self.names[path] = name if self._uses[name] == 1 else f"{name} ({self._uses[name]})"
        self.origins[path] = origin


def unpack(paths: list[Path], folder: Path, *, sheet: str | None = None, encoding: str | None = None) -> Unpacked:
    """Unpack what is not CSV or Parquet into ``folder``. Raises :class:`LoadError` with file, cause and remedy.

    Without an ``encoding``, that of each file is guessed.
    """
    found = Unpacked()
    for path, name in zip(paths, distinct_names(paths), strict=True):
        _Unpacker(path, Allowance(path, name), folder=folder, sheet=sheet, found=found).take(path, name)
    return in_our_columns(found, folder, encoding=encoding)


@dataclass(frozen=True)
class _Unpacker:
    """Unpacks one file of the user with everything inside it."""

    origin: Path
    allowance: Allowance
    folder: Path
    sheet: str | None
    found: Unpacked

    def take(self, path: Path, name: str) -> None:
        """Add a file, or what is in it."""
        head = head_of(path, name=name)
        if head.startswith((PARQUET, ZIP, OLE)) and packing_of(path) is not None:
            path = self._without_packing(path, name)
        if head.startswith(OLE) or (head.startswith(ZIP) and is_workbook(path)):
            if head.startswith(ZIP):
                check_workbook(path, name, allowance=self.allowance)
            target = self.folder / f"{len(self.found.names)}.parquet"
            write_texts(target, workbook_rows(path, name, sheet=self.sheet, notes=self.found.notes), name=name)
            self.found.add(target, name, origin=self.origin)
        elif head.startswith(ZIP):
            self._take_members(path, name)
        else:
            if begins_like_json(head):
                self.found.json.add(path)
            self.found.add(path, name, origin=self.origin)

    def _without_packing(self, path: Path, name: str) -> Path:
        target = Path(tempfile.mkdtemp(prefix="packed", dir=self.folder)) / path.stem
        with refusing_damage(name), unpacked_stream(path) as stream, target.open("wb") as file:
            while chunk := stream.read(_COPY_BYTES):
                self.allowance.take(len(chunk))
                file.write(chunk)
        return target

    def _take_members(self, path: Path, name: str) -> None:
        inside = Path(tempfile.mkdtemp(prefix="zip", dir=self.folder))
        for member, its_name in _members(path, name, folder=inside, allowance=self.allowance):
            before = len(self.found.names)
            is_aside = not member.name.lower().endswith(LOG_SUFFIXES)
            try:
                self.take(member, its_name)
            except LoadError as error:
                if not is_aside or self.allowance.bytes < 0:
                    raise
                self.found.notes.append(f"left out: {error}")
            if is_aside:
                self.found.asides.update(list(self.found.names)[before:])


def _members(path: Path, name: str, *, folder: Path, allowance: Allowance) -> Iterator[tuple[Path, str]]:
    """The files of an archive, extracted under their base names, and their names; hidden files are left out."""
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
                yield target, f"{name}/{entry.filename.lstrip('/')}"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise LoadError(f"{name}: the archive cannot be unpacked: {error}. Unpack it and load its files.") from None


def in_our_columns(found: Unpacked, folder: Path, *, encoding: str | None = None) -> Unpacked:
    """Turn files of known formats into files in the loader's columns, and other JSON into tables."""
    formats = {path: _format(path, found, encoding=encoding) for path in found.names}
    result = Unpacked(notes=found.notes)
    companions = _companions(found, formats, encoding=encoding)
    has_logs = any(known is not None or path not in found.asides for path, known in formats.items())
    told: set[str] = set()
    for number, (path, name) in enumerate(found.names.items()):
        known, target, origin = formats[path], folder / f"rows-{number}.parquet", found.origins[path]
        if known is not None and known.attempts is not None:
            rows = known.attempts(Source(name, _rows(path, found, encoding=encoding), companions))
            write_texts(target, rows, name=name, columns=REQUIRED)
            if known.name not in told:
                told.add(known.name)
                result.notes.append(f"{name} is of the format {known.name}: {known.about}")
            result.add(target, name, origin=origin)
        elif known is None and path in found.asides and has_logs:
            result.notes.append(f"left out: {name}: neither its name nor its columns are those of a log")
        elif known is None and path in found.json:
            write_texts(target, map(flat, json_objects(path, name, encoding=encoding)), name=name)
            result.add(target, name, origin=origin)
        elif known is None:
            result.add(path, name, origin=origin)
    if not result.names:
        raise LoadError(
            f"{', '.join(found.names.values())}: no file with attempts; load these together with the attempts"
        )
    return result


def _companions(
    found: Unpacked, formats: Mapping[Path, Format | None], *, encoding: str | None
) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of the files without attempts, by their format."""
    companions: dict[str, list[Mapping[str, Any]]] = {}
    for path, known in formats.items():
        if known is not None and known.is_companion:
            rows = list(_rows(path, found, encoding=encoding))
            usable = [row for row in rows if PROBLEM not in row]
            if len(usable) < len(rows):
                found.notes.append(f"{found.names[path]}: {len(rows) - len(usable):,} rows are malformed and left out")
            companions.setdefault(known.name, []).extend(usable)
    return companions


def _rows(path: Path, found: Unpacked, *, encoding: str | None) -> Iterator[Mapping[str, Any]]:
    read = json_objects if path in found.json else table_rows
    return iter(read(path, found.names[path], encoding=encoding))


def _format(path: Path, found: Unpacked, *, encoding: str | None) -> Format | None:
    name = found.names[path]
    if path in found.json:
        objects = json_objects(path, name, encoding=encoding)
        return format_of(set(next((row for row in objects if PROBLEM not in row), {})), "json")
    try:
        columns = [column.strip() for column in column_names(path, encoding=encoding, name=name)]
    except LoadError:
        return None  # the reader says what is wrong
    known = format_of(set(columns), "table")
    doubled = [] if known is None else [c for c, uses in Counter(columns).items() if uses > 1 and known.uses(c)]
    if doubled:
        raise LoadError(f"{name}: the column {doubled[0]!r} occurs twice. Rename one.")
    return known
