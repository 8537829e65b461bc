"""The only way to write a table: stage rows, validate them, and replace a partition in the same transaction.

Rows are updated only if a value differs, so a repetition changes nothing and times of computation stay those of the last
real change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Float, Numeric, Table, UniqueConstraint, text

from seedtest_analytics.database.quarantine import RowRule, Violation, joined, keep_good_rows
from seedtest_analytics.tables import contract_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_COPY_BLOCK_ROWS = 200_000


@dataclass(frozen=True)
class Published:
    """Row counts of one publication."""

    table: str
    staged: int
    inserted: int
    updated: int
    deleted: int
    quarantined: int = 0
    broken_rules: str = ""
    """Rules that the rows in quarantine break, in words."""

    @property
    def unchanged(self) -> int:
        """Staged rows that already existed with the same values."""
        return self.staged - self.inserted - self.updated

    def __add__(self, other: Published) -> Published:
        return Published(
            self.table,
            self.staged + other.staged,
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            deleted=self.deleted + other.deleted,
        ).with_quarantine_of(self, other)

    def with_quarantine_of(self, *others: Published) -> Published:
        """The same with the rows that other publications of its asset set aside."""
        rules = [published.broken_rules for published in (self, *others) if published.broken_rules]
        quarantined = self.quarantined + sum(other.quarantined for other in others)
        return replace(self, quarantined=quarantined, broken_rules="; ".join(rules))


def quoted(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def key_columns(table: Table) -> tuple[str, ...]:
    """Columns that identify a row: the primary key, but a counter only without a unique constraint or index."""
    primary = list(table.primary_key.columns)
    if primary and primary[0].autoincrement is not True:
        return tuple(column.name for column in primary)
    constraints = [list(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint)]
    indexes = [list(index.columns) for index in table.indexes if index.unique]
    return tuple(column.name for column in [*constraints, *indexes, primary][0])


def create_staging(connection: Connection, name: str, *, columns: Mapping[str, str]) -> None:
    """Create an empty temporary table for this transaction; ``columns`` maps names to SQL types."""
    body = ", ".join(f"{quoted(column)} {type_}" for column, type_ in columns.items())
    connection.execute(text(f"CREATE TEMP TABLE {quoted(name)} ({body}) ON COMMIT DROP"))


def staged_type(column: Column[Any], connection: Connection) -> str:
    """SQL type of a staged column: that of the table, and float8 for numeric, which frames do not have."""
    return "double precision" if _is_decimal(column) else column.type.compile(connection.dialect)


def _is_decimal(column: Column[Any]) -> bool:
    return isinstance(column.type, Numeric) and not isinstance(column.type, Float)


def staged_from_frame(connection: Connection, name: str, *, table: Table, frame: pd.DataFrame) -> None:
    """Stage ``frame``, whose columns are columns of ``table``, by COPY."""
    types = {column: staged_type(table.columns[column], connection) for column in frame.columns}
    create_staging(connection, name, columns=types)
    copy_frame(connection, name, frame=frame)


def copy_frame(connection: Connection, name: str, *, frame: pd.DataFrame) -> None:
    """COPY a frame into a table. Missing values become NULL; the caller turns dictionaries and lists into JSON text."""
    import pyarrow as pa

    for start in range(0, max(len(frame), 1), _COPY_BLOCK_ROWS):
        block = frame.iloc[start : start + _COPY_BLOCK_ROWS]
        copy_arrow(connection, name, rows=pa.Table.from_pandas(block, preserve_index=False))


def copy_arrow(connection: Connection, name: str, *, rows: pa.Table) -> None:
    """COPY an Arrow table into a table, in binary. Raises BinaryCopyError for a value that a column's type lacks."""
    from seedtest_analytics.database.binary_copy import HEADER, TRAILER, encoded
    from seedtest_analytics.database.read import fields_of

    columns = ", ".join(quoted(column) for column in rows.column_names)
    cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy has no COPY
    fields = fields_of(cursor, f"(SELECT {columns} FROM {quoted(name)}) AS described")  # noqa: S608
    with cursor.copy(f"COPY {quoted(name)} ({columns}) FROM STDIN WITH (FORMAT binary)") as copy:
        copy.write(HEADER)
        copy.write(encoded(rows, fields=fields))
        copy.write(TRAILER)
    cursor.close()


def _violations_of_all(
    connection: Connection, table: Table, *, staged: str, present: Collection[str]
) -> list[Violation]:
    """What no single row is to blame for: required columns that are absent, and keys that occur more than once."""
    total = connection.execute(text(f"SELECT count(*) FROM {quoted(staged)}")).scalar_one()  # noqa: S608
    absent = [column.name for column in table.columns if column.name not in present and _is_required(column)]
    found = [Violation(name, "is required and was not given", rows=total) for name in absent if total]
    keys = [key for key in key_columns(table) if key in present]
    if not keys:
        return found
    listed = ", ".join(quoted(key) for key in keys)
    groups = f"SELECT 1 FROM {quoted(staged)} GROUP BY {listed} HAVING count(*) > 1"  # noqa: S608 (quoted names)
    duplicates = connection.execute(text(f"SELECT count(*) FROM ({groups}) AS d")).scalar_one()  # noqa: S608
    if duplicates:
        found.append(Violation("+".join(keys), "the key occurs more than once", rows=duplicates))
    return found


def _is_required(column: Any) -> bool:
    has_default = column.server_default is not None or column.autoincrement is True
    return not column.nullable and not has_default


def _rules(column: Any) -> list[RowRule]:
    name, contract = quoted(column.name), contract_of(column)
    rules = {} if column.nullable else {"must not be NULL": f"{name} IS NULL"}
    if contract.minimum is not None:
        rules[f"must be at least {contract.minimum:g}"] = f"{name} < {contract.minimum}"
    if contract.maximum is not None:
        rules[f"must be at most {contract.maximum:g}"] = f"{name} > {contract.maximum}"
    if isinstance(column.type, Numeric):  # float8 too: its type is a subclass
        rules["must be finite"] = f"{name} IN ('NaN', 'Infinity', '-Infinity')"
    if contract.allowed is not None:
        values = ", ".join(f"'{value}'" for value in contract.allowed)
        rules[f"must be one of {values}"] = f"{name} NOT IN ({values})"
    return [RowRule(column.name, rule, is_broken) for rule, is_broken in rules.items()]


def _columns_of(connection: Connection, staged: str) -> set[str]:
    rows = connection.execute(
        text(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
        ),
        {"name": f"pg_temp.{quoted(staged)}"},
    )
    return {name for (name,) in rows}


def publish(
    connection: Connection,
    table: Table,
    *,
    staged: str,
    partition: str,
    parameters: Mapping[str, Any] | None = None,
    update_only_if: str = "true",
) -> Published:
    """Replace the rows of ``table`` that satisfy ``partition`` by the rows of the temporary table ``staged``.

    ``partition`` is a SQL condition on the target, aliased ``t``; ``"false"`` deletes nothing (an upsert).
    ``update_only_if`` is an additional condition on ``t`` and ``excluded`` for updates.
    A few rows that break the contract go to `row_quarantine` instead; they leave ``staged``.
    Raises :class:`seedtest_analytics.database.quarantine.ContractViolation` before it writes if the table is to blame.
    """
    target, source, keys = quoted(table.name), quoted(staged), key_columns(table)
    present = _columns_of(connection, staged)
    columns = [column for column in table.columns if column.name in present]
    same_key = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in keys)
    is_staged = f"EXISTS (SELECT FROM {source} AS s WHERE {same_key})"
    bad = keep_good_rows(
        connection,
        (table.name,),
        source=source,
        rules=[rule for column in columns for rule in _rules(column)],
        others=_violations_of_all(connection, table, staged=staged, present=present),
        replaced=_is_in_part(table, f"({partition}) OR {is_staged}"),
        parameters=dict(parameters or {}),
    )
    delete = f"DELETE FROM {target} AS t WHERE ({partition}) AND NOT {is_staged}"  # noqa: S608 (quoted names)
    deleted = connection.execute(text(delete), dict(parameters or {})).rowcount
    settled = [c.name for c in columns if c.name not in keys and not contract_of(c).is_volatile]
    assigned = [c.name for c in columns if c.name not in keys]
    names = ", ".join(quoted(c.name) for c in columns)
    differs = _row_differs("t", "excluded", columns=settled)
    assignments = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in assigned)
    conflict = ", ".join(quoted(k) for k in keys)
    action = f"DO UPDATE SET {assignments} WHERE ({differs}) AND ({update_only_if})" if settled else "DO NOTHING"
    counts = connection.execute(
        text(
            f"WITH written AS (INSERT INTO {target} AS t ({names}) SELECT {names} FROM {source} "  # noqa: S608
            f"ON CONFLICT ({conflict}) {action} RETURNING (xmax = 0) AS is_new) "
            "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written"
        )
    ).one()
    total = connection.execute(text(f"SELECT count(*) FROM {source}")).scalar_one()  # noqa: S608
    return Published(
        table.name,
        total,
        inserted=counts[0],
        updated=counts[1],
        deleted=deleted,
        quarantined=bad.broken,
        broken_rules=joined(bad.violations),
    )


def _is_in_part(table: Table, condition: str) -> str:
    """A condition over `row_quarantine`, aliased ``q``: its row satisfies a condition over ``table``, aliased ``t``.

    Decimals are left out: a value in quarantine may be one that they cannot hold.
    """
    decimals = ", ".join(f"'{column.name}'" for column in table.columns if _is_decimal(column))
    element = f"q.element - CAST(ARRAY[{decimals}] AS text[])"
    return f"EXISTS (SELECT FROM jsonb_populate_record(NULL::{quoted(table.name)}, {element}) AS t WHERE {condition})"


def _row_differs(left: str, right: str, *, columns: Sequence[str]) -> str:
    lefts = ", ".join(f"{left}.{quoted(c)}" for c in columns)
    rights = ", ".join(f"{right}.{quoted(c)}" for c in columns)
    return f"({lefts}) IS DISTINCT FROM ({rights})" if columns else "true"
