"""The index of a week: one page that links every report, those first whose student needs help."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.html import name, paragraph, table, text
from seedtest_analytics.reporting.language import current, say, say_n, speaking

_CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class IndexRow:
    """A student's line. ``links`` are (kind, address) with kinds 'family', 'pdf' and 'teacher'; ``step`` is markup."""

    student: str
    step: str
    needs_help: bool
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CohortRow:
    """The line of a page about a group: 'class', 'organisation' or 'platform'. ``students`` is None without numbers."""

    scope: str
    name: str
    students: int | None
    links: tuple[tuple[str, str], ...] = ()


def index_page(
    week_start: dt.date, rows: Sequence[IndexRow], *, language: str, style: str, cohorts: Sequence[CohortRow] = ()
) -> str:
    """The page. ``style`` is the style sheet of the reports. Addresses are written as they are: keys have no markup."""
    with speaking(language):
        ordered = sorted(rows, key=lambda row: (not row.needs_help, row.student))
        return _page(week_start, ordered, style=style, cohorts=cohorts)


def _page(week_start: dt.date, rows: Sequence[IndexRow], *, style: str, cohorts: Sequence[CohortRow]) -> str:
    title = text(say("Reports of the week"))
    helped = sum(row.needs_help for row in rows)
    lead = say_n("{n} student", "{n} students", len(rows))
    if helped:
        lead = f"{lead} · {say_n('{n} needs help', '{n} need help', helped)}"
    headings = [text(say("Student")), text(say("Needs help")), text(say("Next step")), text(say("Pages"))]
    cells = [[name(r.student), text(say("yes")) if r.needs_help else "–", r.step, _links(r)] for r in rows]
    listed = table(headings, cells, caption="", css_class="index") if cells else ""
    if cohorts and cells:
        listed = f"<h2>{text(say('Students'))}</h2>{listed}"
    return (
        f'<!DOCTYPE html>\n<html lang="{current().code}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}"><meta name="referrer" content="no-referrer">'
        f'<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head><body><main>"
        f'<h1 class="title">{title}</h1>{paragraph(text(wording.week(week_start)))}{paragraph(text(lead), "lead")}'
        f"{_cohorts(cohorts)}{listed}</main></body></html>\n"
    )


def _cohorts(rows: Sequence[CohortRow]) -> str:
    """The pages about groups: of the platform first, then of organisations and classes."""
    if not rows:
        return ""
    kinds = {"platform": say("Operators"), "organisation": say("Organisation"), "class": say("Class")}
    order = list(kinds)
    cells = [
        [
            text(kinds[row.scope]) if row.scope == "platform" else f"{text(kinds[row.scope])} {name(row.name)}",
            text(say("too few for numbers")) if row.students is None else wording.whole(row.students),
            " · ".join(f'<a href="{address}">{text(kind.upper())}</a>' for kind, address in row.links),
        ]
        for row in sorted(rows, key=lambda row: (order.index(row.scope), row.name))
    ]
    headings = [text(say("Page")), text(say("Students")), text(say("Open"))]
    listed = table(headings, cells, caption="", css_class="index")
    return f"<h2>{text(say('Classes, organisations and the platform'))}</h2>{listed}"


def _links(row: IndexRow) -> str:
    kinds = {"family": say("family"), "pdf": "PDF", "teacher": say("teacher")}
    return " · ".join(f'<a href="{address}">{text(kinds[kind])}</a>' for kind, address in row.links)
