"""Views of the legacy pipeline that the platform replaces, and their way back."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from seedtest_analytics.database.before_migration import MigrationError
from seedtest_analytics.database.origins import remember, run_ddl

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


def replace_legacy_view(op: Operations, name: str, *, definition: str) -> None:
    """Create or replace a view; record the previous definition for a downgrade."""
    connection = op.get_bind()
    kind = connection.execute(
        text(
            "SELECT relkind::text FROM pg_class WHERE relname = :name AND relnamespace = current_schema()::regnamespace"
        ),
        {"name": name},
    ).scalar()
    if kind not in (None, "v"):
        raise MigrationError(
            f"{name} exists and is not a view; rename it (ALTER TABLE {name} RENAME TO {name}_legacy) and migrate again"
        )
    legacy = None
    if kind == "v":
        legacy = connection.execute(text("SELECT pg_get_viewdef(to_regclass(:name))"), {"name": name}).scalar_one()
    try:
        run_ddl(connection, definition)
    except ProgrammingError as error:
        raise MigrationError(
            f"{name} exists as a view of another shape ({_first_line(error)}); rename it "
            f"(ALTER VIEW {name} RENAME TO {name}_legacy) and migrate again"
        ) from None
    remember(connection, "view", name=name, legacy=legacy)


def give_back_view(connection: Connection, name: str, *, legacy: str | None) -> None:
    """Replace the view by its legacy definition (None: drop it) and create the views that read it again.

    A view can lose columns only if it is dropped, together with the views that read it. Those are created again from
    their definitions, with comments and grants.
    """
    view, *upon = connection.execute(text(_VIEWS_UPON), {"name": name}).all()
    blocked = [v.name for v in upon if legacy is None or v.kind != "v"]
    if blocked:
        raise MigrationError(f"{', '.join(blocked)} read the view {name}; drop them and downgrade again")
    for v in (*reversed(upon), view):
        run_ddl(connection, f"DROP VIEW {v.name}")
    if legacy is None:
        return
    for v, definition in [(view, legacy), *((v, v.definition) for v in upon)]:
        try:
            run_ddl(connection, f"CREATE VIEW {v.name} AS {definition}")
        except ProgrammingError as error:
            raise MigrationError(
                f"{v.name} reads columns of {name} that the legacy view does not have ({_first_line(error)}); "
                "drop it and downgrade again"
            ) from None
        for statement in (*v.comments, *v.grants):
            run_ddl(connection, statement)


def _first_line(error: ProgrammingError) -> str:
    return str(error.orig).splitlines()[0]
