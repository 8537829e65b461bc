"""Writes the data of a Stan program as a JSON file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 65_536


def write_stan_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write numbers, lists and arrays. Arrow writes matrices in blocks of rows, without a Python object per number.

    Raises:
        ValueError: a value is missing or infinite.
    """
    with path.open("wb") as file:
        for position, (name, value) in enumerate(data.items()):
            file.write(b"," if position else b"{")
            file.write(json.dumps(name).encode() + b":")
            if isinstance(value, np.ndarray) and value.ndim == 2 and value.size:
                _write_matrix(file, name, matrix=value)
            else:
                plain = value.tolist() if isinstance(value, np.ndarray) else value
                file.write(json.dumps(plain, allow_nan=False, default=_as_list).encode())
        file.write(b"}")


def _write_matrix(file: BinaryIO, name: str, *, matrix: NDArray[Any]) -> None:
    import pyarrow as pa
    from pyarrow import csv

    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} contains missing or infinite values")
    options = csv.WriteOptions(include_header=False)
    for start in range(0, len(matrix), _BLOCK_ROWS):
        columns = np.ascontiguousarray(matrix[start : start + _BLOCK_ROWS].T)
        lines = io.BytesIO()
        csv.write_csv(pa.table(list(columns), [str(k) for k in range(len(columns))]), lines, options)
        file.write(b",[" if start else b"[[")
        file.write(lines.getvalue()[:-1].replace(b"\n", b"],["))
        file.write(b"]")
    file.write(b"]")


def _as_list(value: Any) -> Any:
    """Convert NumPy numbers, also inside a list."""
    return value.tolist()
