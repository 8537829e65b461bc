"""How much a packed file may unpack to: a file of a few kilobytes could fill the disk or use up the memory."""

from __future__ import annotations

from pathlib import Path

from seedtest_analytics.ingest.errors import LoadError

MAX_EXPANSION = 200
"""A file that unpacks to more than this many times its size is refused."""
_SMALLEST_BYTES = 1 << 20


class Allowance:
    """Bytes that a file may unpack to, with all archives inside it."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self.bytes = MAX_EXPANSION * max(path.stat().st_size, _SMALLEST_BYTES)

    def take(self, size: int) -> None:
        """Count bytes. Raises :class:`LoadError` if they are too many."""
        self.bytes -= size
        if self.bytes < 0:
            raise LoadError(
                f"{self._name}: unpacks to more than {MAX_EXPANSION} times its size, which no log or roster does; "
                "unpack it yourself"
            )
