"""Reading many rows: COPY to Arrow, with repeated texts kept once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sqlalchemy import Connection, TextClause

if TYPE_CHECKING:
    import pyarrow as pa

_SPOOL_BYTES = 1 << 26


def copy_to_arrow(
    connection: Connection, query: TextClause, *, dictionaries: tuple[str, ...] = ()
) -> pa.Table:
    """Rows of a query without parameters; the columns in ``dictionaries`` are dictionary-encoded.

    Parameters belong in a temporary table that the query reads. An empty result has its columns too.
    """
    import tempfile

    import pyarrow as pa
    from pyarrow import csv

    cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy has no COPY
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        with cursor.copy(f"COPY ({query.text}) TO STDOUT WITH (FORMAT csv, HEADER)") as copy:
            for block in copy:
                spool.write(block)
        cursor.close()
        spool.seek(0)
        convert = csv.ConvertOptions(
            column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in dictionaries},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        table: pa.Table = csv.read_csv(io.BufferedReader(spool), convert_options=convert)
    return table.unify_dictionaries().combine_chunks()
