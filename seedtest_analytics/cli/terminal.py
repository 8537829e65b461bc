"""Output on terminals and in files whose encoding lacks some characters."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

HANDLER = "seedtest_analytics.plain"

_PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "·": "*",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "×": "x",
    "θ": "theta",
    "σ": "sigma",
    "Δ": "delta ",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}


def make_printable(*streams: TextIO) -> None:
    """Let the streams replace characters that their encoding lacks, instead of ending the command with an error."""
    codecs.register_error(HANDLER, _replaced)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The text that stands for the characters that cannot be encoded: alike where there is such, else their escape."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _PLAIN.get(character) or base or character.encode("ascii", "backslashreplace").decode()
