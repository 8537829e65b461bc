"""PostgreSQL's binary COPY format from and to Arrow arrays: every field has its length in front, so no value is a sign.

A stream is a header, rows and a trailer. A row is the number of its fields (int16) and, for each field, its length in
bytes (int32, -1 for NULL) and its bytes; numbers are big-endian. The format is described under COPY in PostgreSQL's
manual. Reading and writing share one table of types. :mod:`.read` and :mod:`.publish` move the bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = SIGNATURE + bytes(8)  # no flags, no extension
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_BLOCK_BYTES = 1 << 24
_DAYS_TO_2000, _MICROSECONDS_TO_2000 = 10_957, 946_684_800_000_000


class BinaryCopyError(ValueError):
    """A column has a type or a value that Arrow or the binary format lacks; the message names it and the remedy."""


class Field(NamedTuple):
    """A column of a query or table, with the OID of its type."""

    name: str
    oid: int


@dataclass(frozen=True)
class _Kind:
    """How one PostgreSQL type travels.

    ``sql`` is the name of the type. ``wire`` is the NumPy type of numbers, None for bytes. ``shift`` is added to a number
    of the server, whose days and microseconds count from 2000. ``mark`` stands before the bytes of each value.
    """

    sql: str
    arrow: pa.DataType
    wire: str | None = None
    shift: int = 0
    mark: bytes = b""


@cache
def _kinds() -> dict[int, _Kind]:
    """By OID (pg_type.dat)."""
    import pyarrow as pa

    return {
        16: _Kind("boolean", pa.bool_(), "?"),
        17: _Kind("bytea", pa.binary()),
        20: _Kind("bigint", pa.int64(), ">i8"),
        21: _Kind("smallint", pa.int16(), ">i2"),
        23: _Kind("integer", pa.int32(), ">i4"),
        25: _Kind("text", pa.string()),
        700: _Kind("real", pa.float32(), ">f4"),
        701: _Kind("double precision", pa.float64(), ">f8"),
        1043: _Kind("varchar", pa.string()),
        1082: _Kind("date", pa.date32(), ">i4", shift=_DAYS_TO_2000),
        1184: _Kind("timestamptz", pa.timestamp("us", "UTC"), ">i8", shift=_MICROSECONDS_TO_2000),
        _UUID: _Kind("uuid", pa.string()),
        3802: _Kind("jsonb", pa.string(), mark=b"\x01"),  # jsonb: the version, then the text
    }


_UUID = 2950


def _kind_of(field: Field) -> _Kind:
    kind = _kinds().get(field.oid)
    if kind is None:
        raise BinaryCopyError(
            f"column {field.name!r} has the type with OID {field.oid}, which does not travel in binary: cast it to "
            "float8, bigint, boolean, text, date or timestamptz"
        )
    return kind


def schema_of(fields: Sequence[Field], *, dictionaries: Sequence[str] = ()) -> pa.Schema:
    """Arrow schema of the fields; the columns in ``dictionaries`` are dictionary-encoded."""
    import pyarrow as pa

    types = {field.name: _kind_of(field).arrow for field in fields}
    return pa.schema({n: pa.dictionary(pa.int32(), t) if n in dictionaries else t for n, t in types.items()})


def sql_type_of(field: pa.Field) -> str:
    """SQL type of a column that holds the values of an Arrow field."""
    import pyarrow as pa

    wanted = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    wanted = pa.int16() if pa.types.is_int8(wanted) else wanted  # PostgreSQL has no smaller integer
    for kind in _kinds().values():
        if kind.arrow == wanted:
            return kind.sql
    raise BinaryCopyError(f"column {field.name!r} has the Arrow type {wanted}, which no column of a table has")


def blocks_of(messages: Iterable[Any]) -> Iterator[tuple[bytearray, list[int]]]:
    """Blocks of whole rows, each with the first byte of every row.

    The protocol promises one message for each row. The header precedes the first row and the trailer is the last message.
    """
    block, starts, skipped = bytearray(), [], len(HEADER)
    for message in messages:
        if len(message) == skipped + len(TRAILER):  # a row without a field does not exist
            continue  # and not break, which would cancel the statement
        starts.append(len(block))
        block += message[skipped:] if skipped else message
        skipped = 0
        if len(block) >= _BLOCK_BYTES:
            yield block, starts
            block, starts = bytearray(), []
    if starts:
        yield block, starts


def decoded(block: bytearray, starts: Sequence[int], *, fields: Sequence[Field], schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a block, whose first bytes are ``starts``. Raises :class:`BinaryCopyError`."""
    import pyarrow as pa

    end = len(block)
    block += bytes(8)  # so that eight bytes can be looked at behind the last row
    data = np.frombuffer(block, np.uint8)
    at = np.asarray(starts, np.int64)
    if not (_numbers(data, at, dtype=">i2") == len(fields)).all():
        raise BinaryCopyError("the server sent rows with another number of columns")
    at = at + 2
    columns = []
    for field, wanted in zip(fields, schema, strict=True):
        length = _numbers(data, at, dtype=">i4").astype(np.int64)
        at = at + 4
        column = _column(data, at, length=length, field=field)
        columns.append(column.dictionary_encode() if pa.types.is_dictionary(wanted.type) else column)
        at = at + np.maximum(length, 0)
    if not np.array_equal(at, [*starts[1:], end]):
        raise BinaryCopyError("the server sent a row in several messages")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _numbers(data: NDArray[np.uint8], at: NDArray[np.int64], *, dtype: str) -> NDArray[Any]:
    """The numbers that begin at the bytes ``at``."""
    size = np.dtype(dtype).itemsize
    found: NDArray[Any] = np.ndarray((len(data) - size + 1,), dtype, buffer=data, strides=(1,))[at]
    return found


def _column(data: NDArray[np.uint8], at: NDArray[np.int64], *, length: NDArray[np.int64], field: Field) -> pa.Array:
    """The values of one column, which begin at the bytes ``at``."""
    import pyarrow as pa

    kind, is_null = _kind_of(field), length < 0
    if field.oid == _UUID or kind.mark:
        raise BinaryCopyError(f"cast the column {field.name!r} to text in the query")
    if kind.wire is None:
        return _texts(data, at, length=length).cast(kind.arrow)
    values = _numbers(data, at, dtype=kind.wire)
    if kind.shift:
        bounds = np.iinfo(values.dtype)
        if (~is_null & ((values == bounds.max) | (values == bounds.min))).any():
            raise BinaryCopyError(f"column {field.name!r} has an infinite time: cut it in the query")
        values = values.astype(np.int64) + kind.shift
    native = np.where(is_null, 0, values).astype(np.dtype(kind.wire).newbyteorder("="))
    plain = pa.array(native, mask=is_null)
    return plain.cast(kind.arrow) if kind.shift else plain


def _texts(data: NDArray[np.uint8], at: NDArray[np.int64], *, length: NDArray[np.int64]) -> pa.Array:
    """Bytes of each row, NULL where the length is negative.

    The block is cut at every beginning and end of a value. The pieces between two values are dropped.
    """
    import pyarrow as pa

    cuts = np.empty(2 * len(at), np.int64)
    cuts[0::2], cuts[1::2] = at, at + np.maximum(length, 0)
    pieces = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(cuts) - 1, [None, pa.py_buffer(cuts), pa.py_buffer(data)]
    )
    values = np.arange(0, len(cuts), 2)
    return pieces.take(pa.array(values, mask=length < 0)).cast(pa.binary())


def encoded(table: pa.Table, *, fields: Sequence[Field]) -> memoryview:
    """The rows of a table whose columns are ``fields``, without header and trailer.

    Values are cast to the column's type. Raises :class:`BinaryCopyError` for a value that the type lacks.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    count = pa.scalar(len(fields).to_bytes(2, "big"), pa.large_binary())
    parts = [_field_bytes(_cast(table[field.name], field), field) for field in fields]
    rows = pc.binary_join_element_wise(count, *parts, pa.scalar(b"", pa.large_binary()))
    if not len(rows):
        return memoryview(b"")
    _, offsets, values = rows.buffers()
    bounds = np.frombuffer(offsets, np.int64)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(values)[bounds[0] : bounds[-1]]


def _cast(column: pa.ChunkedArray, field: Field) -> pa.Array:
    import pyarrow as pa

    if column.null_count == len(column):
        # pandas gives a column without a value the type of numbers.
        return pa.nulls(len(column), _kind_of(field).arrow)
    try:
        cast = column.cast(_kind_of(field).arrow)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BinaryCopyError(f"column {field.name!r} does not hold values of its type: {error}") from None
    return cast.combine_chunks() if isinstance(cast, pa.ChunkedArray) else cast


def _field_bytes(column: pa.Array, field: Field) -> pa.Array:
    """The length and the bytes of each value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):  # several chunks that do not fit into one
        column = pa.concat_arrays(column.chunks)
    kind, large = _kind_of(field), pa.large_binary()
    is_null = column.is_null().to_numpy(zero_copy_only=False)
    if kind.wire is None:
        plain = _uuid_bytes(column) if field.oid == _UUID else column
        plain = pc.fill_null(plain.cast(large), b"")
        size = pc.binary_length(plain).to_numpy() + len(kind.mark)
        lengths = _fixed_width(np.where(is_null, -1, size).astype(">i4"))
        mark = pc.if_else(pa.array(is_null), pa.scalar(b"", large), pa.scalar(kind.mark, large))
        return pc.binary_join_element_wise(lengths, mark, plain, pa.scalar(b"", large))
    dtype = np.dtype(kind.wire)
    number = column.cast(f"int{8 * dtype.itemsize}") if kind.shift else column
    values = pc.fill_null(number, pa.scalar(0).cast(number.type)).to_numpy(zero_copy_only=False)
    rows = np.empty(len(values), [("size", ">i4"), ("value", dtype)])
    rows["size"], rows["value"] = dtype.itemsize, values - kind.shift if kind.shift else values
    return pc.if_else(pa.array(is_null), pa.scalar(_NULL, large), _fixed_width(rows))


def _fixed_width(values: NDArray[Any]) -> pa.Array:
    """The bytes of each value of a contiguous array."""
    import pyarrow as pa

    offsets = np.arange(len(values) + 1, dtype=np.int64) * values.dtype.itemsize
    data = np.ascontiguousarray(values).tobytes()
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _uuid_bytes(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if value is None else uuid.UUID(value).bytes for value in column.to_pylist()], pa.binary())
