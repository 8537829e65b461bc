"""Tables of texts: rows of CSV and Parquet files as texts, and rows of texts as Parquet that the reader takes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.columns import problem
from seedtest_analytics.ingest.csv_table import csv_batches
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.packing import refusing_damage
from seedtest_analytics.ingest.sources import BATCH_ROWS, csv_encoding, is_parquet

Row = Mapping[str, str | None]
MAX_NAMES = 10_000
"""Each name is a column of texts, also for rows that do not have it."""


def table_rows(path: Path, name: str, *, encoding: str | None) -> Iterator[Row]:
    """Rows of a CSV or Parquet file, in order; a row that cannot be taken apart is a problem."""
    with refusing_damage(name):
        yield from _parquet_rows(path) if is_parquet(path) else _csv_rows(path, name, encoding=encoding)


def _parquet_rows(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                yield {key: cell_text(value) for key, value in row.items()}


def _csv_rows(path: Path, name: str, *, encoding: str | None) -> Iterator[Row]:
    found = csv_encoding(path, encoding, name=name)
    for batch in csv_batches(path, name, encoding=found):
        values = zip(*(_decoded(array) for array in batch.columns.values()), strict=True)
        records = (dict(zip(batch.columns, row, strict=True)) for row in values)
        rows: Iterator[tuple[int, Row]] = zip(batch.row_numbers.tolist(), records, strict=True)
        malformed = sorted(batch.malformed, key=lambda row: row.row_number)
        bad = ((row.row_number, problem(row.reason, row.text.decode("utf-8", "backslashreplace"))) for row in malformed)
        for _, row in heapq.merge(rows, bad, key=itemgetter(0)):
            yield row


def _decoded(array: pa.Array) -> list[str | None]:
    """Bytes as texts. Bytes that are not UTF-8 stay such, so that the reader rejects their row."""
    # NumPy makes Python objects of a column several times faster than Arrow.
    try:
        texts = array.cast(pa.string()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        texts = [value.decode("utf-8", "surrogateescape") for value in array.to_numpy(zero_copy_only=False)]
    return [text or None for text in texts]


def write_texts(path: Path, rows: Iterable[Row], *, name: str, columns: Iterable[str] = ()) -> None:
    """Write rows as Parquet with the given columns and one for each other name that any row has.

    Raises :class:`LoadError` for more than ``MAX_NAMES`` names.
    """
    source, names, parts = iter(rows), dict.fromkeys(columns), list[Path]()
    writer: pq.ParquetWriter | None = None
    while (batch := list(islice(source, BATCH_ROWS))) or writer is None:
        new = dict.fromkeys(column for row in batch for column in row if column not in names)
        names |= new
        if len(names) > MAX_NAMES:
            raise LoadError(
                f"{name}: values have more than {MAX_NAMES:,} names, and an attempt log has few; export one row for each attempt"
            )
        if new or writer is None:
            # The columns of a file are fixed when it begins, so a name that comes late begins another part.
            if writer is not None:
                writer.close()
            parts.append(path.with_name(f"{path.name}.{len(parts)}"))
            writer = _writer(parts[-1], names)
        writer.write_table(_table(batch, writer.schema))
    writer.close()
    if len(parts) == 1:
        parts[0].rename(path)
    else:
        _join(parts, path, names=names)


def _writer(path: Path, names: Iterable[str]) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in list(names) or ["(nothing)"]]))


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays([_texts([row.get(name) for row in rows]) for name in schema.names], schema=schema)


def _join(parts: Sequence[Path], path: Path, *, names: Iterable[str]) -> None:
    """Parts with the first names, in one file with all of them. The parts are removed."""
    with _writer(path, names) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    empty = pa.nulls(batch.num_rows, pa.string())
                    found = set(batch.schema.names)
                    columns = [batch.column(name) if name in found else empty for name in writer.schema.names]
                    writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
            part.unlink()


def _texts(values: list[str | None]) -> pa.Array:
    """Half a surrogate pair, which JSON can have, becomes bytes that are not UTF-8; the reader rejects their row."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raw = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
        return pa.array(raw, pa.binary()).cast(pa.string(), safe=False)
