"""Values and messages between Python and the R process, without pickle and rpy2's conversion.

A message is eight bytes of header length, a JSON header and raw buffers. The header is the message with each column
replaced by ``{"@": kind, "buffer": i, …}``. Both ends use this module, so it imports only NumPy. rpy2's pandas conversion
is lossy: it turns a missing nullable integer into -2147483648, integers above 2³¹ into text and a missing number into
NaN where R expects NA.

==============  ===========================  =============================================================
R               wire kind                    Python
==============  ===========================  =============================================================
numeric         double                       float64 array; NaN is sent as NA
integer         integer                      int32 array; integers beyond 32 bits go as double up to 2⁵³
logical         logical                      bool array
character       character                    list of str and None, object array
factor          factor                       pandas categorical (text categories)
data.frame      frame                        pandas.DataFrame
matrix, array   the kind, with ``dim``       array of that shape
list            JSON object or array         dict (all elements named) or list
NULL            null                         None
==============  ===========================  =============================================================

R has no scalars: a Python number, boolean or string becomes a vector of length one, and every R vector becomes an array.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.resources.r.errors import RConversionError

KIND = "@"
NA_INTEGER = -(2**31)
# R's NA_real_ is the NaN whose lower word is 1954 (src/main/arithmetic.c, R_ValueOfNA).
NA_REAL_BITS = 0x7FF00000000007A2
LARGEST_EXACT_DOUBLE = 2**53
_LENGTH = struct.Struct(">Q")


@dataclass(eq=False, slots=True)
class Vector:
    """An R vector on the wire: ``data`` in R's column-major order, ``levels`` if it is dictionary encoded."""

    kind: str
    data: NDArray[Any]
    levels: list[str] | None = None
    dim: tuple[int, ...] | None = None


@dataclass(eq=False, slots=True)
class Frame:
    """A data frame on the wire: ordered columns of equal length."""

    columns: dict[str, Vector]


def double(values: NDArray[Any], dim: tuple[int, ...] | None = None) -> Vector:
    """Float vector; NaN becomes R's NA."""
    data = np.array(values, dtype=np.float64, order="F").ravel(order="F")
    data.view(np.uint64)[np.isnan(data)] = NA_REAL_BITS
    return Vector("double", data, dim=dim)


def integer(values: NDArray[Any], name: str, *, dim: tuple[int, ...] | None = None) -> Vector:
    """Integer vector if all values fit R's 32 bits, else double up to 2⁵³; an error beyond."""
    if values.size == 0 or (values.min() > NA_INTEGER and values.max() < 2**31):
        return Vector("integer", np.asfortranarray(values, dtype=np.int32).ravel(order="F"), dim=dim)
    if max(abs(int(values.min())), abs(int(values.max()))) <= LARGEST_EXACT_DOUBLE:
        return double(values, dim)
    raise RConversionError(f"{name} has integers beyond 2^53, which R cannot store exactly: pass identifiers as text")


def text(values: list[str | None]) -> Vector:
    """Character vector, dictionary encoded: codes from 0, -1 for NA."""
    codes_by_value: dict[str, int] = {}
    codes = np.fromiter(
        (-1 if v is None else codes_by_value.setdefault(v, len(codes_by_value)) for v in values),
        dtype=np.int32,
        count=len(values),
    )
    return Vector("character", codes, levels=list(codes_by_value))


def pack(message: Mapping[str, Any]) -> list[bytes | memoryview]:
    """The parts of one message, in the order in which to write them."""
    buffers: list[memoryview] = []
    header = json.dumps({"message": _tree(message, buffers), "sizes": [b.nbytes for b in buffers]}).encode()
    return [_LENGTH.pack(len(header)), header, *buffers]


def _tree(value: Any, buffers: list[memoryview]) -> Any:
    if isinstance(value, Vector):
        buffers.append(np.ascontiguousarray(value.data).data.cast("B"))
        described = {KIND: value.kind, "buffer": len(buffers) - 1}
        if value.levels is not None:
            described["levels"] = value.levels
        if value.dim is not None:
            described["dim"] = list(value.dim)
        return described
    if isinstance(value, Frame):
        return {KIND: "frame", "columns": [[name, _tree(v, buffers)] for name, v in value.columns.items()]}
    if isinstance(value, Mapping):
        return {KIND: "list", "items": [[str(name), _tree(v, buffers)] for name, v in value.items()]}
    if isinstance(value, list | tuple):
        return [_tree(v, buffers) for v in value]
    return value


class Unpacker:
    """Turns a stream of bytes into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._end: int | None = None

    def feed(self, chunk: bytes) -> None:
        """Add bytes read from the socket."""
        self._bytes += chunk

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that are complete."""
        while self._first_is_complete():
            assert self._end is not None
            whole = bytes(self._bytes[: self._end])
            del self._bytes[: self._end]
            self._end = None
            yield unpack(whole)

    def _first_is_complete(self) -> bool:
        if self._end is None and len(self._bytes) >= _LENGTH.size:
            start = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) >= start:
                self._end = start + sum(json.loads(self._bytes[_LENGTH.size : start])["sizes"])
        return self._end is not None and len(self._bytes) >= self._end


def unpack(data: bytes) -> dict[str, Any]:
    """The message packed in ``data``."""
    start = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header = json.loads(data[_LENGTH.size : start])
    ends = start + np.cumsum([0, *header["sizes"]])
    buffers = [data[ends[i] : ends[i + 1]] for i in range(len(header["sizes"]))]
    message = _value(header["message"], buffers)
    assert isinstance(message, dict)
    return message


def _value(tree: Any, buffers: list[bytes]) -> Any:
    if isinstance(tree, list):
        return [_value(item, buffers) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if tree[KIND] == "frame":
        return Frame({name: _value(column, buffers) for name, column in tree["columns"]})
    if tree[KIND] == "list":
        return {name: _value(item, buffers) for name, item in tree["items"]}
    dtype = np.float64 if tree[KIND] == "double" else np.int32
    dim = tuple(tree["dim"]) if "dim" in tree else None
    return Vector(tree[KIND], np.frombuffer(buffers[tree["buffer"]], dtype=dtype), tree.get("levels"), dim)
