"""Find, open and check the files of a log, and read them in batches of limited memory."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from seedtest_analytics.ingest.columns import PROBLEM, check_mapping, resolve_columns
from seedtest_analytics.ingest.csv_records import (
    Records,
    RowTest,
    lines_as_records,
    row_test,
    split_records,
    without_padding,
)
from seedtest_analytics.ingest.csv_text import Dialect, Header, encoding_of, line_blocks, packing_of, read_header
from seedtest_analytics.ingest.errors import LoadError

BATCH_ROWS = 65_536
_CSV_BLOCK_BYTES = 4 << 20
_SNIFFED_BYTES = 1 << 16
_PARQUET_MAGIC = b"PAR1"
_WORKBOOK_MAGICS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_KINDS = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".zip")
_SUFFIXES = tuple(f"{kind}{packed}" for kind in _KINDS for packed in ("", ".gz", ".zst", ".bz2"))
"""Files of a folder that are taken for logs; any other file is named by itself."""


@dataclass(frozen=True)
class MalformedRow:
    """A CSV row that cannot be taken apart, with the reason."""

    row_number: int
    text: bytes
    reason: str


@dataclass(frozen=True)
class Batch:
    """Rows of a file by our column names, their numbers (1 follows the header), and the malformed rows among them."""

    columns: Mapping[str, pa.Array]
    row_numbers: np.ndarray
    malformed: Sequence[MalformedRow] = ()
    units_done: int = 0


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
            what = (
                "the folder contains no .parquet, .csv, .jsonl or workbook file" if path.is_dir() else "file not found"
            )
            raise LoadError(f"{pattern}: {what}; check the path (relative to {Path.cwd()})")
        found.extend(sorted(matches))
    if not found:
        raise LoadError("name at least one Parquet or CSV file")
    return list(dict.fromkeys(p.resolve() for p in found))


def open_logs(
    paths: Sequence[Path],
    mapping: Mapping[str, str],
    *,
    encoding: str = "utf-8",
    names: Mapping[Path, str] | None = None,
) -> list[LogFile]:
    """Open every file before any row is read. Raises :class:`LoadError` with file, cause and remedy."""
    check_mapping(mapping)
    shown = [(names or {}).get(path, name) for path, name in zip(paths, _distinct_names(paths), strict=True)]
    return _opened(paths, shown, mapping=mapping, encoding=encoding)


def _opened(paths: Sequence[Path], names: Sequence[str], *, mapping: Mapping[str, str], encoding: str) -> list[LogFile]:
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
    if magic in _WORKBOOK_MAGICS:
        raise LoadError(f"{name}: an Excel workbook or a zip archive; save the sheet as CSV, or unpack the archive")
    return _open_csv(path, name, mapping=mapping, encoding=encoding, size=size)


def _open_parquet(path: Path, name: str, *, mapping: Mapping[str, str]) -> LogFile:
    try:
        with pq.ParquetFile(path) as file:
            found, rows = file.schema_arrow.names, file.metadata.num_rows
            columns = resolve_columns(found, mapping, file_name=name, path=path)
            schema = file.schema_arrow
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


def _open_csv(path: Path, name: str, *, mapping: Mapping[str, str], encoding: str, size: int) -> LogFile:
    try:
        with path.open("rb") as file:
            packing = packing_of(file.read(2))
        with pa.input_stream(str(path), compression=packing) as stream:
            head = stream.read(_SNIFFED_BYTES)
    except (OSError, pa.ArrowException) as error:
        raise LoadError(f"{name}: cannot be unpacked: {error}. Export or copy it again.") from None
    found = encoding_of(head, encoding, name=name)
    try:
        first = next(line_blocks(path, encoding=found, block_bytes=_SNIFFED_BYTES), b"")
    except (OSError, pa.ArrowException) as error:
        raise LoadError(f"{name}: cannot be unpacked: {error}. Export or copy it again.") from None
    header = read_header(first, name=name)
    columns = resolve_columns(header.names, mapping, file_name=name, path=path)
    return LogFile(
        path,
        name,
        is_parquet=False,
        columns=columns,
        estimated_rows=int(size * first.count(b"\n") / max(1, len(head))),
        encoding=found,
        has_zero_rows=not header.rest.strip(),
    )


def column_names(path: Path, *, encoding: str, name: str) -> list[str]:
    """Names of the columns of a file. Raises :class:`LoadError` if it cannot be read."""
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        if magic == _PARQUET_MAGIC:
            with pq.ParquetFile(path) as parquet:
                return list(parquet.schema_arrow.names)
        first = next(
            line_blocks(path, encoding=_csv_encoding(path, encoding, name=name), block_bytes=_SNIFFED_BYTES), b""
        )
    except (OSError, pa.ArrowException) as error:
        raise LoadError(f"{name}: cannot be read: {error}. Export or copy it again.") from None
    return list(read_header(first, name=name).names)


def _csv_encoding(path: Path, encoding: str, *, name: str) -> str:
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    with pa.input_stream(str(path), compression=packing) as stream:
        return encoding_of(stream.read(_SNIFFED_BYTES), encoding, name=name)


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
                texts = problems.drop_null().to_pylist()
                malformed = [
                    MalformedRow(int(number), text.encode(), reason="statement_invalid")
                    for number, text in zip(numbers[is_bad], texts, strict=True)
                ]
                rows, numbers = rows.filter(pa.array(~is_bad)), numbers[~is_bad]
            columns = {our: _without_views(rows.column(name)) for our, name in names.items()}
            yield Batch(columns, numbers, malformed=malformed, units_done=units)


def _without_views(array: pa.Array) -> pa.Array:
    """Texts as bytes where they are views, of which Arrow takes and filters nothing."""
    is_view = pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)
    return pc.cast(array, pa.binary()) if is_view else array


def _csv_batches(log: LogFile) -> Iterator[Batch]:
    """Parse block by block. The rows of each block are counted without the parser, and both counts must agree."""
    table: _CsvTable | None = None
    rest, done = b"", 0
    for block, is_last in _with_last(line_blocks(log.path, encoding=log.encoding, block_bytes=_CSV_BLOCK_BYTES)):
        if table is None:
            header = read_header(block, name=log.name)
            table, block = _CsvTable.of(log, header), header.rest
        batch, rest = table.batch(rest + block, done, is_last=is_last)
        done += batch.units_done
        yield batch


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each block, and whether it is the last one."""
    waiting = next(blocks, None)
    for following in blocks:
        if waiting is not None:
            yield waiting, False
        waiting = following
    if waiting is not None:
        yield waiting, True


@dataclass(frozen=True)
class _CsvTable:
    """The columns of a CSV file by position, and how its lines are cut and parsed."""

    log: LogFile
    dialect: Dialect
    n_fields: int
    is_row: RowTest

    @classmethod
    def of(cls, log: LogFile, header: Header) -> _CsvTable:
        n_fields = len(header.names)
        is_row = row_test(
            header.dialect, n_fields=n_fields, item=log.columns["item_id"], time=log.columns["completed_at"]
        )
        return cls(log, header.dialect, n_fields=n_fields, is_row=is_row)

    def batch(self, block: bytes, done: int, *, is_last: bool) -> tuple[Batch, bytes]:
        """The rows of a block, and the lines of the record that the next block continues."""
        if self.dialect.is_padded:
            block = without_padding(block, self.dialect)
        records = lines_as_records(block)
        parsed = self._parsed(records) if records is not None else None
        if records is None or parsed is None:
            records = split_records(block, self.dialect, is_row=self.is_row, is_last=is_last)
            parsed = self._parsed(records)
        if parsed is None:
            raise LoadError(
                f"{self.log.name}: rows {done + 1:,} to {done + records.count:,} cannot be separated; check their "
                "quotation marks and export the file again. Nothing was loaded."
            )
        rows, malformed = parsed
        taken = [int(records.places[number]) for number, _ in malformed]
        numbers = done + 1 + np.setdiff1d(records.places, taken, assume_unique=True)
        columns = {our: rows.column(f"f{position}").combine_chunks() for our, position in self.log.columns.items()}
        found = [
            MalformedRow(done + 1 + place, text, reason=reason)
            for reason, lines in (
                ("row_malformed", zip(taken, (text for _, text in malformed), strict=True)),
                ("row_quote_unbalanced", records.unbalanced),
            )
            for place, text in lines
        ]
        return Batch(columns, numbers, malformed=found, units_done=records.count), records.rest

    def _parsed(self, records: Records) -> tuple[pa.Table, list[tuple[int, bytes]]] | None:
        """The parser's rows, and the places and texts of the malformed ones; None if their number is not ours."""
        malformed: list[tuple[int, bytes]] = []

        def keep_malformed(row: Any) -> str:
            malformed.append((row.number - 1, row.text.encode()))
            return "skip"

        used = [f"f{position}" for position in dict.fromkeys(self.log.columns.values())]
        rows = pa_csv.read_csv(
            pa.BufferReader(records.data or b"\n"),
            # A parallel reader does not report the numbers of malformed rows.
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(records.data) + 1,
                column_names=[f"f{position}" for position in range(self.n_fields)],
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.dialect.delimiter, invalid_row_handler=keep_malformed, newlines_in_values=True
            ),
            # Bytes, so that a value in another encoding rejects its row, not the file.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(used, pa.binary()), include_columns=used, strings_can_be_null=False
            ),
        )
        return (rows, malformed) if rows.num_rows + len(malformed) == len(records.places) else None
