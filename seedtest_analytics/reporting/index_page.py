"""The index of a week: one page that links every report, those first whose student needs help."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.advice_words import words
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.html import name, paragraph, table, text
from seedtest_analytics.reporting.language import current, say, say_n, speaking
from seedtest_analytics.reporting.recommendations import Recommendation

_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class IndexRow:
    """A student's line. ``links`` are (kind, address) with kinds 'family', 'pdf' and 'teacher'; ``step`` is markup."""

    student: str
    step: str
    needs_help: bool
    links: tuple[tuple[str, str], ...] = ()


def index_row(document: ReportDocument, made: Sequence[Recommendation], *, language: str, needs_help: bool) -> IndexRow:
    """A student's line without its links, in the language of the index."""
    with speaking(language):
        step = words(made[0], document)[0] if made else "–"
    return IndexRow(document.student, step, needs_help)


def index_page(week_start: dt.date, rows: Sequence[IndexRow], *, language: str, style: str) -> str:
    """The page. ``style`` is the style sheet of the reports. Addresses are written as they are: keys have no markup."""
    with speaking(language):
        return _page(week_start, sorted(rows, key=lambda row: (not row.needs_help, row.student)), style=style)


def _page(week_start: dt.date, rows: Sequence[IndexRow], *, style: str) -> str:
    title = text(say("Reports of the week"))
    helped = sum(row.needs_help for row in rows)
    lead = say_n("{n} student", "{n} students", len(rows))
    if helped:
        lead = f"{lead} · {say_n('{n} needs help', '{n} need help', helped)}"
    headings = [text(say("Student")), text(say("Needs help")), text(say("Next step")), text(say("Pages"))]
    cells = [[name(r.student), text(say("yes")) if r.needs_help else "–", r.step, _links(r)] for r in rows]
    listed = table(headings, cells, caption="", css_class="index") if cells else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{current().code}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}"><meta name="referrer" content="no-referrer">'
        f'<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head><body><main>"
        f'<h1 class="title">{title}</h1>{paragraph(text(wording.week(week_start)))}{paragraph(text(lead), "lead")}'
        f"{listed}</main></body></html>\n"
    )


def _links(row: IndexRow) -> str:
    kinds = {"family": say("family"), "pdf": "PDF", "teacher": say("teacher")}
    return " · ".join(f'<a href="{address}">{text(kinds[kind])}</a>' for kind, address in row.links)
