"""A table as it stands in the database, and how it differs from the one that the platform declares.

A *problem* makes the table unusable: another key, another type, a constraint that refuses the platform's rows. A *repair*
changes no row: a default for a required time, a column that may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql

from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.source import SOURCE_TABLES

MIN_VARCHAR = 255
"""A shorter text column would refuse ids that the rule for texts allows, with their suffix."""

_ACCEPTED = {
    "BIGINT": ("bigint",),
    "INTEGER": ("integer", "bigint"),
    "SMALLINT": ("smallint", "integer", "bigint"),
    "TEXT": ("text", "character varying"),
    "DOUBLE PRECISION": ("double precision", "numeric"),
    # An old declaration of the percentile is an integer; the platform never writes it.
    "NUMERIC": ("numeric", "double precision", "integer"),
    "NUMERIC(6, 3)": ("numeric(6,3)", "numeric", "double precision"),
    "TIMESTAMP WITH TIME ZONE": ("timestamp with time zone",),
    "JSONB": ("jsonb",),
    "UUID": ("uuid",),
    "BOOLEAN": ("boolean",),
    "DATE": ("date",),
    "TEXT[]": ("text[]", "character varying[]"),
}
"""Types of PostgreSQL that hold every value of the declared type, and read the same."""

REPAIRS = {"default": "gets a default", "nullable": "may be empty", "identity": "counts by itself"}
"""Kinds of repairs, in words."""

_FIND = """
SELECT
    n.nspname AS schema,
    n.nspname = current_schema() AS is_own_schema,
    c.relkind::text AS kind,
    ARRAY(
        SELECT jsonb_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'is_required', a.attnotnull,
            'has_default', a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
        )
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns,
    ARRAY(
        SELECT jsonb_build_object('is_key', i.indisprimary, 'columns', ARRAY(
            SELECT a.attname FROM unnest(i.indkey::smallint[]) AS k (attnum)
            INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
        ))
        FROM pg_index AS i
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    ) AS uniques,
    ARRAY(
        SELECT o.conname::text FROM pg_constraint AS o WHERE o.conrelid = c.oid AND o.contype = 'f' ORDER BY 1
    ) AS foreign_keys
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(:name)
"""


@dataclass(frozen=True)
class ExistingColumn:
    """A column with its type as PostgreSQL writes it."""

    name: str
    type: str
    is_required: bool
    has_default: bool


@dataclass(frozen=True)
class ExistingTable:
    """A relation that the search path finds under a name; ``kind`` is that of pg_class."""

    name: str
    schema: str
    kind: str
    is_own_schema: bool
    columns: Mapping[str, ExistingColumn]
    key: tuple[str, ...]
    uniques: tuple[frozenset[str], ...] = ()
    foreign_keys: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Repair:
    """A change of a column that leaves every row as it is: ``kind`` is default, nullable or identity."""

    kind: str
    column: str

    def __str__(self) -> str:
        return f"{self.column} {REPAIRS[self.kind]}"


@dataclass(frozen=True)
class Comparison:
    """How an existing table differs from the declared one."""

    existing: ExistingTable
    declared: sa.Table
    problems: tuple[str, ...]
    repairs: tuple[Repair, ...] = ()
    unknown: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Declared columns that the table lacks."""
        return tuple(c.name for c in self.declared.columns if c.name not in self.existing.columns)


def find_table(connection: Connection, name: str) -> ExistingTable | None:
    """The relation that the search path finds under ``name``."""
    row = connection.execute(text(_FIND), {"name": name}).mappings().one_or_none()
    if row is None:
        return None
    keys = [tuple(index["columns"]) for index in row["uniques"] if index["is_key"]]
    return ExistingTable(
        name,
        row["schema"],
        kind=row["kind"],
        is_own_schema=row["is_own_schema"],
        columns={column["name"]: ExistingColumn(**column) for column in row["columns"]},
        key=keys[0] if keys else (),
        uniques=tuple(frozenset(index["columns"]) for index in row["uniques"] if not index["is_key"]),
        foreign_keys=tuple(row["foreign_keys"]),
    )


def compare(existing: ExistingTable, wanted: sa.Table) -> Comparison:
    """Compare with ``wanted``, which may be only a part of the declared table of that name."""
    declared = metadata.tables.get(wanted.name, wanted)
    if existing.kind not in ("r", "p"):
        return Comparison(existing, wanted, problems=("is not a table",))
    known = {column.name for column in (*wanted.columns, *declared.columns)}
    return Comparison(
        existing,
        wanted,
        problems=tuple(_problems(existing, wanted)),
        repairs=tuple(_repairs(existing, wanted, known=known)),
        unknown=frozenset(existing.columns) - known,
    )


def _problems(existing: ExistingTable, wanted: sa.Table) -> Iterator[str]:
    key = [column.name for column in wanted.primary_key.columns]
    if sorted(existing.key) != sorted(key):
        yield f"its primary key is {_listed(existing.key)}, the platform needs {_listed(key)}"
    for column in wanted.columns:
        found = existing.columns.get(column.name)
        if found is not None and not _holds(found, column):
            yield f"{column.name} is {found.type}, the platform needs {_type_of(column).lower()}"
    if wanted.name in SOURCE_TABLES:  # the platform writes what its owner's constraints allow
        return
    keys = [frozenset(key), *_unique_sets(wanted), *_unique_sets(metadata.tables.get(wanted.name, wanted))]
    for unique in existing.uniques:
        if not any(columns <= unique for columns in keys):
            yield f"({_listed(sorted(unique))}) is unique, the platform stores several such rows"
    if existing.foreign_keys:
        yield f"the foreign keys {_listed(existing.foreign_keys)} refuse the platform's rows"


def _repairs(existing: ExistingTable, wanted: sa.Table, *, known: set[str]) -> Iterator[Repair]:
    for column in wanted.columns:
        found = existing.columns.get(column.name)
        if found is None or found.has_default:
            continue
        if column.autoincrement is True:
            yield Repair("identity", column.name)
        elif column.server_default is not None:
            yield Repair("default", column.name)
        elif found.is_required and column.nullable:
            yield Repair("nullable", column.name)
    for name, found in existing.columns.items():
        if name not in known and found.is_required and not found.has_default:
            yield Repair("nullable", name)


def _unique_sets(table: sa.Table) -> list[frozenset[str]]:
    constraints = [c.columns for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    indexes = [index.columns for index in table.indexes if index.unique]
    return [frozenset(column.name for column in columns) for columns in (*constraints, *indexes)]


def _holds(found: ExistingColumn, column: sa.Column[Any]) -> bool:
    accepted = _ACCEPTED.get(_type_of(column), ())
    if column.autoincrement is True:  # a counter
        accepted = (*accepted, "integer")
    limited = re.fullmatch(r"character varying\((\d+)\)", found.type)
    if limited:
        return "character varying" in accepted and int(limited[1]) >= MIN_VARCHAR
    return found.type in accepted


def _type_of(column: sa.Column[Any]) -> str:
    return column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]


def _listed(names: Any) -> str:
    return ", ".join(names) or "missing"
