"""Reads many rows by COPY: as Arrow with dictionary-encoded texts, or as integers in blocks of lines."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sqlalchemy import Connection, TextClause

if TYPE_CHECKING:
    import pyarrow as pa

_SPOOL_BYTES = 1 << 26


def copy_to_arrow(
    connection: Connection,
    query: TextClause,
    *,
    dictionaries: tuple[str, ...] = (),
    types: Mapping[str, str] | None = None,
) -> pa.Table:
    """Rows of a query without parameters; put parameters into a temporary table that the query reads.

    The columns in ``dictionaries`` are dictionary-encoded. ``types`` gives the Arrow type of a column (``float``,
    ``int32``, …), because COPY's text does not show it and numbers are read with 64 bits. An empty result has its columns.
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
            column_types={
                **{name: pa.dictionary(pa.int32(), pa.string()) for name in dictionaries},
                **{name: pa.type_for_alias(alias) for name, alias in (types or {}).items()},
            },
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        table: pa.Table = csv.read_csv(io.BufferedReader(spool), convert_options=convert)
    return table.unify_dictionaries().combine_chunks()


def copy_integer_lines(
    connection: Connection, query: TextClause, *, types: Mapping[str, DTypeLike]
) -> dict[str, NDArray[np.integer]]:
    """Columns of integers from a query whose rows are blocks of lines ``1,20,300``; ``types`` names and types them.

    The driver returns one row at a time, which is slow for ten million rows. The query therefore aggregates rows
    (``string_agg(concat_ws(',', …), chr(10))``), and each block is parsed at once.
    """
    import pyarrow as pa
    from pyarrow import csv

    arrow_types = {name: pa.from_numpy_dtype(type_) for name, type_ in types.items()}
    read, convert = (csv.ReadOptions(column_names=list(types)), csv.ConvertOptions(column_types=arrow_types))
    blocks = [pa.schema(arrow_types).empty_table()]
    cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy has no COPY
    with cursor.copy(f"COPY ({query.text}) TO STDOUT") as copy:
        for block in copy:
            lines = bytes(block).replace(b"\\n", b"\n")  # COPY escapes line breaks
            blocks.append(csv.read_csv(io.BytesIO(lines), read, convert_options=convert))
    cursor.close()
    table = pa.concat_tables(blocks)
    return {name: table[name].to_numpy() for name in types}
