"""Engines on databases with the platform's schema, and ways to look into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.resources.postgres import engine_for, normalised_url


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """An engine on a database of its own with the platform's schema and no row."""
    engine = engine_for(normalised_url(database_url))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def shared_database(module_database_url: str) -> Iterator[Engine]:
    """Like ``database``, one for a module: for tests that only look, or that clean up behind themselves."""
    engine = engine_for(normalised_url(module_database_url))
    yield engine
    engine.dispose()


def rows_of(engine: Engine, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Rows of a query as dictionaries."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query), parameters).mappings()]


def execute(engine: Engine, statement: str, parameters: Any = None) -> None:
    """One statement in a transaction of its own."""
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def snapshot(engine: Engine, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Content and row versions (xmin) of tables: equal only if nothing was written in between."""
    with engine.connect() as connection:
        return {
            table: sorted(
                map(tuple, connection.execute(text(f"SELECT t::text, xmin::text FROM {table} AS t")))
            )
            for table in tables
        }
