"""COPY accepted rows into temporary tables, and rejected rows into another with their reasons."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from seedtest_analytics.database.publish import copy_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest.convert import Converted, convert_batch
from seedtest_analytics.ingest.csv_table import Batch
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.item_numbers import remember_numbers
from seedtest_analytics.ingest.rejects import Reject, RejectFile, RejectTally, raw_row, raw_rows
from seedtest_analytics.ingest.value_rules import DEFAULT_RULES, ValueRules

ROWS_PER_BUCKET = 250_000
MAX_BUCKETS = 256

_STAGED_TYPES = {
    "user_id": ("user_id", pa.string()),
    "session_id": ("session_id", pa.string()),
    "item_id": ("item_id", pa.int64()),
    "topic_id": ("topic", pa.string()),
    "correct": ("is_correct", pa.bool_()),
    "response_time_ms": ("time_spent_sec", pa.float64()),
    "hints_used": ("used_hints", pa.int32()),
    "completed_at": ("answered_at", pa.timestamp("us", "UTC")),
    "rescored_at": ("rescored_at", pa.timestamp("us", "UTC")),
}
_COPY_REJECTS = "COPY load_reject (file_name, row_number, reason, raw_row, is_excluded) FROM STDIN"


@dataclass
class StagedCounts:
    """Counts of the rows read (``rows`` includes malformed ones); ``with_gaps`` are accepted with a field left out."""

    rows: int = 0
    rejected: int = 0
    with_gaps: int = 0
    local_times: int = 0
    rejects: RejectTally = field(default_factory=RejectTally)


class Staging:
    """The temporary tables of one load, inside its transaction."""

    def __init__(
        self,
        connection: Connection,
        estimated_rows: int,
        *,
        zone: ZoneInfo,
        rules: ValueRules = DEFAULT_RULES,
        rejected: RejectFile | None = None,
    ) -> None:
        self.connection = connection
        self.zone = zone
        self.rules = rules
        self._rejected = rejected
        self._numbers: dict[str, int] = {}
        self.buckets = int(np.clip(-(-estimated_rows // ROWS_PER_BUCKET), 1, MAX_BUCKETS))
        self.counts = StagedCounts()
        for name in ("create_attempt", "create_reject", "create_row", "create_stored", "create_bucket"):
            connection.execute(statement("load/stage.sql", name))
        for bucket in range(self.buckets):
            partition = f"CREATE TEMP TABLE load_attempt_{bucket} PARTITION OF load_attempt"
            connection.execute(text(f"{partition} FOR VALUES IN ({bucket})"))

    def add(self, file_name: str, batch: Batch) -> None:
        """Convert a batch; COPY its accepted rows and its rejects."""
        converted = _converted(file_name, batch, zone=self.zone, rules=self.rules)
        self._remember_numbers(converted["item_id"].numbered)
        rejected, with_gaps = (
            np.logical_or.reduce([np.zeros(len(batch.row_numbers), bool), *masks])
            for masks in (
                [mask for column in converted.values() for mask in column.problems.values()],
                [mask for column in converted.values() for mask in column.gaps.values()],
            )
        )
        self.counts.rows += len(batch.row_numbers) + len(batch.malformed)
        self.counts.rejected += int(rejected.sum()) + len(batch.malformed)
        self.counts.with_gaps += int((with_gaps & ~rejected).sum())
        self.counts.local_times += sum(column.local_times for column in converted.values())
        self._copy_attempts(converted, ~rejected)
        self._copy_rejects(list(_rejects_of(file_name, batch, converted=converted, rejected=rejected)))

    def _copy_attempts(self, converted: Mapping[str, Converted], accepted: np.ndarray) -> None:
        if not accepted.any():
            return
        rows = len(accepted)
        arrays = {
            staged: converted[name].values if name in converted else pa.nulls(rows, type_)
            for name, (staged, type_) in _STAGED_TYPES.items()
        }
        table = pa.table({"bucket": self._bucket_of(arrays["user_id"]), **arrays})
        if not accepted.all():
            table = table.filter(pa.array(accepted))
        copy_arrow(self.connection, "load_attempt", rows=table)

    def _bucket_of(self, users: pa.Array) -> pa.Array:
        """A hash of the user that is the same in every process."""
        coded = pc.dictionary_encode(pc.fill_null(users, ""))
        hashes = [zlib.crc32(user.encode()) % self.buckets for user in coded.dictionary.to_pylist()]
        return pa.array(np.array(hashes, np.int32)[coded.indices.to_numpy()])

    def _remember_numbers(self, found: Mapping[str, int]) -> None:
        new = {source_id: number for source_id, number in found.items() if source_id not in self._numbers}
        self._numbers |= new
        remember_numbers(self.connection, new)

    @property
    def numbered_items(self) -> int:
        """Items with a text id, which got a number."""
        return len(self._numbers)

    def _copy_rejects(self, rejects: list[Reject]) -> None:
        if not rejects:
            return
        with copy_into(self.connection, _COPY_REJECTS) as copy:
            for reject in rejects:
                self.counts.rejects.add(reject)
                if self._rejected is not None:
                    self._rejected.add(reject)
                copy.write_row((reject.file_name, reject.row_number, reject.reason, reject.raw_row, reject.is_excluded))

    def finish(self) -> None:
        """Collect statistics for the planner; autovacuum ignores temporary tables."""
        self.connection.execute(text("ANALYZE load_attempt"))


@contextmanager
def copy_into(connection: Connection, command: str) -> Iterator[Any]:
    """The driver's COPY in the transaction of the connection; SQLAlchemy lacks COPY."""
    cursor: Any = connection.connection.cursor()
    try:
        with cursor.copy(command) as copy:
            yield copy
    finally:
        cursor.close()


def _converted(file_name: str, batch: Batch, *, zone: ZoneInfo, rules: ValueRules) -> dict[str, Converted]:
    try:
        return convert_batch(batch.columns, zone, rules=rules)
    except pa.ArrowException:  # its message may quote a value
        types = ", ".join(f"{name} ({array.type})" for name, array in batch.columns.items())
        raise LoadError(
            f"{file_name}: a column has a type that cannot be read: {types}. Export the columns as text or numbers. "
            "Nothing was loaded."
        ) from None


def _rejects_of(
    file_name: str, batch: Batch, *, converted: Mapping[str, Converted], rejected: np.ndarray
) -> Iterator[Reject]:
    for row in batch.malformed:
        text_ = row.text.decode("utf-8", "backslashreplace")
        yield Reject(file_name, row.row_number, reason=row.reason, raw_row=raw_row({"text": text_}), is_excluded=True)
    found = [
        (reason, np.flatnonzero(mask))
        for column in converted.values()
        for reason, mask in (column.problems | column.gaps).items()
    ]
    rows = np.unique(np.concatenate([np.array([], np.int64), *(indexes for _, indexes in found)]))
    raw = dict(zip(rows.tolist(), raw_rows(batch.columns, rows), strict=True))
    for reason, indexes in found:
        for index in indexes.tolist():
            yield Reject(
                file_name,
                int(batch.row_numbers[index]),
                reason=reason,
                raw_row=raw[index],
                is_excluded=bool(rejected[index]),
            )
