"""Print rows and a digest of every table: `python scripts/table_digests.py [FOLDER]`; with a folder, write the rows too.

Two databases with equal digests hold the same values. Times of computation do not count, and the hash in a fit's id is
masked, because it changes with the recipe of the id.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Table, text

from seedtest_analytics.database.engine import connected_engine, database_url
from seedtest_analytics.database.publish import quoted
from seedtest_analytics.tables import contract_of, metadata

NOT_COMPARED = {"exam_results": {"id"}, "attempt_log": {"id"}, "report_artifacts": {"id"}}
"""Random ids, and counters that follow their order."""
LOADED_AT = {"created_at", "updated_at", "loaded_at", "synced_at", "source_updated_at", "exam_result_id"}
FIT_ID = re.compile(r"\b([a-z]+-\d{4}-W\d{2})-[0-9a-f]{10}\b")


def rows_of(connection: Connection, table: Table) -> Iterator[str]:
    """The rows of a table as text in a fixed order."""
    left_out = LOADED_AT | NOT_COMPARED.get(table.name, set())
    compared = [c.name for c in table.columns if c.name not in left_out and not contract_of(c).is_volatile]
    columns = ", ".join(quoted(name) for name in compared)
    found = connection.execute(text(f"SELECT ROW({columns})::text FROM {quoted(table.name)}")).scalars()  # noqa: S608
    return iter(sorted(FIT_ID.sub(r"\1-*", row) for row in found))


def main(folder: Path | None) -> None:
    """Print a line for each table."""
    engine = connected_engine(database_url())
    with engine.connect() as connection:
        for table in sorted(metadata.tables.values(), key=lambda table: table.name):
            rows = list(rows_of(connection, table))
            digest = hashlib.md5("\n".join(rows).encode(), usedforsecurity=False).hexdigest()
            print(f"{table.name:32} {len(rows):>10,} {digest}")  # noqa: T201
            if folder is not None:
                (folder / f"{table.name}.txt").write_text("\n".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
