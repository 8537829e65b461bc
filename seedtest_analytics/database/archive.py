"""The schema `seedtest_legacy`: the tables of the legacy pipeline as the migration found them.

A table whose shape cannot be extended moves there as it is, and the platform's table takes its name. Of a table that is
extended, a copy of the rows is there, because the platform recomputes and removes rows of it. A downgrade restores both.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from seedtest_analytics.database.origins import ORIGINS, added_columns, remember, run_ddl
from seedtest_analytics.database.publish import quoted
from seedtest_analytics.database.sql_files import statements

SCHEMA = "seedtest_legacy"
CARRY_OVER = "migrations/carry_over.sql"

_GRANTS = """
SELECT format(
    'GRANT %s ON %I TO %s', a.privilege_type, CAST(:name AS text),
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
)
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.oid = to_regclass(:old) AND a.grantee <> c.relowner
"""
_UNIQUES = """
SELECT ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey::smallint[]) AS k (attnum)
    INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
)
FROM pg_index AS i
WHERE i.indrelid = to_regclass(:name) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY NOT i.indisprimary
"""
_LENIENT_CHECKS = """
SELECT conname::text AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = to_regclass(:name) AND contype = 'c' AND NOT convalidated
"""
"""Checks that hold new rows to a rule that legacy rows may break."""

_COLUMNS = """
SELECT attname::text FROM pg_attribute
WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""


class ArchiveError(RuntimeError):
    """The archive cannot be made; the message says why."""


def archived(name: str) -> str:
    """The quoted name of a table in the archive."""
    return f"{SCHEMA}.{quoted(name)}"


def is_archived(connection: Connection, name: str) -> bool:
    """Whether the archive has a table of that name."""
    query = text("SELECT to_regclass(:name) IS NOT NULL")
    return bool(connection.execute(query, {"name": archived(name)}).scalar_one())


def set_aside(connection: Connection, name: str) -> None:
    """Move a table with its rows, keys and sequences into the archive. Views that read it still read it there."""
    _ensure_schema(connection)
    if is_archived(connection, name):
        raise ArchiveError(f"{SCHEMA}.{name} exists already; rename it and migrate again")
    home = connection.execute(
        text(
            "SELECT n.nspname FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE c.oid = to_regclass(:name)"
        ),
        {"name": name},
    ).scalar_one()
    run_ddl(connection, f"ALTER TABLE {quoted(name)} SET SCHEMA {SCHEMA}")
    remember(connection, "moved", name=name, legacy=home)


def carry_over(connection: Connection, name: str) -> int:
    """Copy the rows of a moved table that the new shape can express, and the rights of its readers; the number of rows."""
    for grant in connection.execute(text(_GRANTS), {"name": name, "old": archived(name)}).scalars().all():
        run_ddl(connection, grant)
    found = statements(CARRY_OVER).get(name)
    return 0 if found is None else connection.execute(found).rowcount


def give_back(connection: Connection, name: str, *, home: str) -> None:
    """Move a table out of the archive again. The platform's table of that name is gone by then."""
    run_ddl(connection, f"ALTER TABLE {archived(name)} SET SCHEMA {quoted(home)}")


def copy_rows(connection: Connection, name: str) -> int:
    """Copy a legacy table's own columns and rows into the archive; the number of rows."""
    _ensure_schema(connection)
    added = added_columns(connection, name)
    columns = [column for column in _columns(connection, name) if column not in added]
    listed = ", ".join(map(quoted, columns))
    count = connection.execute(text(f"CREATE TABLE {archived(name)} AS SELECT {listed} FROM {quoted(name)}")).rowcount  # noqa: S608
    remember(connection, "copied", name=name)
    return count


def restore_rows(connection: Connection, name: str) -> None:
    """Make the rows of a copied table what they were, and drop the copy. Rows that came later stay."""
    target, copy = quoted(name), archived(name)
    columns = _columns(connection, archived(name))
    uniques = connection.execute(text(_UNIQUES), {"name": name}).scalars().all()
    uniques = [unique for unique in uniques if set(unique) <= set(columns)]
    listed = ", ".join(map(quoted, columns))
    rows = {alias: ", ".join(f"{alias}.{quoted(column)}" for column in columns) for alias in ("t", "a")}
    for unique in uniques:
        same_key = " AND ".join(f"t.{quoted(column)} = a.{quoted(column)}" for column in unique)
        run_ddl(
            connection,
            f"DELETE FROM {target} AS t USING {copy} AS a "  # noqa: S608 (quoted names)
            f"WHERE {same_key} AND ROW({rows['t']})::text <> ROW({rows['a']})::text",
        )
    checks = connection.execute(text(_LENIENT_CHECKS), {"name": name}).all()
    for check in checks:
        run_ddl(connection, f"ALTER TABLE {target} DROP CONSTRAINT {quoted(check.name)}")
    same_row = f"ROW({rows['t']})::text = ROW({rows['a']})::text"
    is_there = f"EXISTS (SELECT FROM {target} AS t WHERE {same_row})"
    if uniques:
        same_key = " AND ".join(f"t.{quoted(column)} = a.{quoted(column)}" for column in uniques[0])
        is_there = f"EXISTS (SELECT FROM {target} AS t WHERE {same_key})"
    run_ddl(
        connection,
        f"INSERT INTO {target} ({listed}) SELECT {rows['a']} FROM {copy} AS a WHERE NOT {is_there}",  # noqa: S608
    )
    for check in checks:
        run_ddl(connection, f"ALTER TABLE {target} ADD CONSTRAINT {quoted(check.name)} {check.definition}")
    run_ddl(connection, f"DROP TABLE {copy}")


def drop_schema(connection: Connection) -> None:
    """Drop the archive if it is empty."""
    used = text("SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(:schema))")
    if not connection.execute(used, {"schema": SCHEMA}).scalar_one():
        run_ddl(connection, f"DROP SCHEMA IF EXISTS {SCHEMA}")


def _ensure_schema(connection: Connection) -> None:
    exists = text("SELECT to_regnamespace(:schema) IS NOT NULL")
    if connection.execute(exists, {"schema": SCHEMA}).scalar_one():
        return
    may_create = text("SELECT has_database_privilege(current_database(), 'CREATE')")
    if not connection.execute(may_create).scalar_one():
        raise ArchiveError(
            f"the legacy rows need the schema {SCHEMA}, and this user may not create it. As an administrator: "
            f"CREATE SCHEMA {SCHEMA} AUTHORIZATION <this user>; then migrate again"
        )
    run_ddl(connection, f"CREATE SCHEMA {SCHEMA}")
    is_recorded = text("SELECT to_regclass(:name) IS NOT NULL")
    if connection.execute(is_recorded, {"name": ORIGINS}).scalar_one():
        remember(connection, "archive", name=SCHEMA)


def _columns(connection: Connection, name: str) -> list[str]:
    return list(connection.execute(text(_COLUMNS), {"name": name}).scalars())
