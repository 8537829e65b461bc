"""What the parts of the operators' page share: cells, tables, and the names of predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.html import paragraph, table, text
from seedtest_analytics.reporting.kpi_cards import kpi_title
from seedtest_analytics.reporting.language import marked, say

SHOWN_TEXT = 400
SHOWN_ROWS = 20


def rows_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", css_class: str = ""
) -> str:
    """A table with translated headings; ``rows`` are markup, at most SHOWN_ROWS of them are shown."""
    found = list(rows)[:SHOWN_ROWS]
    shown = [text(say(heading)) for heading in headings]
    return table(shown, found, caption=text(caption, 600), css_class=f"prose {css_class}".strip())


def missing(sentence: str) -> str:
    """A sentence in place of a part that has no data."""
    return paragraph(text(sentence, SHOWN_TEXT), "missing")


def finding(sentence: str) -> str:
    """The sentence that a part begins with."""
    return paragraph(text(sentence, SHOWN_TEXT), "finding")


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash."""
    return "–" if value is None else text(wording.decimal(value, digits))


def count(value: int | None) -> str:
    """A count, or a dash."""
    return "–" if value is None else text(wording.whole(value))


def day_cell(value: dt.date) -> str:
    """A day with its year."""
    return text(wording.day(value, year=True))


_GROUPS = {"classroom_id": marked("the class"), "org_id": marked("the organisation")}
"""Groupings of `seedtest_analytics/assets/backtest/simple_rules.py` in words."""


def prediction_name(code: str, document: CohortDocument) -> str:
    """A prediction in words, as plain text."""
    if code.startswith("forecast:"):
        return say("Forecast: {series}", series=series_name(code.removeprefix("forecast:"), document))
    if code == "theta":
        return say("The next answers")
    if code == "next_answer":
        return say("The next answers, by topic")
    number, against, group = code.partition("_by_")
    if against:
        shown = say(_GROUPS[group]) if group in _GROUPS else group
        return say("{number}, against the share of {group}", number=kpi_title(number), group=shown)
    if code.endswith("_model"):
        return say("{number}, before the verdict", number=kpi_title(code.removesuffix("_model")))
    return kpi_title(code)


def series_name(metric: str, document: CohortDocument) -> str:
    """A series in words, as plain text."""
    topic = metric.removeprefix("topic:")
    return kpi_title(metric) if topic == metric else document.topic(topic)
