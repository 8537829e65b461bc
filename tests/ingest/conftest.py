"""A database with the tables of the loader, and logs to load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.database.engine import engine_for, normalised_url

TABLES = "exam_results, question, load_rejects, item_number, session, interest_goal, classroom, student_name, enrolment"


@pytest.fixture(scope="module")
def migrated_engine(module_database_url: str) -> Iterator[Engine]:
    """An engine on a migrated database, one per module."""
    engine = engine_for(normalised_url(module_database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def database(migrated_engine: Engine) -> Engine:
    """The module's database with empty loader tables and without simulated truth."""
    with migrated_engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {TABLES}"))
        connection.execute(text("DROP SCHEMA IF EXISTS simulation CASCADE"))
    return migrated_engine


def exam_rows(engine: Engine) -> list[tuple[Any, ...]]:
    """Every column except the generated key."""
    columns = "session_id, user_id, status, result_json::text, score_raw, score_scaled, created_at, updated_at"
    with engine.connect() as connection:
        return [tuple(r) for r in connection.execute(text(f"SELECT {columns} FROM exam_results ORDER BY session_id"))]


def question_rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM question ORDER BY id"))]


def reject_rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT file_name, row_number, reason, raw_row FROM load_rejects ORDER BY 1, 2, 3")
        )
        return [tuple(row) for row in rows]


def row_versions(engine: Engine) -> list[tuple[Any, ...]]:
    """xmin of every row. It changes with every update, even to the same values."""
    with engine.connect() as connection:
        return [
            tuple(row)
            for table in ("exam_results", "question", "load_rejects")
            for row in connection.execute(text(f"SELECT '{table}', ctid::text, xmin::text FROM {table} ORDER BY 2"))
        ]


def write_log(path: Path, rows: list[dict[str, Any]], **types: pa.DataType) -> Path:
    """Write rows to a Parquet log."""
    table = pa.Table.from_pylist(rows)
    for name, type_ in types.items():
        table = table.set_column(table.column_names.index(name), name, table.column(name).cast(type_))
    pq.write_table(table, path)
    return path
