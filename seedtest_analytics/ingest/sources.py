"""Find, open and check the files of a log, and read them in batches of limited memory."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from seedtest_analytics.ingest.columns import check_mapping, resolve_columns
from seedtest_analytics.ingest.errors import LoadError

BATCH_ROWS = 65_536
_CSV_BLOCK_BYTES = 4 << 20
_SNIFFED_BYTES = 1 << 16
_DELIMITERS = ",;\t|"
_PARQUET_MAGIC = b"PAR1"
_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz")


@dataclass(frozen=True)
class MalformedRow:
    """A CSV row whose number of fields differs from the header's."""

    row_number: int
    text: str


@dataclass(frozen=True)
class Batch:
    """Rows of a file by our column names, their numbers (1 follows the header), and the malformed rows among them."""

    columns: Mapping[str, pa.Array]
    row_numbers: np.ndarray
    malformed: Sequence[MalformedRow] = ()
    units_done: int = 0


@dataclass(frozen=True)
class LogFile:
    """A file whose columns were found. ``columns`` maps our names to the file's."""

    path: Path
    name: str
    is_parquet: bool
    columns: Mapping[str, str]
    estimated_rows: int
    delimiter: str = ","
    encoding: str = "utf-8"
    has_zero_rows: bool = False


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that the patterns match (a file, a folder of logs, or a glob), sorted, without duplicates.

    Raises :class:`LoadError` for a pattern without a match.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = [p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(_SUFFIXES)]
        elif path.exists():
            matches = [path]
        else:
            matches = [Path(p) for p in glob.glob(str(pattern), recursive=True) if Path(p).is_file()]
        if not matches:
            what = "the folder contains no .parquet or .csv file" if path.is_dir() else "file not found"
            raise LoadError(f"{pattern}: {what}; check the path (relative to {Path.cwd()})")
        found.extend(sorted(matches))
    if not found:
        raise LoadError("name at least one Parquet or CSV file")
    return list(dict.fromkeys(p.resolve() for p in found))


def open_logs(paths: Sequence[Path], mapping: Mapping[str, str], *, encoding: str = "utf-8") -> list[LogFile]:
    """Open every file before any row is read. Raises :class:`LoadError` with file, cause and remedy."""
    check_mapping(mapping)
    names = _distinct_names(paths)
    logs = [_open(path, name, mapping=mapping, encoding=encoding) for path, name in zip(paths, names, strict=True)]
    if all(log.has_zero_rows for log in logs):
        raise LoadError(f"{', '.join(names)}: no rows after the header, so there is nothing to load")
    return logs


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    """File names, with as many parent folders as needed to make them unique."""
    depth = 1
    while True:
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
        depth += 1


def _open(path: Path, name: str, *, mapping: Mapping[str, str], encoding: str) -> LogFile:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        size = path.stat().st_size
    except OSError as error:
        raise LoadError(f"{name}: cannot be read: {error.strerror}. Check the file and its permissions.") from None
    if size == 0:
        raise LoadError(f"{name}: the file is empty (0 bytes); export it again")
    if magic == _PARQUET_MAGIC:
        return _open_parquet(path, name, mapping=mapping)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise LoadError(f"{name}: not a Parquet file despite its name (it does not begin with PAR1)")
    return _open_csv(path, name, mapping=mapping, encoding=encoding, size=size)


def _open_parquet(path: Path, name: str, *, mapping: Mapping[str, str]) -> LogFile:
    try:
        with pq.ParquetFile(path) as file:
            found, rows = file.schema_arrow.names, file.metadata.num_rows
            columns = resolve_columns(found, mapping, file_name=name, path=path)
            schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{name}: damaged Parquet file: {error}. Export or copy it again.") from None
    for our, column in columns.items():
        if pa.types.is_nested(schema.field(column).type):
            raise LoadError(
                f"{name}: column {column!r} ({our}) has type {schema.field(column).type}; it needs one value per row"
            )
    return LogFile(path, name, is_parquet=True, columns=columns, estimated_rows=rows, has_zero_rows=rows == 0)


def _open_csv(path: Path, name: str, *, mapping: Mapping[str, str], encoding: str, size: int) -> LogFile:
    try:
        with pa.input_stream(str(path)) as stream:  # unpacks .gz by its name
            head = stream.read(_SNIFFED_BYTES)
    except OSError as error:
        raise LoadError(f"{name}: cannot be unpacked: {error}. Export or copy it again.") from None
    header = _header_line(head, name, encoding=encoding)
    log = LogFile(
        path,
        name,
        is_parquet=False,
        columns={},
        estimated_rows=0,
        delimiter=max(_DELIMITERS, key=header.count),
        encoding=encoding,
    )
    try:
        with _csv_reader(log, [], columns=None) as reader:
            found = reader.schema.names
    except pa.ArrowException as error:
        raise LoadError(f"{name}: no CSV: {error}") from None
    columns = resolve_columns(found, mapping, file_name=name, path=path)
    lines = head.split(b"\n")
    estimated_rows = int(size / max(1.0, len(head) / len(lines)))
    is_empty = not any(line.strip() for line in lines[1:])
    return LogFile(
        path,
        name,
        is_parquet=False,
        columns=columns,
        estimated_rows=estimated_rows,
        delimiter=log.delimiter,
        encoding=encoding,
        has_zero_rows=is_empty,
    )


def _header_line(head: bytes, name: str, *, encoding: str) -> str:
    """The first line. The rest is decoded later, so a row in another encoding is rejected alone."""
    try:
        header = (head.decode(encoding, "replace").splitlines() or [""])[0]
    except LookupError:
        raise LoadError(f"--encoding {encoding!r} is unknown; use e.g. utf-8, cp949 or latin-1") from None
    if "\ufffd" in header:
        raise LoadError(
            f"{name}: the header is not {encoding}; name its encoding, e.g. --encoding cp949 (Korean Excel)"
        )
    if "\x00" in header:
        raise LoadError(f"{name}: neither Parquet nor text; an attempt log is a .parquet or .csv file")
    return header.removeprefix("\ufeff")


def read_batches(log: LogFile) -> Iterator[Batch]:
    """The file in batches. Raises :class:`LoadError` if it is damaged."""
    try:
        yield from _parquet_batches(log) if log.is_parquet else _csv_batches(log)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise LoadError(
            f"{log.name}: cannot be read to the end: {error}. Nothing was loaded; export or copy it again."
        ) from None


def _parquet_batches(log: LogFile) -> Iterator[Batch]:
    done = 0
    with pq.ParquetFile(log.path, pre_buffer=False) as file:
        for rows in file.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(log.columns.values()))):
            columns = {our: rows.column(column) for our, column in log.columns.items()}
            numbers = np.arange(done + 1, done + rows.num_rows + 1)
            done += rows.num_rows
            yield Batch(columns, numbers, malformed=(), units_done=rows.num_rows)


def _csv_reader(log: LogFile, malformed: list[MalformedRow], *, columns: Sequence[str] | None) -> Any:
    def keep_malformed(row: Any) -> str:
        malformed.append(MalformedRow(row.number - 1, row.text))  # the header is row 1 of the reader
        return "skip"

    return pa_csv.open_csv(
        str(log.path),
        # A parallel reader does not report the numbers of malformed rows.
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES, encoding=log.encoding),
        parse_options=pa_csv.ParseOptions(
            delimiter=log.delimiter, invalid_row_handler=keep_malformed, newlines_in_values=True
        ),
        # Bytes, so that a value in another encoding rejects its row, not the file.
        convert_options=pa_csv.ConvertOptions(
            column_types={column: pa.binary() for column in columns or ()},
            include_columns=list(columns or ()),
            strings_can_be_null=False,
        ),
    )


def _csv_batches(log: LogFile) -> Iterator[Batch]:
    ahead: list[MalformedRow] = []  # the reader parses a block ahead, so some rows belong to a later batch
    number = 1
    with _csv_reader(log, ahead, columns=list(dict.fromkeys(log.columns.values()))) as reader:
        for rows in reader:
            numbers = _numbers_between(number, rows.num_rows, taken=[row.row_number for row in ahead])
            number = int(numbers[-1]) + 1 if len(numbers) else number
            malformed = [row for row in ahead if row.row_number < number]
            ahead[:] = [row for row in ahead if row.row_number >= number]
            columns = {our: rows.column(column) for our, column in log.columns.items()}
            yield Batch(columns, numbers, malformed=malformed, units_done=rows.num_rows + len(malformed))
    if ahead:
        yield Batch(
            {our: pa.array([], pa.string()) for our in log.columns},
            np.arange(0),
            malformed=ahead,
            units_done=len(ahead),
        )


def _numbers_between(first: int, rows: int, *, taken: Sequence[int]) -> np.ndarray:
    """The first ``rows`` numbers from ``first`` on, without those of malformed rows."""
    numbers = np.arange(first, first + rows + len(taken))
    return numbers[~np.isin(numbers, taken)][:rows]
