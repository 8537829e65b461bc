"""The rows of a CSV file in batches, with the malformed ones apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from seedtest_analytics.ingest.csv_records import Records, RowTest, lines_as_records, split_records, without_padding
from seedtest_analytics.ingest.csv_text import Header, line_blocks, read_header
from seedtest_analytics.ingest.errors import LoadError

BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class MalformedRow:
    """A row that cannot be taken apart or used, with the reason."""

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


def csv_batches(path: Path, name: str, *, encoding: str, columns: Mapping[str, int] | None = None) -> Iterator[Batch]:
    """The given columns by their names and positions; by default all, by the names of the header.

    The rows of each block are counted without the parser, and both counts must agree.
    """
    table: _CsvTable | None = None
    rest, done = b"", 0
    for block, is_last in _with_last(line_blocks(path, encoding=encoding, block_bytes=BLOCK_BYTES)):
        if table is None:
            header = read_header(block, name=name)
            table, block = _CsvTable.of(header, columns, name=name), header.rest
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
    """Columns of a CSV file by position, and how its lines are cut and parsed."""

    name: str
    columns: Mapping[str, int]
    is_row: RowTest

    @classmethod
    def of(cls, header: Header, columns: Mapping[str, int] | None, *, name: str) -> _CsvTable:
        if columns is None:  # of two columns of one name, the first
            columns = {column: header.names.index(column) for column in header.names if column}
            return cls(name, columns, RowTest(header.dialect, len(header.names)))
        item, time = columns["item_id"], columns["completed_at"]
        return cls(name, columns, RowTest(header.dialect, len(header.names), item=item, time=time))

    def batch(self, block: bytes, done: int, *, is_last: bool) -> tuple[Batch, bytes]:
        """The rows of a block, and the lines of the record that the next block continues."""
        if self.is_row.dialect.is_padded:
            block = without_padding(block, self.is_row.dialect)
        records = lines_as_records(block)
        parsed = self._parsed(records) if records is not None else None
        if records is None or parsed is None:
            records = split_records(block, is_row=self.is_row, is_last=is_last)
            parsed = self._parsed(records)
        if parsed is None:
            raise LoadError(
                f"{self.name}: rows {done + 1:,} to {done + records.count:,} cannot be separated; check their "
                "quotation marks and export the file again. Nothing was loaded."
            )
        rows, malformed = parsed
        taken = [int(records.places[number]) for number, _ in malformed]
        numbers = done + 1 + np.setdiff1d(records.places, taken, assume_unique=True)
        columns = {our: rows.column(f"f{position}").combine_chunks() for our, position in self.columns.items()}
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

        used = [f"f{position}" for position in dict.fromkeys(self.columns.values())]
        rows = pa_csv.read_csv(
            pa.BufferReader(records.data or b"\n"),
            # A parallel reader does not report the numbers of malformed rows.
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(records.data) + 1,
                column_names=[f"f{position}" for position in range(self.is_row.n_fields)],
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.is_row.dialect.delimiter, invalid_row_handler=keep_malformed, newlines_in_values=True
            ),
            # Bytes, so that a value in another encoding rejects its row, not the file.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(used, pa.binary()), include_columns=used, strings_can_be_null=False
            ),
        )
        return (rows, malformed) if rows.num_rows + len(malformed) == len(records.places) else None
