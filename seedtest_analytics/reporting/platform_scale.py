"""The operators' page: calibration, linking, anchors, drift, and questions that differ between groups."""

from __future__ import annotations

from collections.abc import Mapping

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.cohort_views import facts_list
from seedtest_analytics.reporting.html import name, paragraph, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.platform_cells import (
    SHOWN_ROWS,
    count,
    day_cell,
    finding,
    missing,
    number,
    rows_table,
)
from seedtest_analytics.reporting.platform_document import Drift, DriftQuestion, Platform
from seedtest_analytics.reporting.stored_sentences import stored_text
from seedtest_analytics.reporting.summary import Z_95


def calibration(document: CohortDocument, found: Platform) -> str:
    """The newest calibration, its link and its notes."""
    fit = found.calibration
    if fit is None:
        return missing(say("No calibration has been made yet."))
    spec, link = fit.model_spec, fit.model_spec.linking_constants
    usable = say("usable") if fit.is_usable else say("not usable")
    when = "" if fit.is_of_week else say("This week has no calibration of its own; shown is the newest.")
    shown = facts_list(
        [
            (say("Calibration"), f"{day_cell(fit.week_start)} ({text(usable)})"),
            (say("Model"), "–" if spec.model is None else name(spec.model)),
            (say("Students"), count(spec.n_persons)),
            (say("Questions"), count(spec.n_items)),
            (say("Answers"), count(spec.n_answers)),
            (say("Scale by"), text(_origin(spec.scale_origin))),
            (say("Link"), f"θ* = {number(link.A, 3)} θ + {number(link.B, 3)}"),
            (say("Anchors in the link"), f"{count(link.n_anchors_used)} / {count(spec.n_anchors_tagged)}"),
            (say("Mean ability"), number(fit.metrics.group_mean)),
            (say("SD of abilities"), number(fit.metrics.group_sd)),
        ]
    )
    notes = [*fit.metrics.reasons, *fit.metrics.warnings]
    listed = "".join(f"<li>{stored_text(note)}</li>" for note in notes)
    return (
        (paragraph(text(when), "note") if when else "")
        + shown
        + (f'<ul class="reasons">{listed}</ul>' if listed else "")
    )


_ORIGINS: Mapping[str, str] = {
    "anchors": marked("anchors"),
    "linked": marked("a link to the earlier scale"),
    "own": marked("its own students, as the first one"),
    "unlinked": marked("nothing: it is not linked"),
}


def _origin(code: str | None) -> str:
    return "–" if code is None else say(_ORIGINS[code]) if code in _ORIGINS else code


def anchors(document: CohortDocument, found: Platform) -> str:
    """The candidates for anchors."""
    anchors = found.anchors
    if anchors is None:
        return missing(say("Candidates for anchors have not been measured yet."))
    return facts_list(
        [
            (say("Measured on"), day_cell(anchors.week_start)),
            (say("Candidates"), count(anchors.candidates)),
            (say("Tagged as anchors"), count(anchors.tagged)),
            (say("Tagged and unstable"), count(anchors.tagged_unstable)),
            (say("Tagged and flagged"), count(anchors.tagged_flagged)),
            (say("Proposed"), count(anchors.chosen)),
            (say("Too few answers"), count(anchors.missing_answers)),
        ]
    )


def drift(document: CohortDocument, found: Platform) -> str:
    """The newest comparison of item parameters."""
    drift = found.drift
    if drift is None:
        return missing(say("Item parameters have not been compared over time yet."))
    judged = drift.moved + drift.no_drift
    said = say(
        "Compared on {day}: {moved} questions moved, {still} did not, and {unknown} cannot be judged for lack of answers.",
        day=wording.day(drift.week_start, year=True),
        moved=wording.whole(drift.moved),
        still=wording.whole(drift.no_drift),
        unknown=wording.whole(drift.cannot_be_judged),
    )
    if not judged:
        said = f"{said} {say('So the absence of alerts means nothing here.')}"
    return finding(said) + _drift_power(drift) + _moved(drift) + _not_judged(drift) + _alerts(drift)


_DRIFT_VERDICTS: Mapping[str, str] = {
    "moved": marked("moved"),
    "no_drift": marked("did not move"),
    "cannot_be_judged": marked("cannot be judged"),
}
_FOUND_FROM, _POWER = marked("Smallest change seen"), marked("Power")


def _drift_power(drift: Drift) -> str:
    """What the comparisons of each verdict could have found."""
    rows = [
        [
            text(say(words)),
            count(getattr(drift, code)),
            number(drift.power[code].found_from),
            _share(drift.power[code].power),
        ]
        for code, words in _DRIFT_VERDICTS.items()
        if code in drift.power
    ]
    if not rows:
        return ""
    caption = say(
        "Smallest change seen: the change of difficulty (logits) that a comparison sees in four of five cases. Power: the share "
        "of comparisons that see a severe change. Both are medians. No alert means no drift only with a power of four in five."
    )
    return rows_table((marked("Verdict"), marked("Questions"), _FOUND_FROM, _POWER), rows, caption=caption)


def _moved(drift: Drift) -> str:
    """The questions that moved, and whether they did so alone or with their topic."""
    rows = [
        [
            name(question.item_id),
            _signed(question.change),
            number(question.found_from),
            _signed(question.topic_change),
            _gap(question),
            text(say(_ORIGINS_OF_DRIFT.get(question.origin or "", _NO_ORIGIN)), 200),
        ]
        for question in drift.questions
        if question.verdict == "moved"
    ]
    if not rows:
        return ""
    caption = say(
        "The greatest changes of difficulty, at most ten. Their topic: median of its other questions. Students choose topics, "
        "so other students move all questions of a topic alike. Choice: how much more right students get who practise the topic "
        "more than is usual, at equal ability, now less then (of 100 answers, 95% interval). The log does not say who chose a "
        "question: a plan that assigns strong topics, and learning, leave the same trace."
    )
    return rows_table(_MOVED_HEADINGS, rows, caption=caption)


_MOVED_HEADINGS = (
    marked("Question"),
    marked("Change"),
    _FOUND_FROM,
    marked("Their topic"),
    marked("Choice"),
    marked("What moved"),
)
_ORIGINS_OF_DRIFT: Mapping[str, str] = {
    "item": marked("the question itself"),
    "who_answers": marked("other students answer the topic"),
    "topic": marked("the whole topic: taught otherwise, or answered by others"),
    "cannot_be_told": marked("cannot be told"),
}
_NO_ORIGIN = marked("not compared with its topic")


def _not_judged(drift: Drift) -> str:
    """The questions whose comparison would have missed a severe change."""
    rows = [
        [
            name(question.item_id),
            count(question.answers),
            _signed(question.change),
            number(question.found_from),
            _share(question.power),
        ]
        for question in drift.questions
        if question.verdict == "cannot_be_judged"
    ]
    headings = (marked("Question"), marked("Answers"), marked("Change"), _FOUND_FROM, _POWER)
    caption = say("Questions that cannot be judged, those with most answers, at most ten.")
    return rows_table(headings, rows, caption=caption) if rows else ""


def _signed(value: float | None) -> str:
    return "–" if value is None else text(wording.signed(value))


def _share(value: float | None) -> str:
    return "–" if value is None else text(wording.percent(value))


def _gap(question: DriftQuestion) -> str:
    if question.gap_change is None or question.gap_change_se is None:
        return "–"
    middle, half = 100 * question.gap_change, 100 * Z_95 * question.gap_change_se
    low, high = (wording.signed(value, 0) for value in (middle - half, middle + half))
    return text(say("{value} ({low} to {high})", value=wording.signed(middle, 0), low=low, high=high))


def _alerts(drift: Drift) -> str:
    if not drift.alerts:
        return ""
    rows = [
        [
            name(alert.item_id),
            text(say(_PARAMETERS[alert.metric])) if alert.metric in _PARAMETERS else name(alert.metric),
            _signed(alert.value),
            text(say(_SEVERITIES[alert.severity])) if alert.severity in _SEVERITIES else name(alert.severity),
        ]
        for alert in drift.alerts
    ]
    headings = (marked("Question"), marked("Parameter"), marked("Change"), marked("Severity"))
    return rows_table(headings, rows, caption=say("Open alerts, the worst first, at most ten."))


_PARAMETERS: Mapping[str, str] = {
    "delta_a": marked("discrimination"),
    "delta_b": marked("difficulty"),
    "delta_c": marked("guessing"),
    "b_ci_separation": marked("difficulty, intervals apart"),
}
_SEVERITIES: Mapping[str, str] = {"minor": marked("minor"), "moderate": marked("moderate"), "severe": marked("severe")}


def differences_of_questions(found: Platform) -> str:
    """Questions that differ between groups at equal ability."""
    dif = None if found.calibration is None else found.calibration.metrics.dif
    if dif is None or not dif.n_tests:
        none = say(
            "Questions were not compared between groups: {setting} names no grouping, or the groups are small.",
            setting="DIF_COVARIATE",
        )
        return missing(none)
    classes = {key: value for key, value in dif.classes.items() if isinstance(value, int)}
    said = say(
        "{n} comparisons between groups by {covariate}: {a} without a difference that matters, {b} with a moderate one, {c} "
        "with a large one.",
        n=count(dif.n_tests),
        covariate="–" if dif.covariate is None else name(dif.covariate),
        a=count(classes.get("A")),
        b=count(classes.get("B")),
        c=count(classes.get("C")),
    )
    items = ", ".join(name(item) for item in dif.items_c[:SHOWN_ROWS])
    listed = paragraph(f"{text(say('With a large difference:'))} {items}") if items else ""
    return paragraph(said, "finding") + listed
