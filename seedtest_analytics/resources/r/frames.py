"""Conversion of pandas and NumPy values to and from the wire format, on the platform's side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.resources.r import wire
from seedtest_analytics.resources.r.errors import RConversionError

SCALARS = (bool, int, float, str, type(None))


def to_wire(value: Any, name: str) -> Any:
    """Convert ``value`` for R; error messages call it ``name``.

    Accepts frames, series, arrays of any dimension, scalars, and mappings and sequences of these. Dates and objects
    are errors: the caller decides whether a date is a number or text.
    """
    if isinstance(value, pd.DataFrame):
        return _frame(value, name)
    if isinstance(value, pd.Series | pd.Index | np.ndarray):
        return _vector(value, name)
    if isinstance(value, Path):
        return str(value.absolute())  # R runs in another working folder
    if isinstance(value, np.generic):
        return to_wire(value.item(), name)
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_wire(item, f"{name}${key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(item, f"{name}[[{i + 1}]]") for i, item in enumerate(value)]
    raise RConversionError(f"{name} is a {type(value).__name__}, which cannot be converted to R")


def _frame(frame: pd.DataFrame, name: str) -> wire.Frame:
    if not frame.columns.is_unique:
        raise RConversionError(f"{name} has duplicate column names: {', '.join(map(str, frame.columns))}")
    return wire.Frame({str(c): _vector(frame[c], f"column {name}${c}") for c in frame.columns})


def _vector(values: pd.Series[Any] | pd.Index[Any] | NDArray[Any], name: str) -> wire.Vector:
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = pd.Series(values).cat.categories
        codes = np.asarray(pd.Series(values).cat.codes, dtype=np.int32)
        return wire.Vector("factor", codes, levels=[str(c) for c in categories])
    kind = values.dtype.kind
    dim = values.shape if isinstance(values, np.ndarray) and values.ndim > 1 else None
    if kind == "f":
        return wire.double(_float(values), dim)
    if kind in "iu":
        return _integers(values, name, dim=dim)
    if kind == "b":
        return _logical(values, dim)
    if kind in "OUS" and dim is None:
        return _text(values, name)
    raise RConversionError(f"{name} has type {values.dtype}, which R does not accept: convert it to numbers or text")


def _float(values: Any) -> NDArray[Any]:
    return np.asarray(values if isinstance(values, np.ndarray) else values.to_numpy(np.float64, na_value=np.nan))


def _integers(values: Any, name: str, *, dim: tuple[int, ...] | None) -> wire.Vector:
    if isinstance(values, np.ndarray):
        return wire.integer(values, name, dim=dim)
    missing = np.asarray(pd.isna(values))
    vector = wire.integer(values.to_numpy(dtype=np.int64, na_value=0), name)
    if vector.kind == "double":
        return wire.double(np.where(missing, np.nan, vector.data))
    vector.data = np.where(missing, wire.NA_INTEGER, vector.data).astype(np.int32)
    return vector


def _logical(values: Any, dim: tuple[int, ...] | None) -> wire.Vector:
    missing = np.asarray(pd.isna(values))
    known = values if isinstance(values, np.ndarray) else values.fillna(value=False)
    data = np.where(missing, wire.NA_INTEGER, np.asarray(known, dtype=np.int32)).astype(np.int32)
    return wire.Vector("logical", data.ravel(order="F"), dim=dim)


def _text(values: Any, name: str) -> wire.Vector:
    listed = [None if v is None or v is pd.NA or v != v else v for v in np.asarray(values, dtype=object).tolist()]
    other = next((v for v in listed if v is not None and not isinstance(v, str)), None)
    if other is not None:
        raise RConversionError(f"{name} mixes text with {type(other).__name__}: convert it to one type")
    return wire.text(listed)


def from_wire(value: Any) -> Any:
    """Convert an answer of R to pandas, NumPy, dict and list (see the table in :mod:`.wire`)."""
    if isinstance(value, wire.Frame):
        return pd.DataFrame({name: _column(vector) for name, vector in value.columns.items()})
    if isinstance(value, wire.Vector):
        return _column(value)
    if isinstance(value, dict):
        return {name: from_wire(item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    return value


def _column(vector: wire.Vector) -> Any:
    if vector.kind == "factor":
        return pd.Categorical.from_codes(vector.data, categories=pd.Index(vector.levels or [], dtype=object))
    if vector.kind == "character":
        lookup = np.array([*(vector.levels or []), None], dtype=object)
        values = lookup[vector.data]
    elif vector.kind == "logical":
        values = _with_missing(vector.data, vector.data.astype(bool), dtype=object)
    elif vector.kind == "integer":
        values = _with_missing(vector.data, vector.data.copy(), dtype=np.float64)
    else:
        values = vector.data.copy()
    return values if vector.dim is None else values.reshape(vector.dim, order="F")


def _with_missing(raw: NDArray[Any], values: NDArray[Any], *, dtype: Any) -> NDArray[Any]:
    missing = raw == wire.NA_INTEGER
    if not missing.any():
        return values
    values = values.astype(dtype)
    values[missing] = None if dtype is object else np.nan
    return values
