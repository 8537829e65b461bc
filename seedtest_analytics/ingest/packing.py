"""What the first bytes of a file show: how it is packed, and that it is of a kind which the loader does not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from seedtest_analytics.ingest.errors import LoadError

PARQUET, ZIP, OLE = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
HEAD_BYTES = 1 << 20
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_UNREAD = {
    b"\xfd7zXZ\x00": "is packed by xz; unpack it with `xz --decompress`, and load the result",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it, and load its files",
    b"Rar!\x1a\x07": "is a RAR archive; unpack it, and load its files",
    b"\x04\x22\x4d\x18": "is packed by LZ4; unpack it with `lz4 -d`, and load the result",
    b"%PDF-": "is a PDF document; export the answers as CSV",
    b"SQLite format 3\x00": "is an SQLite database; export its table as CSV",
}
_TAR_MARK = slice(257, 262)
_LONGEST_MAGIC = 16


def packing_of(path: Path) -> str | None:
    """The compression that a file's first bytes show; its name may say something else."""
    with path.open("rb") as file:
        first = file.read(_LONGEST_MAGIC)
    return next((packing for magic, packing in _PACKED.items() if first.startswith(magic)), None)


def unpacked_stream(path: Path) -> Any:
    """The content of a file, packed or not. Its methods raise OSError or ArrowException for a damaged file."""
    return pa.input_stream(str(path), compression=packing_of(path))


@contextmanager
def refusing_damage(name: str, words: str = "cannot be read to the end") -> Iterator[None]:
    """Raise :class:`LoadError` instead of the errors of a damaged file."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
        raise LoadError(f"{name}: {words}: {error}. Nothing was loaded; export or copy it again.") from None


def head_of(path: Path, *, name: str, size: int = HEAD_BYTES) -> bytes:
    """The first unpacked bytes. Raises :class:`LoadError` for a damaged file, and for a kind that is not read."""
    with refusing_damage(name, "cannot be unpacked"), unpacked_stream(path) as stream:
        head = bytes(stream.read(size))
    found = next((words for magic, words in _UNREAD.items() if head.startswith(magic)), None)
    if found is None and head[_TAR_MARK] == b"ustar":
        found = "is a tar archive; unpack it with `tar xf`, and load its files"
    if found is not None:
        raise LoadError(f"{name}: {found}")
    return head
