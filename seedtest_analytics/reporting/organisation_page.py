"""The part of the page of an organisation that no other page has: its classes."""

from __future__ import annotations

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.cohort_document import ClassOfOrganisation, CohortDocument
from seedtest_analytics.reporting.cohort_views import interval, points
from seedtest_analytics.reporting.html import Html, name, paragraph, table, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.summary import Tally


def classes(document: CohortDocument) -> Html:
    """The classes in the order of their names; one that is too small has no numbers."""
    if not document.classes:
        return Html(paragraph(text(say("This organisation has no classes.")), "missing"))
    ordered = sorted(
        document.classes, key=lambda found: (found.class_id is None, found.name or "", found.class_id or "")
    )
    rows = [_row(document, found) for found in ordered]
    headings = [text(say(heading)) for heading in _HEADINGS]
    caption = say(
        "Growth: mean gain of the same students over up to eight weeks, in points, with its 95% interval. Where two "
        "intervals overlap widely, the classes may have grown alike."
    )
    return Html(table(headings, rows, caption=text(caption, 400), css_class="classes prose"))


_HEADINGS = (
    marked("Class"),
    marked("Students"),
    marked("Practised"),
    marked("Answers"),
    marked("Right"),
    marked("Need help"),
    marked("Stopped"),
    marked("Growth in points"),
)


def _row(document: CohortDocument, found: ClassOfOrganisation) -> list[str]:
    shown = text(say("Students without a class")) if found.class_id is None else name(found.name or found.class_id)
    if found.grade is not None:
        shown = f"{shown} ({text(say('grade {n}', n=found.grade))})"
    if not found.is_shown:
        few = text(say("fewer than {n}", n=document.minimum))
        return [shown, few, *["–"] * (len(_HEADINGS) - 2)]
    counts = [found.students, found.active, found.answers]
    tally = Tally(found.answers or 0, found.correct or 0)
    growth = "–"
    if found.growth and len(found.growth) > 1:
        growth = f"{points(found.growth[-1].gain)} ({interval(found.growth[-1])})"
    return [
        shown,
        *[_count(count) for count in counts],
        "–" if tally.share is None else text(wording.percent(tally.share)),
        _count(found.helped),
        _count(found.stopped),
        text(growth),
    ]


def _count(count: int | None) -> str:
    return "–" if count is None else wording.whole(count)
