"""Rows of reports and pages, and objects of the store: a row exists only for an object with its digest."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, text

from seedtest_analytics.assets.framework.shards import WHOLE, Shard
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import COHORTS, ReportKey
from seedtest_analytics.resources.store.uploads import Delivery
from seedtest_analytics.tables.reports import cohort_report, report_artifacts, report_pages

SQL = "reports/artifacts.sql"
COLUMNS = [column.name for column in report_artifacts.columns if column.name not in ("id", "generated_at")]
COHORT_COLUMNS = [column.name for column in cohort_report.columns if column.name != "generated_at"]
PAGE_COLUMNS = [column.name for column in report_pages.columns if column.name != "generated_at"]
NAMED_ROWS = 5
_THREADS = 8


@dataclass(frozen=True)
class Orphans:
    """How rows and objects differ. ``other_size``: an object that its row describes with another size."""

    rows: int
    objects: int
    rows_without_object: int
    objects_without_row: int
    other_size: int

    @property
    def are_none(self) -> bool:
        """Each row has its object and each object its row."""
        return not (self.rows_without_object or self.objects_without_row or self.other_size)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows and {self.objects:,} objects: {self.rows_without_object:,} rows without an object, "
            f"{self.objects_without_row:,} objects without a row, {self.other_size:,} objects of another size"
        )


def row_of(delivery: Delivery, store: ObjectStore) -> dict[str, Any]:
    """The row of report_artifacts that a stored report has."""
    key = delivery.key
    return {
        "user_id": key.user_id,
        "week_start": key.week_start,
        "format": key.format,
        "url": store.url(key),
        "sha256": delivery.sha256,
        "size_bytes": delivery.size_bytes,
        "renderer": delivery.renderer,
        "language": delivery.language,
        # A report that an earlier release left waiting has no digest of its inputs.
        "inputs": None,
        **delivery.note,
    }


def page_row_of(delivery: Delivery, store: ObjectStore) -> dict[str, Any]:
    """The row of report_pages that a stored teacher's page has."""
    key = delivery.key
    return {
        "page": key.name,
        "subject": key.user_id,
        "week_start": key.week_start,
        "language": delivery.language,
        "url": store.url(key),
        "sha256": delivery.sha256,
        "size_bytes": delivery.size_bytes,
        "inputs": delivery.note.get("inputs"),
    }


def cohort_row_of(delivery: Delivery, store: ObjectStore) -> dict[str, Any]:
    """The row of cohort_report that a stored page of a group has."""
    key = delivery.key
    return {
        "week_start": key.week_start,
        "scope": key.name,
        "subject": key.user_id,
        "format": key.format,
        "language": delivery.language,
        "url": store.url(key),
        "sha256": delivery.sha256,
        "size_bytes": delivery.size_bytes,
        "renderer": delivery.renderer,
        **delivery.note,
    }


def publish_rows(
    connection: Connection, rows: Sequence[dict[str, Any]], *, partition: str = "false", **parameters: Any
) -> Published:
    """Publish rows of report_artifacts in place of those that satisfy ``partition``."""
    return _publish(connection, report_artifacts, rows=rows, columns=COLUMNS, partition=partition, **parameters)


def publish_pages(
    connection: Connection, rows: Sequence[dict[str, Any]], *, partition: str = "false", **parameters: Any
) -> Published:
    """Publish rows of report_pages in place of those that satisfy ``partition``."""
    return _publish(connection, report_pages, rows=rows, columns=PAGE_COLUMNS, partition=partition, **parameters)


def publish_cohorts(
    connection: Connection, rows: Sequence[dict[str, Any]], *, partition: str = "false", **parameters: Any
) -> Published:
    """Publish rows of cohort_report in place of those that satisfy ``partition``."""
    return _publish(connection, cohort_report, rows=rows, columns=COHORT_COLUMNS, partition=partition, **parameters)


def record(
    connection: Connection, deliveries: Sequence[Delivery], *, store: ObjectStore
) -> tuple[Published, Published]:
    """Publish the rows of stored reports and pages; other rows stay. The counts are those of the students' two tables."""
    cohorts = [delivery for delivery in deliveries if delivery.key.name in COHORTS]
    reports, pages = apart([delivery for delivery in deliveries if delivery.key.name not in COHORTS])
    publish_cohorts(connection, [cohort_row_of(delivery, store) for delivery in cohorts])
    return (
        publish_rows(connection, [row_of(delivery, store) for delivery in reports]),
        publish_pages(connection, [page_row_of(delivery, store) for delivery in pages]),
    )


def apart(deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
    """Families' reports, and teachers' pages."""
    reports = [delivery for delivery in deliveries if delivery.key.name == "report"]
    return reports, [delivery for delivery in deliveries if delivery.key.name != "report"]


def _publish(
    connection: Connection,
    table: Table,
    *,
    rows: Sequence[dict[str, Any]],
    columns: list[str],
    partition: str,
    **of: Any,
) -> Published:
    import pandas as pd

    staged = f"staged_{table.name}"
    staged_from_frame(connection, staged, table=table, frame=pd.DataFrame(rows, columns=columns))
    return publish(connection, table, staged=staged, partition=partition, parameters=of)


def untrue_rows(
    engine: Engine,
    store: ObjectStore,
    *,
    week_start: dt.date,
    report_format: str,
    verified: Collection[str],
    shard: Shard = WHOLE,
) -> list[str]:
    """Students of the shard whose row of the week has no object with its digest, among those that were not ``verified``.

    Raises :class:`ObjectStoreError` if the store does not say.
    """
    parameters: dict[str, Any] = {"week_start": week_start, "format": report_format, "verified": list(verified)}
    parameters |= shard.parameters
    with engine.connect() as connection:
        rows = connection.execute(statement(SQL, "of_week"), parameters).all()

    def is_untrue(row: Any) -> bool:
        found = store.digest(ReportKey(row.user_id, week_start, format=report_format))  # type: ignore[arg-type]
        # The legacy jobs recorded no digest.
        return found is None or row.sha256 not in (None, found)

    with ThreadPoolExecutor(_THREADS) as pool:
        return [row.user_id for row, untrue in zip(rows, pool.map(is_untrue, rows), strict=True) if untrue]


def is_recorded(connection: Connection, store: ObjectStore, *, key: ReportKey) -> bool:
    """Whether a report has a row, and the object of that row is there. Raises :class:`ObjectStoreError`."""
    parameters = {"user_id": key.user_id, "week_start": key.week_start, "format": key.format}
    row = connection.execute(statement(SQL, "of_student"), parameters).one_or_none()
    return row is not None and store.digest(key) is not None


def orphans(connection: Connection, store: ObjectStore) -> Orphans:
    """Compare all rows with all objects, in the connection's transaction. Raises :class:`ObjectStoreError`."""
    connection.execute(
        text("CREATE TEMP TABLE listed_object (url text NOT NULL, size_bytes bigint NOT NULL) ON COMMIT DROP")
    )
    cursor = connection.connection.cursor()
    with cursor.copy("COPY listed_object (url, size_bytes) FROM STDIN") as copy:
        for found in store.objects():
            copy.write_row((found.url, found.size_bytes))
    cursor.close()
    return Orphans(**connection.execute(statement(SQL, "orphans")).one()._mapping)


def orphan_examples(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Kind and address of some orphans that :func:`orphans` has found in the same transaction."""
    return [(row.kind, row.url) for row in connection.execute(statement(SQL, "examples"), {"most": limit})]


def row_digest(user_id: str) -> str:
    """A student's id as a message may show it."""
    return hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()


def row_names(digests: Sequence[str], week_start: dt.date, *, total: int | None = None) -> str:
    """Students' rows of weekly_kpi as a condition that finds them, without their ids; ``total``: how many there are."""
    shown, total = digests[:NAMED_ROWS], len(digests) if total is None else total
    listed = ", ".join(f"'{digest}'" for digest in shown)
    condition = f"= {listed}" if len(shown) == 1 else f"in ({listed})"
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    return f"weekly_kpi where week_start = '{week_start}' and md5(user_id) {condition}{more}"


def judge_store(engine: Engine, store: ObjectStore) -> tuple[bool, str]:
    """Whether rows and objects agree, and a sentence about it; a store that does not answer does not agree."""
    try:
        with engine.connect() as connection:
            found = orphans(connection, store)
    except ObjectStoreError as error:
        return False, f"not known: {error}"
    return found.are_none, str(found)
