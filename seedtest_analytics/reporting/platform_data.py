"""The operators' page: the students and pages of the week, the data, and what could not be computed."""

from __future__ import annotations

from collections.abc import Mapping

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.cohort_views import facts_list
from seedtest_analytics.reporting.html import name, text
from seedtest_analytics.reporting.kpi_cards import kpi_title
from seedtest_analytics.reporting.language import marked, say, say_n
from seedtest_analytics.reporting.platform_cells import count, finding, missing, rows_table
from seedtest_analytics.reporting.platform_document import Counts, Platform
from seedtest_analytics.reporting.stored_sentences import stored_text


def pages(document: CohortDocument, found: Platform) -> str:
    """How the students of the week are spread over pages."""
    counts, summary = found.counts, document.summary
    shown: list[tuple[str, str]] = [
        (say("Classes with numbers"), count(counts.classes)),
        (say("Classes too small for numbers"), count(counts.small_classes)),
        (say("Students without a class"), count(counts.without_class)),
    ]
    if summary is not None:
        shown.append((say("Students without a report"), count(summary.without_report)))
        shown.append((say("Students who need help"), count(summary.helped)))
    return facts_list(shown) + (
        missing(say("No class is known, so there are no pages of classes.")) if _no_class(counts) else ""
    )


def _no_class(counts: Counts) -> bool:
    return not (counts.classes or counts.small_classes)


def data_quality(document: CohortDocument, found: Platform) -> str:
    """The attempts of the week, the quarantine, and rows that were not loaded."""
    data = found.data
    shown = facts_list(
        [
            (say("Attempts in the week"), count(data.attempts)),
            (say("Unanswered"), count(data.unanswered)),
            (say("Answered without a time"), count(data.untimed)),
            (say("Answered without a topic"), count(data.without_topic)),
        ]
    )
    return shown + _quarantine(found) + _rejects(found)


def _quarantine(found: Platform) -> str:
    if not found.quarantine:
        return finding(say("No element of an exam is in quarantine."))
    total, excluded = sum(q.elements for q in found.quarantine), sum(q.excluded for q in found.quarantine)
    said = say(
        "Quarantine: {n} findings in {all} elements of all exams; {excluded} elements do not count.",
        n=wording.whole(total),
        all=wording.whole(found.data.elements),
        excluded=wording.whole(excluded),
    )
    rows = [[name(q.reason), count(q.elements), count(q.excluded), count(q.of_week)] for q in found.quarantine]
    headings = (marked("Reason"), marked("Elements"), marked("Left out"), marked("In the week"))
    return finding(said) + rows_table(headings, rows)


def _rejects(found: Platform) -> str:
    if not found.rejects:
        return ""
    rows = [[name(r.reason), count(r.rows), count(r.excluded)] for r in found.rejects]
    headings = (marked("Reason"), marked("Rows of logs"), marked("Left out"))
    return rows_table(headings, rows, caption=say("Rows of attempt logs that were loaded in part or not at all."))


def gaps(document: CohortDocument, found: Platform) -> str:
    """Numbers that students do not have, and assets that are not well."""
    rows = [
        [
            text(kpi_title(gap.number)),
            text(
                say(plain_words.KPI_REASONS[gap.code])
                if gap.code in plain_words.KPI_REASONS
                else say("No reason is stored.")
            ),
            count(gap.students),
        ]
        for gap in found.gaps
    ]
    rows += [
        [text(say("Growth percentile")), stored_text(gap.reason), count(gap.students)] for gap in found.growth_gaps
    ]
    headings = (marked("Number"), marked("Reason"), marked("Students"))
    shown = rows_table(headings, rows) if rows else finding(say("Every student has every number."))
    return shown + _health(document, found)


def _health(document: CohortDocument, found: Platform) -> str:
    health = found.health
    if health is None:
        return missing(
            say("The state of the assets has not been looked at yet: materialise {asset}.", asset="platform_health")
        )
    when = "–" if health.computed_at is None else wording.day(health.computed_at.date(), year=True)
    if not health.unwell:
        return finding(say("All {n} assets were well on {day}.", n=count(health.assets), day=when))
    said = say_n(
        "{n} of {all} assets was not well on {day}.",
        "{n} of {all} assets were not well on {day}.",
        len(health.unwell),
        all=wording.whole(health.assets),
        day=when,
    )
    rows = [
        [
            name(one.asset),
            text(say(_STATES[one.state])) if one.state in _STATES else name(one.state),
            f"<span>{', '.join(name(check) for check in one.checks) or '–'}</span>",
        ]
        for one in health.unwell
    ]
    headings = (marked("Asset"), marked("State"), marked("Failed checks"))
    return finding(said) + rows_table(
        headings, rows, caption=say("{command} has the texts and the commands that repair.", command="seedtest health")
    )


_STATES: Mapping[str, str] = {
    "failed": marked("failed"),
    "stale": marked("late"),
    "never": marked("never computed"),
    "warning": marked("a check warns"),
}
