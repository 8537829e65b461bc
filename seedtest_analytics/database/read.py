"""Reads many rows at once, as Arrow, by binary COPY in the transaction of the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sqlalchemy import Connection, TextClause

from seedtest_analytics.database.binary_copy import Field, blocks_of, decoded, schema_of

if TYPE_CHECKING:
    import pyarrow as pa


def copy_to_arrow(connection: Connection, query: TextClause, *, dictionaries: tuple[str, ...] = ()) -> pa.Table:
    """Rows of a query without parameters; put parameters into a temporary table that the query reads.

    Columns have the types of the query, so a query casts what it computes. Those in ``dictionaries`` are
    dictionary-encoded. An empty result has its columns. Every text arrives as it is, and NULL differs from ''.
    """
    import pyarrow as pa

    cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy has no COPY
    fields = fields_of(cursor, f"({query.text}\n) AS described")
    schema = schema_of(fields, dictionaries=dictionaries)
    batches = [*schema.empty_table().to_batches()]
    with cursor.copy(f"COPY ({query.text}\n) TO STDOUT WITH (FORMAT binary)") as copy:
        for block, starts in blocks_of(copy):
            batches.append(decoded(block, starts, fields=fields, schema=schema))
    cursor.close()
    return pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()


def fields_of(cursor: Any, source: str) -> list[Field]:
    """Columns of a table or of a query in parentheses, without reading a row."""
    cursor.execute(f"SELECT * FROM {source} LIMIT 0")  # noqa: S608 (statements and tables of our own)
    return [Field(column.name, column.type_code) for column in cursor.description]


def unpacked(blocks: pa.ChunkedArray, *, types: dict[str, DTypeLike]) -> dict[str, NDArray[Any]]:
    """Columns of fixed-width integers from bytes in which a query packed the rows; ``types`` names and types them.

    The driver returns one row at a time, which is slow for ten million rows. The query therefore packs many into one
    (``string_agg(int4send(…) || int8send(…), '')``).
    """
    record = np.dtype([(name, np.dtype(type_).newbyteorder(">")) for name, type_ in types.items()])
    packed = np.frombuffer(b"".join(block for block in blocks.to_pylist() if block is not None), record)
    return {name: packed[name].astype(type_) for name, type_ in types.items()}
