"""A Stan program's data as a JSON file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_BLOCK_ROWS = 65_536


def write_stan_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write numbers, lists and arrays. Matrices go by Arrow in blocks of rows: no Python object for each number.

    Raises:
        ValueError: a value is missing or infinite, which no data of ours may be.
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


def _write_matrix(file: BinaryIO, name: str, *, matrix: np.ndarray) -> None:
    import pyarrow as pa
    from pyarrow import csv

    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} holds values that are missing or infinite")
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
    """Numbers of NumPy as Python's, also those inside a list."""
    return value.tolist()
