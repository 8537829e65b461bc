"""Two databases, table by table, without times of computation and counters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Engine

from scripts.table_digests import rows_of
from seedtest_analytics.tables import metadata

SHOWN = 3


def differences(
    left: Engine, right: Engine, tables: Iterable[str], *, but: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The tables whose rows differ, with the numbers of rows that only one side has, and the first of them.

    ``but``: a text by table; rows that have it do not count.
    """
    found = {}
    with left.connect() as ours, right.connect() as theirs:
        for name in tables:
            left_out = (but or {}).get(name)
            rows = [
                Counter(
                    row for row in rows_of(connection, metadata.tables[name]) if not left_out or left_out not in row
                )
                for connection in (ours, theirs)
            ]
            only = [sorted((rows[side] - rows[1 - side]).elements()) for side in (0, 1)]
            if any(only):
                found[name] = (
                    f"{len(only[0])} and {len(only[1])} of {rows[0].total()} and {rows[1].total()} rows are only on one "
                    f"side, such as {only[0][:SHOWN]} and {only[1][:SHOWN]}"
                )
    return found


def row_count(engine: Engine, table: str) -> int:
    """Rows of a table."""
    assert re.fullmatch(r"\w+", table)
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def numbers_of(engine: Engine, table: str) -> dict[str, float]:
    """Every number in the JSON columns ``metrics`` and ``model_spec`` of a table of fits, by week and path."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT week_start, model_spec, metrics FROM {table}").all()
    found: dict[str, float] = {}
    for week, *documents in rows:
        waiting: list[tuple[str, Any]] = [(str(week), document) for document in documents]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, dict):
                waiting += [(f"{path}.{key}", below) for key, below in value.items()]
            elif isinstance(value, int | float):
                found[path] = float(value)
    return found
