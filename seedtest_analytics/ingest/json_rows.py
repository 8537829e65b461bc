"""Objects of a JSON file: one a line, or one array; packed or not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.csv_text import packing_of
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance

MAX_JSON_BYTES = 1 << 30
"""An array, or one object over several lines, is read as a whole."""
_DEEPEST_NAME = 10


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
        lines = _Lines(text, Allowance(path, name) if packing else None)
        first, second = lines.next_filled(), lines.next_filled()
        if first.lstrip()[:1] == "[" or (_object(first) is None and _object(second) is None):
            yield from _whole(first + second + lines.rest(), name)
            return
        bad, number, line = 0, 0, first
        while line:
            number += 1
            found = _object(line)
            bad += found is None
            if found is None and bad == 1:
                notes.append(f"{name}: row {number} is not a JSON object, and has no values")
            yield found or {}
            line, second = second or lines.next_filled(), ""


class _Lines:
    """Lines of a text, which may be packed: then there is a limit."""

    def __init__(self, text: io.TextIOWrapper, allowance: Allowance | None) -> None:
        self._text, self._allowance = text, allowance

    def next_filled(self) -> str:
        """The next line that is not blank; empty at the end."""
        while (line := self._read(self._text.readline)) and not line.strip():
            pass
        return line

    def rest(self) -> str:
        """What remains."""
        return self._read(self._text.read)

    def _read(self, read: Callable[[int], str]) -> str:
        limit = MAX_JSON_BYTES if self._allowance is None else min(MAX_JSON_BYTES, self._allowance.bytes + 1)
        found = read(limit)
        if self._allowance is not None:
            self._allowance.take(len(found))
        return found


def _whole(text: str, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{name}: begins like JSON but cannot be read: {error}. Export JSON lines instead.") from None
    rows = found if isinstance(found, list) else [found]
    return [row if isinstance(row, dict) else {} for row in rows]


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def flat(row: Mapping[str, Any], prefix: str = "", *, depth: int = 0) -> dict[str, str | None]:
    """Nested objects as names with dots, lists and deeper objects as JSON."""
    values: dict[str, str | None] = {}
    for key, value in row.items():
        name = prefix + key.encode("utf-8", "replace").decode()
        if isinstance(value, dict) and depth < _DEEPEST_NAME:
            values |= flat(value, f"{name}.", depth=depth + 1)
        elif isinstance(value, dict | list):
            values[name] = _as_json(value)
        else:
            values[name] = cell_text(value)
    return values


def _as_json(value: dict[str, Any] | list[Any]) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return None
