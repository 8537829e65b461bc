"""Objects of a JSON file: one a line, or one array; packed or not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seedtest_analytics.ingest.cells import cell_text
from seedtest_analytics.ingest.columns import problem
from seedtest_analytics.ingest.encodings import UNDECODABLE, guessed_encoding
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance
from seedtest_analytics.ingest.packing import head_of, packing_of, refusing_damage, unpacked_stream

MAX_JSON_BYTES = 1 << 30
"""An array, or one object over several lines, is read as a whole."""
_DEEPEST_NAME = 10
_MARGIN_BYTES = 4096


def begins_like_json(head: bytes) -> bool:
    """Whether a file with these first bytes begins with an object or an array."""
    return head[:_MARGIN_BYTES].decode(guessed_encoding(head), "replace").lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def json_objects(path: Path, name: str, *, encoding: str | None = None) -> Iterator[dict[str, Any]]:
    """The objects; a line that is not an object gives a problem, so that row numbers stay. The encoding is guessed."""
    known = encoding or guessed_encoding(head_of(path, name=name))
    with refusing_damage(name), unpacked_stream(path) as stream:
        text = io.TextIOWrapper(
            stream, encoding="utf-8-sig" if known == "utf-8" else known, errors=UNDECODABLE, newline="\n"
        )
        lines = _Lines(text, Allowance(path, name) if packing_of(path) else None)
        first, second = lines.next_filled(), lines.next_filled()
        if first.lstrip()[:1] == "[" or (_object(first) is None and _object(second) is None):
            yield from _whole(first + second + lines.rest(), name)
            return
        line = first
        while line:
            found = _object(line)
            yield problem("row_not_json", line.rstrip("\r\n")) if found is None else found
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
    return [row if isinstance(row, dict) else problem("row_not_json", str(row)) for row in rows]


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
