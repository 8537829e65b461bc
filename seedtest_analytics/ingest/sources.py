"""Find, open and check the files of a log, and read them in batches of limited memory."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seedtest_analytics.ingest.columns import PROBLEM, PROBLEM_REASONS, check_mapping, resolve_columns
from seedtest_analytics.ingest.csv_table import Batch, MalformedRow, csv_batches
from seedtest_analytics.ingest.csv_text import encoding_of, line_blocks, read_header
from seedtest_analytics.ingest.encodings import guessed_encoding
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.packing import OLE, PARQUET, ZIP, head_of, refusing_damage

BATCH_ROWS = 65_536
_SNIFFED_BYTES = 1 << 16
_KINDS = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".zip")
LOG_SUFFIXES = tuple(f"{kind}{packed}" for kind in _KINDS for packed in ("", ".gz", ".zst", ".bz2"))
"""Files of a folder that are or an archive that are taken for logs; any other file is named by itself."""


@dataclass(frozen=True)
class LogFile:
    """A file whose columns were found. ``columns`` maps our names to positions in the file."""

    path: Path
    name: str
    is_parquet: bool
    columns: Mapping[str, int]
    estimated_rows: int
    encoding: str = "utf-8"
    has_zero_rows: bool = False


@dataclass(frozen=True)
class Found:
    """A file to be read, the name that reports show, and the user's path, which has it or is it."""

    path: Path
    name: str
    origin: Path


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that the patterns match (a file, a folder of logs, or a glob), sorted, without duplicates.

    Raises :class:`LoadError` for a pattern without a match.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        refuse_pipe(path)
        if path.is_dir():
            matches = [p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(LOG_SUFFIXES)]
        elif path.exists():
            matches = [path]
        else:
            matches = [Path(p) for p in glob.glob(str(pattern), recursive=True) if Path(p).is_file()]
        if not matches:
            what = (
                "the folder contains no .parquet, .csv, .jsonl or workbook file" if path.is_dir() else "file not found"
            )
            raise LoadError(f"{pattern}: {what}; check the path (relative to {Path.cwd()})")
        found.extend(sorted(matches))
    if not found:
        raise LoadError("name at least one Parquet or CSV file")
    return list(dict.fromkeys(p.resolve() for p in found))


def refuse_pipe(path: Path) -> None:
    """Raise :class:`LoadError` for what is neither file nor folder: a log is read more than once."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise LoadError(f"{path}: a pipe or a device, and a log is read more than once; write it to a file first")


def open_logs(
    paths: Sequence[Path],
    mapping: Mapping[str, str],
    *,
    encoding: str | None = "utf-8",
    names: Mapping[Path, str] | None = None,
    origins: Mapping[Path, Path] | None = None,
) -> list[LogFile]:
    """Open every file before any row is read. Raises :class:`LoadError` with file, cause and remedy.

    Without an ``encoding``, that of each file is guessed. ``origins`` has the user's paths, for remedies.
    """
    check_mapping(mapping)
    shown = [(names or {}).get(path, name) for path, name in zip(paths, distinct_names(paths), strict=True)]
    found = [Found(path, name, (origins or {}).get(path, path)) for path, name in zip(paths, shown, strict=True)]
    return _opened(found, mapping, encoding=encoding)


def _opened(found: Sequence[Found], mapping: Mapping[str, str], *, encoding: str | None) -> list[LogFile]:
    logs = [_open(file, mapping, encoding=encoding) for file in found]
    if all(log.has_zero_rows for log in logs):
        raise LoadError(f"{', '.join(log.name for log in logs)}: no rows after the header, so there is nothing to load")
    return logs


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """File names, with as many parent folders as needed to make them unique."""
    depth = 1
    while True:
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
        depth += 1


def _open(file: Found, mapping: Mapping[str, str], *, encoding: str | None) -> LogFile:
    path, name = file.path, file.name
    try:
        with path.open("rb") as opened:
            magic = opened.read(4)
        size = path.stat().st_size
    except OSError as error:
        raise LoadError(f"{name}: cannot be read: {error.strerror}. Check the file and its permissions.") from None
    if size == 0:
        raise LoadError(f"{name}: the file is empty (0 bytes); export it again")
    if magic == PARQUET:
        return _open_parquet(file, mapping)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise LoadError(f"{name}: not a Parquet file despite its name (it does not begin with PAR1)")
    if magic in (ZIP, OLE):
        raise LoadError(f"{name}: an Excel workbook or a zip archive; save the sheet as CSV, or unpack the archive")
    return _open_csv(file, mapping, encoding=encoding, size=size)


def _open_parquet(file: Found, mapping: Mapping[str, str]) -> LogFile:
    path, name = file.path, file.name
    try:
        with pq.ParquetFile(path) as parquet:
            found, rows = parquet.schema_arrow.names, parquet.metadata.num_rows
            columns = resolve_columns(found, mapping, file_name=name, path=file.origin)
            schema = parquet.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{name}: damaged Parquet file: {error}. Export or copy it again.") from None
    for our, position in columns.items():
        field = schema.field(position)
        if pa.types.is_nested(field.type):
            raise LoadError(
                f"{name}: column {field.name!r} ({our}) has type {field.type}, but it needs one value a row; "
                "export the column as text or numbers"
            )
    return LogFile(path, name, is_parquet=True, columns=columns, estimated_rows=rows, has_zero_rows=rows == 0)


def _open_csv(file: Found, mapping: Mapping[str, str], *, encoding: str | None, size: int) -> LogFile:
    path, name = file.path, file.name
    found = csv_encoding(path, encoding, name=name)
    with refusing_damage(name):
        first = next(line_blocks(path, encoding=found, block_bytes=_SNIFFED_BYTES), b"")
    header = read_header(first, name=name)
    columns = resolve_columns(header.names, mapping, file_name=name, path=file.origin)
    return LogFile(
        path,
        name,
        is_parquet=False,
        columns=columns,
        estimated_rows=int(size * first.count(b"\n") / max(1, min(size, _SNIFFED_BYTES))),
        encoding=found,
        has_zero_rows=not header.rest.strip(),
    )


def column_names(path: Path, *, encoding: str | None, name: str) -> list[str]:
    """Names of the columns of a file. Raises :class:`LoadError` if it cannot be read."""
    with refusing_damage(name):
        if is_parquet(path):
            with pq.ParquetFile(path) as parquet:
                return list(parquet.schema_arrow.names)
        found = csv_encoding(path, encoding, name=name)
        first = next(line_blocks(path, encoding=found, block_bytes=_SNIFFED_BYTES), b"")
    return list(read_header(first, name=name).names)


def is_parquet(path: Path) -> bool:
    """Whether a file begins like Parquet."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def csv_encoding(path: Path, encoding: str | None, *, name: str) -> str:
    """The encoding of a CSV file: by its mark, as given, or guessed. Raises :class:`LoadError` if it cannot be right."""
    head = head_of(path, name=name)
    return encoding_of(head, encoding or guessed_encoding(head), name=name)


def read_batches(log: LogFile) -> Iterator[Batch]:
    """The file in batches. Raises :class:`LoadError` if it is damaged."""
    with refusing_damage(log.name):
        if log.is_parquet:
            yield from _parquet_batches(log)
        else:
            yield from csv_batches(log.path, log.name, encoding=log.encoding, columns=log.columns)


def _parquet_batches(log: LogFile) -> Iterator[Batch]:
    done = 0
    with pq.ParquetFile(log.path, pre_buffer=False) as file:
        found = file.schema_arrow.names
        names = {our: found[position] for our, position in log.columns.items()}
        used = [*names.values(), *(name for name in found if name == PROBLEM)]
        for rows in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(used))):
            numbers = np.arange(done + 1, done + rows.num_rows + 1)
            done, units = done + rows.num_rows, rows.num_rows
            malformed: list[MalformedRow] = []
            if PROBLEM in used:
                problems = rows.column(PROBLEM)
                is_bad = np.asarray(pc.is_valid(problems))
                texts = pc.cast(problems.drop_null(), pa.binary()).to_pylist()
                malformed = [_malformed(int(number), text) for number, text in zip(numbers[is_bad], texts, strict=True)]
                rows, numbers = rows.filter(pa.array(~is_bad)), numbers[~is_bad]
            columns = {our: _without_views(rows.column(name)) for our, name in names.items()}
            yield Batch(columns, numbers, malformed=malformed, units_done=units)


def _malformed(number: int, problem: bytes) -> MalformedRow:
    reason, _, text = problem.partition(b"\n")
    known = next((known for known in PROBLEM_REASONS if known.encode() == reason), "row_unusable")
    return MalformedRow(number, text, reason=known)


def _without_views(array: pa.Array) -> pa.Array:
    """Texts as bytes where they are views, of which Arrow takes and filters nothing."""
    is_view = pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)
    return pc.cast(array, pa.binary()) if is_view else array
