"""The bytes of a CSV file as UTF-8 with one kind of line end, and its first lines: encoding, ``sep=``, delimiter, header."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seedtest_analytics.ingest.encodings import MARKS, UNDECODABLE
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.packing import unpacked_stream

MAX_LINE_BYTES = 64 << 20
_DELIMITERS = ",;\t|"
_USUAL_ENCODINGS = {"cp949": "Korean Excel", "cp1252": "Western Excel"}
_HEADER_LINES = 50
_INVISIBLE = " \t\r\n\ufeff\u200b\u00a0"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. ``is_padded``: blanks beside the delimiters are not part of the values."""

    delimiter: str
    is_padded: bool


@dataclass(frozen=True)
class Header:
    """The names of the columns, the dialect, and the bytes after the header."""

    names: tuple[str, ...]
    dialect: Dialect
    rest: bytes


def encoding_of(head: bytes, encoding: str, *, name: str) -> str:
    """The encoding of a file: its byte order mark, else the given one. Raises :class:`LoadError` if it cannot be right."""
    try:
        b"a".decode(encoding, "ignore")
    except (LookupError, UnicodeError):
        raise LoadError(f"--encoding {encoding!r} is unknown; use e.g. utf-8, cp949 or latin-1") from None
    marked = next((found for mark, found in MARKS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked
    first_line = re.split(b"[\r\n]", head.lstrip(b"\r\n"), maxsplit=1)[0]
    if encoding == "utf-8" and b"\x00" in first_line:
        likely = next((e for e, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])) if not any(zeros)), None)
        if likely is None:
            raise LoadError(f"{name}: neither Parquet nor text; an attempt log is a .parquet or .csv file")
        raise LoadError(f"{name}: the header is not utf-8; name its encoding, e.g. --encoding {likely}")
    if "\ufffd" in re.split("[\r\n]", head.decode(encoding, "replace").lstrip("\r\n"), maxsplit=1)[0]:
        fitting = [other for other in _USUAL_ENCODINGS if _decodes(first_line, other)] or ["cp949"]
        raise LoadError(
            f"{name}: the header is not {encoding}; name its encoding, "
            f"e.g. --encoding {fitting[0]} ({_USUAL_ENCODINGS[fitting[0]]})"
        )
    return encoding


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except UnicodeError:
        return False
    return True


def line_blocks(path: Path, *, encoding: str, block_bytes: int) -> Iterator[bytes]:
    """The unpacked file as UTF-8 in blocks of whole lines. Every line ends with LF; CR LF and CR become LF.

    Raises :class:`LoadError` for a line that is too long, and OSError for a damaged packed file.
    """
    rest = b""
    for chunk in _utf8_chunks(path, encoding=encoding, chunk_bytes=block_bytes):
        data = rest + chunk
        # The CR at the end of a chunk may be the first half of CR LF.
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if cut == 0 and len(data) > MAX_LINE_BYTES:
            raise LoadError(
                f"{path.name}: a line is longer than {MAX_LINE_BYTES >> 20} MB; an attempt log has short lines"
            )
        block, rest = data[:cut], data[cut:]
        if block:
            yield _line_feeds(block)
    if rest:
        yield _line_feeds(rest).removesuffix(b"\n") + b"\n"


def _line_feeds(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block


def _utf8_chunks(path: Path, *, encoding: str, chunk_bytes: int) -> Iterator[bytes]:
    is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    decoder = None if is_utf8 else codecs.getincrementaldecoder(encoding)(UNDECODABLE)
    is_first = True
    with unpacked_stream(path) as stream:
        while chunk := stream.read(chunk_bytes):
            data = chunk if decoder is None else _encoded(decoder.decode(chunk))
            if is_first:  # blank lines may come before the header
                data = data.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
                is_first = not data
            yield data
    if decoder is not None:
        yield _encoded(decoder.decode(b"", final=True))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def read_header(block: bytes, *, name: str) -> Header:
    """Take the header off the first block, with Excel's ``sep=`` line and blank lines before it.

    Raises :class:`LoadError` if there is none.
    """
    told = re.match(rb'"?sep=([^"\n])"?[^\n]*\n', block, re.IGNORECASE)
    if told:
        block = block[told.end() :].lstrip(b"\n")
    if not block:
        raise LoadError(
            f"{name}: no rows after the header, so there is nothing to load" if told else f"{name}: no header"
        )
    lines = block.split(b"\n", _HEADER_LINES)
    # A quoted name may have line breaks.
    used = next((n for n in range(1, _HEADER_LINES) if b"".join(lines[:n]).count(b'"') % 2 == 0), None)
    if used is None:
        raise LoadError(f"{name}: a quotation mark in the header is not closed; close it")
    text = b" ".join(lines[:used]).decode("utf-8", "replace")
    bare = re.sub('"[^"]*"', "", text)
    delimiter = told[1].decode() if told else max(_DELIMITERS, key=bare.count)
    raw = next(csv.reader([text], delimiter=delimiter, strict=False), [])
    is_padded = delimiter != " " and len(raw) > 1 and (_all_begin_blank(raw[1:]) or _all_end_blank(raw[:-1]))
    if is_padded:
        raw = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=False), [])
    return Header(
        tuple(column.strip(_INVISIBLE) for column in raw), Dialect(delimiter, is_padded), rest=b"\n".join(lines[used:])
    )


def _all_begin_blank(names: list[str]) -> bool:
    return all(name.startswith(" ") for name in names)


def _all_end_blank(names: list[str]) -> bool:
    return all(name.endswith(" ") for name in names)
