"""Schema migrations by Alembic, for an empty database and for one with the legacy tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from seedtest_analytics.database import archive
from seedtest_analytics.database.before_migration import MigrationError, differences, own_schema, prepare
from seedtest_analytics.database.existing_tables import REPAIRS, ExistingTable, Repair, compare, find_table
from seedtest_analytics.database.legacy_shapes import legacy_shape
from seedtest_analytics.database.legacy_views import give_back_view, replace_legacy_view
from seedtest_analytics.database.origins import made_tables, remember, remember_origins, run_ddl
from seedtest_analytics.database.publish import quoted
from seedtest_analytics.database.repairs import repair, undo_repair
from seedtest_analytics.database.sessions import lock_held
from seedtest_analytics.database.sql_files import top_folder
from seedtest_analytics.tables.source import SOURCE_TABLES

__all__ = [
    "VERSION_TABLE",
    "MigrationError",
    "SchemaState",
    "add_column",
    "archive_legacy_rows",
    "begin_revision",
    "create_check_if_missing",
    "create_function",
    "create_index_if_missing",
    "create_or_extend",
    "differing_tables",
    "downgrade",
    "migrate",
    "planned",
    "remember_origins",
    "replace_comments",
    "replace_legacy_view",
    "require_newest",
    "schema_state",
    "undo_everything",
    "undo_revision",
]

VERSION_TABLE = "seedtest_alembic_version"
_LOCK = "seedtest_migrations"

_HAS_INDEX = """
SELECT EXISTS (
    SELECT FROM pg_class AS i INNER JOIN pg_class AS t ON t.relnamespace = i.relnamespace
    WHERE i.relname = :name AND t.oid = to_regclass(:table)
)
"""

_COMMENT = """
SELECT d.description
FROM pg_description AS d
LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_class'::regclass AND d.objoid = to_regclass(:table)
    AND CASE WHEN CAST(:column AS text) IS NULL THEN d.objsubid = 0 ELSE a.attname = :column END
"""


@dataclass(frozen=True)
class SchemaState:
    """The revision of the database (None: never migrated) and the newest one."""

    current: str | None
    newest: str


def migrate(engine: Engine, revision: str = "head", *, adopted: Collection[str] = ()) -> list[str]:
    """Upgrade to ``revision``; simultaneous callers wait for each other. What happened to tables found, in words.

    Raises :class:`MigrationError` before any change if a table of another program is in the way. ``adopted`` names
    such tables that the platform may extend.
    """
    told: list[str] = []

    def upgrade(config: Config) -> None:
        told.extend(prepare(config.attributes["connection"], adopted=adopted))
        command.upgrade(config, revision)

    if schema_state(engine).current != schema_state(engine).newest or revision != "head":
        _run(engine, upgrade)
    return told


def planned(engine: Engine, *, adopted: Collection[str] = ()) -> list[str]:
    """What a migration would do with the tables that are there, in words; nothing is changed.

    Raises :class:`MigrationError` as :func:`migrate` does.
    """
    with engine.connect() as connection:
        try:
            return prepare(connection, adopted=adopted)
        finally:
            connection.rollback()


def differing_tables(engine: Engine) -> list[str]:
    """Tables that lack a column or hold another type than the platform declares, in words."""
    with engine.connect() as connection:
        return list(differences(connection))


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Downgrade to ``revision``; everything older than the first migration stays."""
    _run(engine, lambda config: command.downgrade(config, revision))


def schema_state(engine: Engine) -> SchemaState:
    """The current and the newest revision."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=version_options())
        return SchemaState(context.get_current_revision(), str(newest))


def require_newest(engine: Engine) -> None:
    """Raise :class:`MigrationError` with the command to run if the schema is not the newest."""
    state = schema_state(engine)
    if state.current != state.newest:
        raise MigrationError(
            f"the database's schema is at revision {state.current or 'none'}, this release needs {state.newest}; "
            "run `seedtest migrate` first"
        )


def version_options() -> dict[str, Any]:
    """Where Alembic keeps the revision: in the platform's own schema if it has one."""
    return {"version_table": VERSION_TABLE, "version_table_schema": own_schema()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(top_folder("sql") / "migrations").replace("%", "%%"))
    return config


def _revisions() -> list[str]:
    from alembic.script import ScriptDirectory

    return sorted(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _run(engine: Engine, action: Any) -> None:
    config = _config()
    with lock_held(engine, _LOCK), engine.connect() as connection:
        try:
            # The index of a large table takes its time.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            config.attributes["connection"] = connection
            action(config)
            connection.commit()
        except CommandError as error:
            raise MigrationError(f"{error}; known revisions: {', '.join(_revisions())}, head, base") from None


def create_or_extend(op: Operations, name: str, *elements: Any, comment: str | None = None) -> None:
    """Create a table, or make a table of that name hold the platform's rows, and record what was done.

    A legacy table gets the missing columns and defaults; its rows and keys stay. A legacy table of a shape that cannot be
    extended moves to the archive, and its rows are copied as far as they fit. Raises :class:`MigrationError` for a
    table of another program that was not found before.
    """
    connection = op.get_bind()
    wanted = sa.Table(name, sa.MetaData(), *elements, comment=comment)
    existing = find_table(connection, name)
    if existing is not None and not existing.is_own_schema and not _is_source(existing):
        existing = None
    if existing is None:
        wanted.create(connection)
        remember(connection, "table", name=name)
        return
    if name not in made_tables(connection):
        found = compare(existing, wanted)
        if found.problems:
            _move_aside(connection, wanted, problems=found.problems)
            return
        for needed in found.repairs:
            repair(connection, needed, table=name)
    for column in wanted.columns:
        if column.name not in existing.columns:
            added: sa.Column[Any] = column._copy()
            added.nullable = added.nullable or added.server_default is None
            op.add_column(name, added)
            remember(connection, "column", name=f"{name}.{column.name}")


def _is_source(existing: ExistingTable) -> bool:
    return existing.name in SOURCE_TABLES and legacy_shape(existing) is not None


def _move_aside(connection: Connection, wanted: sa.Table, *, problems: Sequence[str]) -> None:
    existing = find_table(connection, wanted.name)
    if existing is None or legacy_shape(existing) is None:
        raise MigrationError(f"the table {wanted.name} is of another program: {'; '.join(problems)}")
    try:
        archive.set_aside(connection, wanted.name)
    except archive.ArchiveError as error:
        raise MigrationError(str(error)) from None
    wanted.create(connection)
    remember(connection, "table", name=wanted.name)
    archive.carry_over(connection, wanted.name)


def archive_legacy_rows(op: Operations, names: Iterable[str]) -> None:
    """Copy the rows of legacy tables that the platform writes to into the archive, so that none is lost."""
    connection = op.get_bind()
    made = made_tables(connection)
    for name in names:
        existing = find_table(connection, name)
        if existing is None or not existing.is_own_schema or name in made or archive.is_archived(connection, name):
            continue
        try:
            archive.copy_rows(connection, name)
        except archive.ArchiveError as error:
            raise MigrationError(str(error)) from None


def create_index_if_missing(op: Operations, name: str, *, table: str, columns: Sequence[str], **options: Any) -> None:
    """Create an index unless one of that name exists."""
    connection = op.get_bind()
    if not connection.execute(text(_HAS_INDEX), {"name": name, "table": table}).scalar_one():
        op.create_index(name, table, list(columns), **options)
        remember(connection, "index", name=name)


def create_check_if_missing(op: Operations, name: str, *, table: str, condition: str) -> None:
    """Add a check constraint unless one of that name exists.

    A table older than the first migration may contain rows that violate it. They stay; only new rows are checked
    (NOT VALID).
    """
    connection = op.get_bind()
    constraints = sa.inspect(connection).get_check_constraints(table)
    if name in [constraint["name"] for constraint in constraints]:
        return
    is_ours = connection.execute(
        text("SELECT EXISTS (SELECT FROM seedtest_schema_origin WHERE kind = 'table' AND name = :table)"),
        {"table": table},
    ).scalar_one()
    op.create_check_constraint(name, table, condition, postgresql_not_valid=not is_ours)
    remember(connection, "check", name=f"{table}.{name}")


def create_function(op: Operations, signature: str, *, definition: str) -> None:
    """Create or replace a function of the platform, such as ``seedtest_json(jsonb)``."""
    connection = op.get_bind()
    run_ddl(connection, definition)
    remember(connection, "function", name=signature)


def add_column(op: Operations, table: str, *, column: sa.Column[Any]) -> None:
    """Add a column to a table of the platform."""
    op.add_column(table, column)
    remember(op.get_bind(), "column", name=f"{table}.{column.name}")


def replace_comments(op: Operations, comments: Iterable[tuple[str, str | None, str, str]]) -> None:
    """Replace comments, given as table, column (None: the table), old and new text.

    A comment that differs from the old text is somebody else's and stays.
    """
    connection = op.get_bind()
    for table, column, old, new in comments:
        found = connection.execute(text(_COMMENT), {"table": table, "column": column}).scalar()
        if found == old:
            target = f"COLUMN {quoted(table)}.{quoted(column)}" if column else f"TABLE {quoted(table)}"
            run_ddl(connection, f"COMMENT ON {target} IS '{new.replace(chr(39), chr(39) * 2)}'")


def begin_revision(op: Operations, revision: str) -> None:
    """Record where a later migration begins, so that :func:`undo_revision` undoes only this migration."""
    remember(op.get_bind(), "revision", name=revision)


def undo_revision(op: Operations, revision: str) -> None:
    """Undo, last first, everything since :func:`begin_revision` of ``revision``."""
    connection = op.get_bind()
    since = connection.execute(
        text("SELECT max(id) FROM seedtest_schema_origin WHERE kind = 'revision' AND name = :revision"),
        {"revision": revision},
    ).scalar_one()
    if since is None:
        raise MigrationError(
            f"seedtest_schema_origin has no record of revision {revision}, so its changes are unknown; "
            "restore that table from a backup and downgrade again"
        )
    _undo(op, since)
    connection.execute(text("DELETE FROM seedtest_schema_origin WHERE id >= :since"), {"since": since})


def undo_everything(op: Operations) -> None:
    """Undo, last first, all changes of the functions above; what they replaced comes back."""
    _undo(op, 0)
    op.drop_table("seedtest_schema_origin")


def _undo(op: Operations, since: int) -> None:
    connection = op.get_bind()
    made = connection.execute(
        text(
            "SELECT kind, name, legacy FROM seedtest_schema_origin WHERE id >= :since AND kind <> 'revision' "
            "ORDER BY id DESC"
        ),
        {"since": since},
    ).all()
    for kind, name, legacy in made:
        _UNDO[kind](connection, name, legacy)


_Undo = Callable[[Connection, str, str | None], None]


def _undo_repair(kind: str) -> _Undo:
    def undo(connection: Connection, name: str, _: str | None) -> None:
        table, column = name.split(".")
        undo_repair(connection, Repair(kind, column), table=table)

    return undo


def _drop(form: str) -> _Undo:
    """Runs ``form``, in which {0} is the table or the whole name and {1} the rest, both quoted."""

    def drop(connection: Connection, name: str, _: str | None) -> None:
        run_ddl(connection, form.format(*map(quoted, name.split(".")), name=name))

    return drop


_UNDO: dict[str, _Undo] = {
    "table": _drop("DROP TABLE {0}"),
    "column": _drop("ALTER TABLE {0} DROP COLUMN {1}"),
    "check": _drop("ALTER TABLE {0} DROP CONSTRAINT {1}"),
    "function": _drop("DROP FUNCTION {name}"),
    "index": _drop("DROP INDEX IF EXISTS {0}"),
    "view": lambda connection, name, legacy: give_back_view(connection, name, legacy=legacy),
    "moved": lambda connection, name, legacy: archive.give_back(connection, name, home=str(legacy)),
    "copied": lambda connection, name, _: archive.restore_rows(connection, name),
    "archive": lambda connection, *_: archive.drop_schema(connection),
    **{kind: _undo_repair(kind) for kind in REPAIRS},
}
"""How each recorded change is undone: with its name and what was there before."""
