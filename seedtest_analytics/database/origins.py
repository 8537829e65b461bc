"""What the migrations made, recorded in `seedtest_schema_origin`, so that a downgrade leaves what was there before them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy import Connection, text

ORIGINS = "seedtest_schema_origin"


def remember_origins(op: Operations) -> None:
    """Create the table that records what the migrations make."""
    op.create_table(
        ORIGINS,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True, comment="Order of making."),
        sa.Column("kind", sa.Text, nullable=False, comment="table, column, index or view."),
        sa.Column("name", sa.Text, nullable=False, comment="What was made; table.column for a column."),
        sa.Column("legacy", sa.Text, comment="Definition of the view that stood there before."),
        comment="What the migrations made, so that a downgrade leaves what was there before them.",
    )


def remember(connection: Connection, kind: str, *, name: str, legacy: str | None = None) -> None:
    """Record one change; ``legacy`` is what a downgrade needs to undo it."""
    connection.execute(
        text(f"INSERT INTO {ORIGINS} (kind, name, legacy) VALUES (:kind, :name, :legacy)"),  # noqa: S608
        {"kind": kind, "name": name, "legacy": legacy},
    )


def made_tables(connection: Connection) -> frozenset[str]:
    """Names of the tables that the migrations created; empty for a database that was never migrated."""
    if connection.execute(text("SELECT to_regclass(:name) IS NULL"), {"name": ORIGINS}).scalar_one():
        return frozenset()
    names = connection.execute(text(f"SELECT name FROM {ORIGINS} WHERE kind = 'table'"))  # noqa: S608
    return frozenset(names.scalars())


def added_columns(connection: Connection, table: str) -> frozenset[str]:
    """Columns of a table that the migrations added."""
    names = connection.execute(
        text(f"SELECT split_part(name, '.', 2) FROM {ORIGINS} WHERE kind = 'column' AND split_part(name, '.', 1) = :t"),  # noqa: S608
        {"t": table},
    )
    return frozenset(names.scalars())


def run_ddl(connection: Connection, statement: str) -> None:
    """Run a statement as it stands; a percent sign in it stays a percent sign."""
    connection.exec_driver_sql(statement.replace("%", "%%"))
