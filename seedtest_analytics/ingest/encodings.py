"""Guesses the encoding of a text from its first bytes."""

from __future__ import annotations

import codecs
import re


def guessed_encoding(head: bytes) -> str:
    """The encoding of the first bytes of a text: UTF-8, UTF-16 without a mark, Korean, or what their letters suggest."""
    if head.startswith((b"PAR1", codecs.BOM_UTF8)):
        return "utf-8"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x00" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        return "utf-16-le" if odd > even else "utf-16-be"
    cut = head[: head.rfind(b"\n") + 1] or head
    for encoding in ("utf-8", "cp949"):
        try:
            text = cut.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Western texts also decode as CP949, into rare syllables and Chinese characters between Latin letters.
        if encoding == "utf-8" or re.search(r"[가-힣]{2}", text):
            return encoding
    from charset_normalizer import from_bytes

    best = from_bytes(cut[:65_536]).best()
    return "utf-8" if best is None else best.encoding
