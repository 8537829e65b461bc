"""Schema migrations by Alembic, from an empty database and onto one that holds the legacy tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Engine, text

from seedtest_analytics.resources.sql_files import top_folder

VERSION_TABLE = "seedtest_alembic_version"
_LOCK = "seedtest_migrations"


class MigrationError(RuntimeError):
    """The database holds something that the migration may not change; the message says what and what to do."""


@dataclass(frozen=True)
class SchemaState:
    """Revision that the database has (None: never migrated) and the newest one."""

    current: str | None
    newest: str


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade to ``revision``; two callers wait for each other, and an up-to-date database is left as it is."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Downgrade to ``revision``; what was there before the first migration stays."""
    _run(engine, lambda config: command.downgrade(config, revision))


def schema_state(engine: Engine) -> SchemaState:
    """Which revision the database has and which it should have."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return SchemaState(context.get_current_revision(), str(newest))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(top_folder("sql") / "migrations").replace("%", "%%"))
    return config


def _run(engine: Engine, action: Any) -> None:
    config = _config()
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:lock, 0))"), {"lock": _LOCK})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            action(config)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:lock, 0))"), {"lock": _LOCK})
            connection.commit()


def create_or_extend(op: Operations, name: str, *elements: Any, comment: str | None = None) -> None:
    """Create a table, or where a legacy one of that name stands add what it lacks and remember what was added.

    Existing columns, rows and keys stay as they are. Raises :class:`MigrationError` where the legacy table has
    another primary key, because rows of the two shapes cannot be told apart.
    """
    connection = op.get_bind()
    wanted = sa.Table(name, sa.MetaData(), *elements, comment=comment)
    if not sa.inspect(connection).has_table(name):
        wanted.create(connection)
        _remember(connection, "table", name)
        return
    _require_same_key(connection, wanted)
    existing = {column["name"] for column in sa.inspect(connection).get_columns(name)}
    for column in wanted.columns:
        if column.name not in existing:
            added: sa.Column[Any] = column._copy()
            added.nullable = added.nullable or added.server_default is None
            op.add_column(name, added)
            _remember(connection, "column", f"{name}.{column.name}")


def create_index_if_missing(op: Operations, name: str, table: str, columns: Sequence[str], **options: Any) -> None:
    """Create an index unless one of that name stands."""
    connection = op.get_bind()
    if connection.execute(text("SELECT to_regclass(:name) IS NULL"), {"name": name}).scalar_one():
        op.create_index(name, table, list(columns), **options)
        _remember(connection, "index", name)


def replace_legacy_view(op: Operations, name: str, definition: str) -> None:
    """Create or replace a view; the definition that stood there is remembered for the way back."""
    connection = op.get_bind()
    kind = connection.execute(
        text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)"), {"name": name}
    ).scalar()
    if kind not in (None, "v"):
        raise MigrationError(
            f"{name} exists and is no view; rename it (ALTER TABLE {name} RENAME TO {name}_legacy) and migrate again"
        )
    legacy = None
    if kind == "v":
        legacy = connection.execute(text("SELECT pg_get_viewdef(to_regclass(:name))"), {"name": name}).scalar_one()
    connection.exec_driver_sql(definition.replace("%", "%%"))
    _remember(connection, "view", name, legacy)


def undo_everything(op: Operations) -> None:
    """Take back, last first, what the functions above made; what stood there before stays or comes back."""
    connection = op.get_bind()
    made = connection.execute(text("SELECT kind, name, legacy FROM seedtest_schema_origin ORDER BY id DESC")).all()
    for kind, name, legacy in made:
        if kind == "table":
            op.drop_table(name)
        elif kind == "column":
            op.drop_column(*name.split("."))
        elif kind == "index":
            connection.exec_driver_sql(f'DROP INDEX IF EXISTS "{name}"')
        else:
            connection.exec_driver_sql(f'DROP VIEW "{name}"')
            if legacy is not None:
                connection.exec_driver_sql(f'CREATE VIEW "{name}" AS {legacy}'.replace("%", "%%"))
    op.drop_table("seedtest_schema_origin")


def remember_origins(op: Operations) -> None:
    """Create the table in which the functions above note what they made."""
    op.create_table(
        "seedtest_schema_origin",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True, comment="Order of making."),
        sa.Column("kind", sa.Text, nullable=False, comment="table, column, index or view."),
        sa.Column("name", sa.Text, nullable=False, comment="What was made; table.column for a column."),
        sa.Column("legacy", sa.Text, comment="Definition of the view that stood there before."),
        comment="What the migrations made, so that a downgrade leaves what was there before them.",
    )


def _remember(connection: Connection, kind: str, name: str, legacy: str | None = None) -> None:
    connection.execute(
        text("INSERT INTO seedtest_schema_origin (kind, name, legacy) VALUES (:kind, :name, :legacy)"),
        {"kind": kind, "name": name, "legacy": legacy},
    )


def _require_same_key(connection: Connection, wanted: sa.Table) -> None:
    found = sa.inspect(connection).get_pk_constraint(wanted.name)["constrained_columns"]
    expected = [column.name for column in wanted.primary_key.columns]
    if sorted(found) != sorted(expected):
        raise MigrationError(
            f"the table {wanted.name} exists with primary key {found or 'none'}, the platform needs {expected}; "
            f"rename the old one (ALTER TABLE {wanted.name} RENAME TO {wanted.name}_legacy) and migrate again"
        )
