"""HTML from untrusted text. Every text that a report shows and did not write itself passes through :func:`text`."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_SHOWN_CHARACTERS = 200

# Scripts and emoji need the two joiners. Every other control or format character is made visible, because some of
# them reverse the direction of the text that follows.
_SHOWN_AS_IS = frozenset(string.ascii_letters + string.digits + " .," + "\u200c\u200d")


@dataclass(frozen=True)
class Html:
    """Markup that is safe to show as it is. Notebooks, Quarto and the embedded renderer call ``_repr_html_``."""

    markup: str

    def _repr_html_(self) -> str:
        return self.markup

    def __str__(self) -> str:
        return self.markup


def text(value: object, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """``value`` as inert HTML text, also inside a quoted attribute and inside Markdown's raw blocks.

    ASCII punctuation becomes numeric references, so neither an HTML parser nor a Markdown processor (shortcodes
    ``{{<``, fences, ``@``, ``$``) finds markup in it. Control and bidirectional format characters are shown as
    ``[U+202E]``. A text of more than ``limit`` characters ends in an ellipsis.
    """
    raw = unicodedata.normalize("NFC", str(value))  # jamo of a Hangul syllable that stand alone become the syllable
    shown = raw if len(raw) <= limit else raw[: limit - 1] + "…"
    return "".join(map(_character, shown))


def _character(character: str) -> str:
    if character in _SHOWN_AS_IS:
        return character
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"&#91;U&#43;{ord(character):04X}&#93;"
    return f"&#{ord(character)};" if character.isascii() else character


def name(value: object) -> str:
    """An untrusted name in running text, isolated so that a right-to-left name does not reorder the words around it."""
    return f"<bdi>{text(value)}</bdi>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, css_class: str = "") -> str:
    """A table whose cells and headings are markup already; the first cell of a row is its heading.

    Every cell repeats its column's heading as ``data-label``: on narrow screens the cells of a row are stacked. The
    roles are explicit because a screen reader does not recognise a stacked table without them.
    """
    head = "".join(f'<th scope="col" role="columnheader">{heading}</th>' for heading in headings)
    named = f"<caption>{caption}</caption>" if caption else ""
    body = "".join(f'<tr role="row">{_row(headings, row)}</tr>' for row in rows)
    return (
        f'<div class="table-scroll"><table class="{css_class}" role="table">{named}'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _row(headings: Sequence[str], row: Sequence[str]) -> str:
    cells = [
        f'<td role="cell" data-label="{heading}">{cell}</td>'
        for heading, cell in zip(headings[1:], row[1:], strict=True)
    ]
    return f'<th scope="row" role="rowheader">{row[0]}</th>{"".join(cells)}'


def paragraph(markup: str, css_class: str = "") -> str:
    """A paragraph of markup."""
    return f'<p class="{css_class}">{markup}</p>' if css_class else f"<p>{markup}</p>"


def figure(content: str, caption: str) -> str:
    """A chart with its caption, both markup."""
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def details(summary: str, content: str) -> str:
    """Markup that opens on demand; ``summary`` is plain text."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def section(heading: str, content: Html | None) -> Html | None:
    """A part of the page with its heading (plain text); None without content, so that no lone heading is shown."""
    if content is None:
        return None
    return Html(f"<section><h2>{text(heading)}</h2>{content}</section>")
