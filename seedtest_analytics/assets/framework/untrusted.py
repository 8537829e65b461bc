"""Text that comes from data, made safe to show: a topic, an item, a group or a reason may be written by anyone.

The UI renders the tables and plots of metadata, and the text of every check, as Markdown: it would load the images and
draw the links that a topic contains. :func:`escaped` is the only way of text from data into that Markdown.
"""

from __future__ import annotations

import html
import re

LONGEST_TEXT = 2_000
_MARKUP = re.compile(r"[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
_BLOCK = re.compile(r"^(?:[#+=:-]|\d{1,9}(?=[.)](?:\s|$)))")
_ADDRESS = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=[Ww]{3})(?=\.)|(?<=\w)(?=@)")
_NOT_SHOWN = re.compile("[\\s\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_JOINER = "\u2060"
"""WORD JOINER, which nobody sees: after it, an address is no longer turned into a link."""


def one_line(text: object, longest: int = LONGEST_TEXT) -> str:
    """The text as one line without control characters and without marks that change the direction of writing."""
    line = _NOT_SHOWN.sub(" ", str(text)).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def escaped(text: object, longest: int = LONGEST_TEXT) -> str:
    """Markdown that shows the text as it is, on one line, and cut after ``longest`` characters."""
    line = _ADDRESS.sub(lambda found: found[0] + _JOINER, one_line(text, longest))
    line = _MARKUP.sub(lambda found: "\\" + found[0], line).translate(_ENTITIES)
    return _BLOCK.sub(lambda found: found[0] + "\\" if found[0].isdecimal() else "\\" + found[0], line)


def as_text(markdown: str) -> str:
    """What :func:`escaped` was given, for a terminal."""
    return html.unescape(re.sub(r"\\([^A-Za-z0-9\s])", r"\1", markdown)).replace(_JOINER, "")


def plain_label(text: object, longest: int = 60) -> str:
    """The text for a plot, in which matplotlib would read what stands between two $ as a formula."""
    return one_line(text, longest).replace("$", r"\$")
