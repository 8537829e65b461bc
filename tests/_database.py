"""Engines on databases with the platform's schema, and ways to look into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.database.engine import engine_for, normalised_url


@pytest.fixture(scope="module")
def shared_database(module_database_url: str) -> Iterator[Engine]:
    """An engine on a database with the platform's schema, one for a module: for tests that only look."""
    engine = engine_for(normalised_url(module_database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def database(shared_database: Engine) -> Engine:
    """The module's database with all tables of the platform empty."""
    empty_tables(shared_database)
    return shared_database


def empty_tables(engine: Engine) -> None:
    """Take every row out of every table but those of the migrations."""
    names = rows_of(
        engine,
        "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' "
        "AND tablename NOT IN ('seedtest_alembic_version', 'seedtest_schema_origin')",
    )
    execute(engine, "TRUNCATE " + ", ".join(row["name"] for row in names) + " RESTART IDENTITY")


def rows_of(engine: Engine, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Rows of a query as dictionaries."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query), parameters).mappings()]


def execute(engine: Engine, statement: str, parameters: Any = None) -> None:
    """One statement in a separate transaction."""
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def snapshot(engine: Engine, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Content and row versions (xmin) of tables: equal only if nothing was written in between."""
    with engine.connect() as connection:
        return {
            table: sorted(map(tuple, connection.execute(text(f"SELECT t::text, xmin::text FROM {table} AS t"))))
            for table in tables
        }
