"""Rows of a table as people read them: one column for each value, JSON keys as columns, and what each column means."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, text

from seedtest_analytics.database.publish import key_columns, quoted
from seedtest_analytics.tables import contract_of, metadata, view_metadata
from seedtest_analytics.tables.kpis import KPI_KEYS

BLOCK_ROWS = 20_000
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class ExportColumn:
    """A column of an export. ``kind``: text, number, integer, boolean, date, instant or json."""

    name: str
    kind: str
    meaning: str
    unit: str | None = None


def exportable() -> list[str]:
    """Names of the tables and views that can be exported."""
    return sorted([*metadata.tables, *view_metadata.tables])


def export_columns(table: Table) -> list[ExportColumn]:
    """The columns of an export: those of the table, and for ``weekly_kpi`` each key of ``kpis`` in its place."""
    found: list[ExportColumn] = []
    for column in table.columns:
        if table.name == "weekly_kpi" and column.name == "kpis":
            kinds = {"number": "number", "integer": "integer", "boolean": "boolean", "array": "json", "object": "json"}
            keys = [key for keys in KPI_KEYS.values() for key in keys]
            found += [ExportColumn(key.name, kinds.get(key.type, "text"), key.meaning) for key in keys]
            continue
        contract = contract_of(column)
        found.append(ExportColumn(column.name, _kind(column), (column.comment or "").split(" [")[0], contract.unit))
    return found


def _kind(column: Any) -> str:
    words = str(column.type).upper()
    for part, kind in (
        ("JSON", "json"),
        ("[]", "json"),
        ("INT", "integer"),
        ("DOUBLE", "number"),
        ("NUMERIC", "number"),
        ("BOOL", "boolean"),
        ("TIMESTAMP", "instant"),
        ("DATE", "date"),
    ):
        if part in words:
            return kind
    return "text"


def export_rows(
    connection: Connection,
    table: Table,
    *,
    columns: Sequence[ExportColumn],
    first_week: dt.date | None = None,
    last_week: dt.date | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Blocks of rows in the order of the key; memory does not grow with the table.

    Weeks limit the rows of a table with ``week_start``.
    """
    conditions = []
    if first_week is not None:
        conditions.append("week_start >= :first_week")
    if last_week is not None:
        conditions.append("week_start <= :last_week")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    key = key_columns(table) if table.name in metadata.tables else ()
    order = f" ORDER BY {', '.join(map(quoted, key))}" if key else ""
    query = text(f"SELECT * FROM {quoted(table.name)}{where}{order}")  # noqa: S608 (a declared name)
    limits = {"first_week": first_week, "last_week": last_week}
    given = {name: value for name, value in limits.items() if value is not None}
    result = connection.execution_options(stream_results=True).execute(query, given)
    for block in result.mappings().partitions(BLOCK_ROWS):
        yield [_row(dict(values), columns) for values in block]


def _row(values: Mapping[str, Any], columns: Sequence[ExportColumn]) -> dict[str, Any]:
    kpis = values.get("kpis")
    source = {**values, **(kpis if isinstance(kpis, dict) else {})}
    return {column.name: _value(source.get(column.name), column.kind) for column in columns}


def _value(value: Any, kind: str) -> Any:
    """A value as its kind; what has another type, such as a legacy value, becomes text."""
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, default=str)
    if kind == "number":
        return float(value) if not isinstance(value, str | bool) else None
    if kind == "integer":
        return int(value) if not isinstance(value, str | bool) else None
    if kind in ("boolean", "date", "instant"):
        return value
    return value if isinstance(value, str) else str(value)


def defused(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_SIGNS) else value
