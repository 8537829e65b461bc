"""Two databases, table by table, without times of computation and counters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

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
