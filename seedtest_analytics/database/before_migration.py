"""What a migration finds: tables of the legacy pipeline, of other programs, and its own. Decided before any change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection, text

from seedtest_analytics.database.archive import SCHEMA as ARCHIVE
from seedtest_analytics.database.existing_tables import Comparison, compare, find_table
from seedtest_analytics.database.legacy_shapes import legacy_shape
from seedtest_analytics.database.origins import made_tables
from seedtest_analytics.database.publish import quoted
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.source import SOURCE_TABLES


class MigrationError(RuntimeError):
    """The database contains something that the migration may not change; the message names it and the remedy."""


@dataclass(frozen=True)
class FoundTable:
    """A table that another program made: its legacy shape (None: not a legacy table) and how it differs."""

    comparison: Comparison
    shape: str | None
    rows: int

    @property
    def name(self) -> str:
        """The table's name."""
        return self.comparison.existing.name

    @property
    def fate(self) -> str:
        """What the migration does with it, in words."""
        existing, found = self.comparison.existing, self.comparison
        if found.problems:
            return (
                f"{existing.full_name} ({self.rows:,} rows, shape {self.shape}) moves to {ARCHIVE}.{self.name}; "
                f"a new {self.name} gets the rows that fit: {'; '.join(found.problems)}"
            )
        changes = [f"new columns {', '.join(found.missing)}"] if found.missing else []
        changes += [str(repair) for repair in found.repairs]
        kept = "" if self.name in SOURCE_TABLES else f"; its rows are copied to {ARCHIVE}.{self.name}"
        return f"{existing.full_name} ({self.rows:,} rows) stays: {', '.join(changes) or 'nothing to add'}{kept}"


def own_schema() -> str | None:
    """The schema of ``SEEDTEST_SCHEMA``."""
    return load_settings().platform.database_schema


def prepare(connection: Connection, *, adopted: Collection[str]) -> list[str]:
    """Create the platform's schema and decide about every table found; what will happen to each, in words.

    Raises :class:`MigrationError` that names all tables in the way and the remedy.
    """
    _ensure_schema(connection)
    found = list(found_tables(connection))
    refuse_foreign(found, adopted=adopted)
    return [table.fate for table in found]


def found_tables(connection: Connection) -> Iterator[FoundTable]:
    """Tables that have a name of the platform's and that its migrations did not make.

    With its own schema, the platform finds sources by their shape elsewhere, and nothing else.
    """
    made = made_tables(connection)
    schema = own_schema()
    for table in metadata.sorted_tables:
        existing = find_table(connection, table.name)
        if existing is None:
            continue
        is_own = existing.schema == schema if schema else existing.is_own_schema
        if is_own and table.name in made:
            continue
        shape = legacy_shape(existing)
        if not is_own and (table.name not in SOURCE_TABLES or shape is None):
            continue
        comparison = compare(existing, table)
        rows = 0
        if shape is not None:
            name = f"{quoted(existing.schema)}.{quoted(existing.name)}"
            rows = connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608
        yield FoundTable(comparison, shape.name if shape else None, rows=rows)


def refuse_foreign(found: Collection[FoundTable], *, adopted: Collection[str]) -> None:
    """Raise :class:`MigrationError` for tables of other programs that are not adopted or cannot be."""
    unknown = sorted(set(adopted) - {table.name for table in found if table.shape is None})
    if unknown:
        raise MigrationError(f"--adopt {', '.join(unknown)}: no table of another program has this name; leave it out")
    foreign = [table for table in found if table.shape is None]
    refused = [table for table in foreign if table.name not in adopted or table.comparison.problems]
    if not refused:
        return
    lines = [f"  {table.comparison.existing.full_name}: {_difference(table.comparison)}" for table in refused]
    adoptable = [table.name for table in refused if not table.comparison.problems]
    remedies = ["set SEEDTEST_SCHEMA=seedtest: the platform's tables get their own schema, and these stay untouched"]
    if adoptable:
        options = " ".join(f"--adopt {name}" for name in adoptable)
        remedies.append(f"seedtest migrate {options}: the platform uses and extends {', '.join(adoptable)}")
    raise MigrationError(
        "these tables have names of the platform's but belong to another program; nothing was changed:\n"
        + "\n".join(lines)
        + "\nEither "
        + "\nor ".join(remedies)
    )


def differences(connection: Connection) -> Iterator[str]:
    """How the tables of a migrated database differ from the declared ones, in words."""
    for table in metadata.sorted_tables:
        existing = find_table(connection, table.name)
        if existing is None:
            yield f"{table.name} is missing"
            continue
        found = compare(existing, table)
        reasons = [*found.problems, *map(str, found.repairs)]
        if found.missing:
            reasons.append(f"no column {', '.join(found.missing)}")
        if reasons:
            yield f"{existing.full_name}: {'; '.join(reasons)}"


def _difference(found: Comparison) -> str:
    reasons = list(found.problems)
    if found.missing:
        reasons.append(f"no column {', '.join(found.missing)}")
    required = [r.column for r in found.repairs if r.kind == "nullable" and r.column in found.unknown]
    if required:
        reasons.append(f"required columns that the platform does not know: {', '.join(required)}")
    return "; ".join(reasons) or "its columns are not those of a legacy table"


def _ensure_schema(connection: Connection) -> None:
    schema = own_schema()
    if schema is None:
        return
    exists = text("SELECT to_regnamespace(:schema) IS NOT NULL")
    if connection.execute(exists, {"schema": quoted(schema)}).scalar_one():
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.schema.CreateSchema(schema))
    except sa.exc.ProgrammingError:
        raise MigrationError(
            f"the schema {schema} of SEEDTEST_SCHEMA does not exist, and this user may not create it. As an "
            f"administrator: CREATE SCHEMA {schema} AUTHORIZATION <this user>; then migrate again"
        ) from None
