"""Guesses the encoding of a text from its first bytes."""

from __future__ import annotations

import codecs
import re

MARKS = {
    # The mark of UTF-32 begins with that of UTF-16.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, and the encodings that they show."""

UNDECODABLE = "seedtest-undecodable"
"""Error handler: what does not decode becomes a byte that is never valid in UTF-8, so the value is rejected, not the file."""
codecs.register_error(UNDECODABLE, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]

_NUL_SHARE = 0.05
"""A UTF-16 text has more NUL bytes: those of digits and separators. A single NUL is a damaged value."""
_GOOD_PER_BAD = 20


def guessed_encoding(head: bytes) -> str:
    """The encoding of the first bytes of a text: UTF-8, UTF-16 without a mark, Korean, or what their letters suggest."""
    marked = next((encoding for mark, encoding in MARKS.items() if head.startswith(mark)), None)
    if marked is not None or head.startswith(b"PAR1"):
        return marked or "utf-8"
    if head.count(0) > _NUL_SHARE * len(head):
        even, odd = head[::2].count(0), head[1::2].count(0)
        return "utf-16-le" if odd > even else "utf-16-be"
    if _is_utf8(head):
        return "utf-8"
    # Western texts also decode as CP949, into rare syllables and Chinese characters between Latin letters.
    if re.search(r"[가-힣]{2}", _decoded(head, "cp949") or ""):
        return "cp949"
    from charset_normalizer import from_bytes

    best = from_bytes(head[:65_536]).best()
    return "utf-8" if best is None else best.encoding


def _is_utf8(head: bytes) -> bool:
    """Whether the bytes are UTF-8, but for a few damaged values among many letters that are not ASCII."""
    if _decoded(head, "utf-8") is not None:
        return True
    text = head.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return len(re.findall(r"[^\x00-\x7f\ufffd]", text)) > _GOOD_PER_BAD * bad


def _decoded(head: bytes, encoding: str) -> str | None:
    """The text, whose last character may be cut off; None if the encoding is another."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
