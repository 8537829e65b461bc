"""Schema migrations by Alembic, for an empty database and for one with the legacy tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from seedtest_analytics.database.publish import quoted
from seedtest_analytics.database.sessions import lock_held
from seedtest_analytics.database.sql_files import top_folder

VERSION_TABLE = "seedtest_alembic_version"
_LOCK = "seedtest_migrations"

_VIEWS_UPON = """
WITH RECURSIVE upon AS (
    SELECT to_regclass(:name)::oid AS oid, 0 AS depth
    UNION
    SELECT r.ev_class, u.depth + 1
    FROM upon AS u
    INNER JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = u.oid
    INNER JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND r.ev_class <> u.oid
)
SELECT
    c.oid::regclass::text AS name,
    c.relkind::text AS kind,
    pg_get_viewdef(c.oid) AS definition,
    ARRAY(
        SELECT format('COMMENT ON VIEW %s IS %L', c.oid::regclass, o.description)
        FROM pg_description AS o
        WHERE o.classoid = 'pg_class'::regclass AND o.objoid = c.oid AND o.objsubid = 0
    ) AS comments,
    ARRAY(
        SELECT format(
            'GRANT %s ON %s TO %s', a.privilege_type, c.oid::regclass,
            CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        )
        FROM aclexplode(c.relacl) AS a
    ) AS grants
FROM (SELECT oid, max(depth) AS depth FROM upon GROUP BY oid) AS u
INNER JOIN pg_class AS c ON c.oid = u.oid
ORDER BY u.depth, c.relname
"""
"""A view and the views that read it, directly or not, in an order in which they can be created."""

_COMMENT = """
SELECT d.description
FROM pg_description AS d
LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_class'::regclass AND d.objoid = to_regclass(:table)
    AND CASE WHEN CAST(:column AS text) IS NULL THEN d.objsubid = 0 ELSE a.attname = :column END
"""


class MigrationError(RuntimeError):
    """The database contains something that the migration may not change; the message names it and the remedy."""


@dataclass(frozen=True)
class SchemaState:
    """The revision of the database (None: never migrated) and the newest one."""

    current: str | None
    newest: str


def migrate(engine: Engine, revision: str = "head") -> None:
    """Upgrade to ``revision``; simultaneous callers wait for each other."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Downgrade to ``revision``; everything older than the first migration stays."""
    _run(engine, lambda config: command.downgrade(config, revision))


def schema_state(engine: Engine) -> SchemaState:
    """The current and the newest revision."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return SchemaState(context.get_current_revision(), str(newest))


def require_newest(engine: Engine) -> None:
    """Raise :class:`MigrationError` with the command to run if the schema is not the newest."""
    state = schema_state(engine)
    if state.current != state.newest:
        raise MigrationError(
            f"the database's schema is at revision {state.current or 'none'}, this release needs {state.newest}; "
            "run `seedtest migrate` first"
        )


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
    """Create a table, or add the missing columns to a legacy table of that name, and record what was added.

    Existing columns, rows and keys stay. Raises :class:`MigrationError` if the legacy table has another primary key,
    because rows of the two shapes could not be distinguished.
    """
    connection = op.get_bind()
    wanted = sa.Table(name, sa.MetaData(), *elements, comment=comment)
    if not sa.inspect(connection).has_table(name):
        wanted.create(connection)
        _remember(connection, "table", name=name)
        return
    _require_same_key(connection, wanted)
    existing = {column["name"] for column in sa.inspect(connection).get_columns(name)}
    for column in wanted.columns:
        if column.name not in existing:
            added: sa.Column[Any] = column._copy()
            added.nullable = added.nullable or added.server_default is None
            op.add_column(name, added)
            _remember(connection, "column", name=f"{name}.{column.name}")


def create_index_if_missing(op: Operations, name: str, *, table: str, columns: Sequence[str], **options: Any) -> None:
    """Create an index unless one of that name exists."""
    connection = op.get_bind()
    if connection.execute(text("SELECT to_regclass(:name) IS NULL"), {"name": name}).scalar_one():
        op.create_index(name, table, list(columns), **options)
        _remember(connection, "index", name=name)


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
    _remember(connection, "check", name=f"{table}.{name}")


def replace_legacy_view(op: Operations, name: str, *, definition: str) -> None:
    """Create or replace a view; record the previous definition for a downgrade."""
    connection = op.get_bind()
    kind = connection.execute(
        text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)"), {"name": name}
    ).scalar()
    if kind not in (None, "v"):
        raise MigrationError(
            f"{name} exists and is not a view; rename it (ALTER TABLE {name} RENAME TO {name}_legacy) and migrate again"
        )
    legacy = None
    if kind == "v":
        legacy = connection.execute(text("SELECT pg_get_viewdef(to_regclass(:name))"), {"name": name}).scalar_one()
    try:
        _execute(connection, definition)
    except ProgrammingError as error:
        raise MigrationError(
            f"{name} exists as a view of another shape ({_first_line(error)}); rename it "
            f"(ALTER VIEW {name} RENAME TO {name}_legacy) and migrate again"
        ) from None
    _remember(connection, "view", name=name, legacy=legacy)


def create_function(op: Operations, signature: str, *, definition: str) -> None:
    """Create or replace a function of the platform, such as ``seedtest_json(jsonb)``."""
    connection = op.get_bind()
    _execute(connection, definition)
    _remember(connection, "function", name=signature)


def add_column(op: Operations, table: str, *, column: sa.Column[Any]) -> None:
    """Add a column to a table of the platform."""
    op.add_column(table, column)
    _remember(op.get_bind(), "column", name=f"{table}.{column.name}")


def replace_comments(op: Operations, comments: Iterable[tuple[str, str | None, str, str]]) -> None:
    """Replace comments, given as table, column (None: the table), old and new text.

    A comment that differs from the old text is somebody else's and stays.
    """
    connection = op.get_bind()
    for table, column, old, new in comments:
        found = connection.execute(text(_COMMENT), {"table": table, "column": column}).scalar()
        if found == old:
            target = f"COLUMN {quoted(table)}.{quoted(column)}" if column else f"TABLE {quoted(table)}"
            _execute(connection, f"COMMENT ON {target} IS '{new.replace(chr(39), chr(39) * 2)}'")


def begin_revision(op: Operations, revision: str) -> None:
    """Record where a later migration begins, so that :func:`undo_revision` undoes only this migration."""
    _remember(op.get_bind(), "revision", name=revision)


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
        if kind == "table":
            op.drop_table(name)
        elif kind == "column":
            op.drop_column(*name.split("."))
        elif kind == "check":
            table, constraint = name.split(".")
            op.drop_constraint(constraint, table)
        elif kind == "function":
            _execute(connection, f"DROP FUNCTION {name}")
        elif kind == "index":
            _execute(connection, f'DROP INDEX IF EXISTS "{name}"')
        else:
            _give_back_view(connection, name, legacy=legacy)


def _give_back_view(connection: Connection, name: str, *, legacy: str | None) -> None:
    """Replace the view by its legacy definition (None: drop it) and create the views that read it again.

    A view can lose columns only if it is dropped, together with the views that read it. Those are created again from
    their definitions, with comments and grants.
    """
    view, *upon = connection.execute(text(_VIEWS_UPON), {"name": name}).all()
    blocked = [v.name for v in upon if legacy is None or v.kind != "v"]
    if blocked:
        raise MigrationError(f"{', '.join(blocked)} read the view {name}; drop them and downgrade again")
    for v in (*reversed(upon), view):
        _execute(connection, f"DROP VIEW {v.name}")
    if legacy is None:
        return
    for v, definition in [(view, legacy), *((v, v.definition) for v in upon)]:
        try:
            _execute(connection, f"CREATE VIEW {v.name} AS {definition}")
        except ProgrammingError as error:
            raise MigrationError(
                f"{v.name} reads columns of {name} that the legacy view does not have ({_first_line(error)}); "
                "drop it and downgrade again"
            ) from None
        for statement in (*v.comments, *v.grants):
            _execute(connection, statement)


def _execute(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _first_line(error: ProgrammingError) -> str:
    return str(error.orig).splitlines()[0]


def remember_origins(op: Operations) -> None:
    """Create the table in which the functions above record their changes."""
    op.create_table(
        "seedtest_schema_origin",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True, comment="Order of making."),
        sa.Column("kind", sa.Text, nullable=False, comment="table, column, index or view."),
        sa.Column("name", sa.Text, nullable=False, comment="What was made; table.column for a column."),
        sa.Column("legacy", sa.Text, comment="Definition of the view that stood there before."),
        comment="What the migrations made, so that a downgrade leaves what was there before them.",
    )


def _remember(connection: Connection, kind: str, *, name: str, legacy: str | None = None) -> None:
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
