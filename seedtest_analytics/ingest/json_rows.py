"""Objects of a JSON file: one a line, or one array; packed or not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.csv_text import packing_of
from seedtest_analytics.ingest.errors import LoadError

MAX_JSON_BYTES = 1 << 30
"""An array, or one object over several lines, is read as a whole."""


def begins_like_json(path: Path) -> bool:
    """Whether a file begins with an object or an array."""
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    try:
        with pa.input_stream(str(path), compression=packing) as stream:
            return bool(stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["))
    except (OSError, pa.ArrowException):
        return False  # the reader says what is wrong


def json_objects(path: Path, name: str, *, notes: list[str]) -> Iterator[dict[str, Any]]:
    """The objects; a line that is not an object gives an empty one, so that row numbers stay, and a note."""
    with path.open("rb") as file:
        packing = packing_of(file.read(2))
    with pa.input_stream(str(path), compression=packing) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="\n")
        line = text.readline()
        while line and not line.strip():
            line = text.readline()
        if line.lstrip()[:1] == "[" or _object(line) is None:
            yield from _whole(line + text.read(MAX_JSON_BYTES), name)
            return
        bad, number = 0, 0
        while line:
            if line.strip():
                number += 1
                found = _object(line)
                bad += found is None
                if found is None and bad == 1:
                    notes.append(f"{name}: row {number} is not a JSON object, and has no values: {line.strip()[:60]}")
                yield found or {}
            line = text.readline()


def _whole(text: str, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LoadError(f"{name}: begins like JSON but cannot be read: {error}. Export JSON lines instead.") from None
    rows = found if isinstance(found, list) else [found]
    return [row if isinstance(row, dict) else {} for row in rows]


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, str | None]:
    """Nested objects as names with dots, lists as JSON."""
    values: dict[str, str | None] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            values[prefix + key] = json.dumps(value, ensure_ascii=False)
        else:
            values[prefix + key] = cell_text(value)
    return values
