"""The parts of the operators' page: data, calibration, models, and what could not be computed.

Sentences that a table stores (reasons of verdicts and fits) are in English and are quoted as they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.cohort_document import (
    Backtest,
    CohortDocument,
    Counts,
    Drift,
    Platform,
    SeriesForecast,
)
from seedtest_analytics.reporting.cohort_views import facts_list
from seedtest_analytics.reporting.document import STABLE_JACCARD
from seedtest_analytics.reporting.html import Html, name, paragraph, table, text
from seedtest_analytics.reporting.kpi_cards import kpi_title
from seedtest_analytics.reporting.language import marked, say, say_n

SHOWN_TEXT = 400
SHOWN_ROWS = 20


def sections(document: CohortDocument) -> Html | None:
    """Every part under its heading; None for another page."""
    found = document.platform
    if found is None:
        return None
    return Html(
        "".join(f"<section><h2>{text(say(heading))}</h2>{view(document, found)}</section>" for heading, view in _PARTS)
    )


def _quoted(stored: str) -> str:
    """A sentence that a table stores, in English."""
    return f'<bdi lang="en">{text(stored, SHOWN_TEXT)}</bdi>'


def _rows(headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", css_class: str = "") -> str:
    found = list(rows)[:SHOWN_ROWS]
    shown = [text(say(heading)) for heading in headings]
    return table(shown, found, caption=text(caption, 600), css_class=f"prose {css_class}".strip())


def _missing(sentence: str) -> str:
    return paragraph(text(sentence, SHOWN_TEXT), "missing")


def _finding(sentence: str) -> str:
    return paragraph(text(sentence, SHOWN_TEXT), "finding")


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else text(wording.decimal(value, digits))


def _count(value: int | None) -> str:
    return "–" if value is None else text(wording.whole(value))


def _day(value: dt.date) -> str:
    return text(wording.day(value, year=True))


def _pages(document: CohortDocument, found: Platform) -> str:
    counts, summary = found.counts, document.summary
    shown: list[tuple[str, str]] = [
        (say("Classes with numbers"), _count(counts.classes)),
        (say("Classes too small for numbers"), _count(counts.small_classes)),
        (say("Students without a class"), _count(counts.without_class)),
    ]
    if summary is not None:
        shown.append((say("Students without a report"), _count(summary.without_report)))
        shown.append((say("Students who need help"), _count(summary.helped)))
    return facts_list(shown) + (
        _missing(say("No class is known, so there are no pages of classes.")) if _no_class(counts) else ""
    )


def _no_class(counts: Counts) -> bool:
    return not (counts.classes or counts.small_classes)


def _data(document: CohortDocument, found: Platform) -> str:
    data = found.data
    shown = facts_list(
        [
            (say("Attempts in the week"), _count(data.attempts)),
            (say("Unanswered"), _count(data.unanswered)),
            (say("Answered without a time"), _count(data.untimed)),
            (say("Answered without a topic"), _count(data.without_topic)),
        ]
    )
    return shown + _quarantine(found) + _rejects(found)


def _quarantine(found: Platform) -> str:
    if not found.quarantine:
        return _finding(say("No element of an exam is in quarantine."))
    total, excluded = sum(q.elements for q in found.quarantine), sum(q.excluded for q in found.quarantine)
    said = say(
        "Quarantine: {n} findings in {all} elements of all exams; {excluded} elements do not count.",
        n=wording.whole(total),
        all=wording.whole(found.data.elements),
        excluded=wording.whole(excluded),
    )
    rows = [[name(q.reason), _count(q.elements), _count(q.excluded), _count(q.of_week)] for q in found.quarantine]
    headings = (marked("Reason"), marked("Elements"), marked("Left out"), marked("In the week"))
    return _finding(said) + _rows(headings, rows)


def _rejects(found: Platform) -> str:
    if not found.rejects:
        return ""
    rows = [[_quoted(r.reason), _count(r.rows), _count(r.excluded)] for r in found.rejects]
    headings = (marked("Reason"), marked("Rows of logs"), marked("Left out"))
    return _rows(headings, rows, caption=say("Rows of attempt logs that were loaded in part or not at all."))


def _calibration(document: CohortDocument, found: Platform) -> str:
    fit = found.calibration
    if fit is None:
        return _missing(say("No calibration has been made yet."))
    spec, link = fit.model_spec, fit.model_spec.linking_constants
    usable = say("usable") if fit.is_usable else say("not usable")
    when = "" if fit.is_of_week else say("This week has no calibration of its own; shown is the newest.")
    shown = facts_list(
        [
            (say("Calibration"), f"{_day(fit.week_start)} ({text(usable)})"),
            (say("Model"), "–" if spec.model is None else name(spec.model)),
            (say("Students"), _count(spec.n_persons)),
            (say("Questions"), _count(spec.n_items)),
            (say("Answers"), _count(spec.n_answers)),
            (say("Scale by"), text(_origin(spec.scale_origin))),
            (say("Link"), f"θ* = {_number(link.A, 3)} θ + {_number(link.B, 3)}"),
            (say("Anchors in the link"), f"{_count(link.n_anchors_used)} / {_count(spec.n_anchors_tagged)}"),
            (say("Mean ability"), _number(fit.metrics.group_mean)),
            (say("SD of abilities"), _number(fit.metrics.group_sd)),
        ]
    )
    notes = [*fit.metrics.reasons, *fit.metrics.warnings]
    listed = "".join(f"<li>{_quoted(note)}</li>" for note in notes)
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


def _anchors(document: CohortDocument, found: Platform) -> str:
    anchors = found.anchors
    if anchors is None:
        return _missing(say("Candidates for anchors have not been measured yet."))
    return facts_list(
        [
            (say("Measured on"), _day(anchors.week_start)),
            (say("Candidates"), _count(anchors.candidates)),
            (say("Tagged as anchors"), _count(anchors.tagged)),
            (say("Tagged and unstable"), _count(anchors.tagged_unstable)),
            (say("Tagged and flagged"), _count(anchors.tagged_flagged)),
            (say("Proposed"), _count(anchors.chosen)),
            (say("Too few answers"), _count(anchors.missing_answers)),
        ]
    )


def _drift(document: CohortDocument, found: Platform) -> str:
    drift = found.drift
    if drift is None:
        return _missing(say("Item parameters have not been compared over time yet."))
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
    return _finding(said) + _alerts(drift)


def _alerts(drift: Drift) -> str:
    if not drift.alerts:
        return ""
    rows = [
        [
            name(alert.item_id),
            text(say(_PARAMETERS[alert.metric])) if alert.metric in _PARAMETERS else name(alert.metric),
            "–" if alert.value is None else text(wording.signed(alert.value)),
            text(say(_SEVERITIES[alert.severity])) if alert.severity in _SEVERITIES else name(alert.severity),
        ]
        for alert in drift.alerts
    ]
    headings = (marked("Question"), marked("Parameter"), marked("Change"), marked("Severity"))
    return _rows(headings, rows, caption=say("Open alerts, the worst first, at most ten."))


_PARAMETERS: Mapping[str, str] = {
    "delta_a": marked("discrimination"),
    "delta_b": marked("difficulty"),
    "delta_c": marked("guessing"),
    "b_ci_separation": marked("difficulty, intervals apart"),
}
_SEVERITIES: Mapping[str, str] = {"minor": marked("minor"), "moderate": marked("moderate"), "severe": marked("severe")}


def _fairness(document: CohortDocument, found: Platform) -> str:
    """Differences between groups: of questions, and of predictions."""
    return _dif(found) + _audits(document, found)


def _audits(document: CohortDocument, found: Platform) -> str:
    if not found.audits:
        return _missing(say("Predictions were not compared between groups yet."))
    rows = [
        [
            text(_prediction(a.prediction, document)),
            name(a.group_name),
            _count(a.n_students),
            _number(a.auc_gap),
            _number(a.abroca),
            _gap_verdict(a.ranking_verdict),
            _number(a.calibration_gap),
            _gap_verdict(a.calibration_verdict),
        ]
        for a in found.audits
    ]
    headings = (
        marked("Number"),
        marked("Group"),
        marked("Students"),
        marked("AUC against the reference"),
        marked("Area between the curves"),
        marked("Ranking"),
        marked("Calibration gap (logit)"),
        marked("Agreement with outcomes"),
    )
    caption = say(
        "Predictions for each group by {covariate}, compared with {reference} (week of {day}). Above 0, the calibration gap "
        "says that the event happens more often than it is predicted.",
        covariate=found.audits[0].covariate,
        reference=found.audits[0].reference,
        day=wording.day(found.audits[0].week_start, year=True),
    )
    return _rows(headings, rows, caption=caption)


def _gap_verdict(verdict: str) -> str:
    return text(say(_GAP_VERDICTS[verdict])) if verdict in _GAP_VERDICTS else name(verdict)


_GAP_VERDICTS: Mapping[str, str] = {
    "gap": marked("a gap"),
    "no_gap_found": marked("no gap found"),
    "cannot_be_judged": marked("cannot be judged"),
}


def _dif(found: Platform) -> str:
    dif = None if found.calibration is None else found.calibration.metrics.dif
    if dif is None or not dif.n_tests:
        none = say(
            "Questions were not compared between groups: {setting} names no grouping, or the groups are small.",
            setting="DIF_COVARIATE",
        )
        return _missing(none)
    classes = {key: value for key, value in dif.classes.items() if isinstance(value, int)}
    said = say(
        "{n} comparisons between groups by {covariate}: {a} without a difference that matters, {b} with a moderate one, {c} "
        "with a large one.",
        n=_count(dif.n_tests),
        covariate="–" if dif.covariate is None else name(dif.covariate),
        a=_count(classes.get("A")),
        b=_count(classes.get("B")),
        c=_count(classes.get("C")),
    )
    items = ", ".join(name(item) for item in dif.items_c[:SHOWN_ROWS])
    listed = paragraph(f"{text(say('With a large difference:'))} {items}") if items else ""
    return paragraph(said, "finding") + listed


def _verdicts(document: CohortDocument, found: Platform) -> str:
    if not found.verdicts:
        return _missing(say("No verdict has been reached for this week."))
    rows = [
        [
            f"{text(_prediction(v.prediction, document))} ({name(v.method)})",
            text(say(_VERDICTS[v.verdict])) if v.verdict in _VERDICTS else name(v.verdict),
            _count(v.students),
            say("{n} in {weeks}", n=_count(v.n), weeks=text(wording.weeks(v.n_weeks))),
            _number(v.brier_model, 3),
            _number(v.brier_reference, 3),
            _quoted(v.reason),
        ]
        for v in found.verdicts
    ]
    headings = (
        marked("Number"),
        marked("Verdict"),
        marked("Students"),
        marked("Outcomes"),
        marked("Score"),
        marked("Reference"),
        marked("Why"),
    )
    caption = say(
        "What past outcomes decided about the numbers of this week. A lower score is better; the reference predicts "
        "without the model."
    )
    return _rows(headings, rows, caption=caption)


_VERDICTS: Mapping[str, str] = {
    "too_early": marked("too early to tell"),
    "as_is": marked("published as it is"),
    "recalibrated": marked("corrected"),
    "base_rate": marked("replaced by the share of all"),
    "withheld": marked("withheld"),
}


def _prediction(code: str, document: CohortDocument) -> str:
    """A prediction in words, as plain text."""
    if code.startswith("forecast:"):
        return say("Forecast: {series}", series=_series(code.removeprefix("forecast:"), document))
    if code == "theta":
        return say("The next answers")
    if code == "next_answer":
        return say("The next answers, by topic")
    number, against, group = code.partition("_by_")
    if against:
        return say("{number}, against the share of {group}", number=kpi_title(number), group=group)
    if code.endswith("_model"):
        return say("{number}, before the verdict", number=kpi_title(code.removesuffix("_model")))
    return kpi_title(code)


def _series(metric: str, document: CohortDocument) -> str:
    """A series in words, as plain text."""
    topic = metric.removeprefix("topic:")
    return kpi_title(metric) if topic == metric else document.topic(topic)


def _backtest(document: CohortDocument, found: Platform) -> str:
    if not found.backtest:
        return _missing(say("No prediction has an outcome yet."))
    rows = [
        [
            f"<bdi>{text(_prediction(b.prediction, document))}</bdi>",
            text(wording.day(b.week_start)),
            _count(b.n),
            text(_skill(b)),
            _number(b.calibration_slope),
            _number(b.auc),
            "–" if b.coverage is None else text(_coverage(b)),
            text(say("credible") if b.is_credible else say("not credible")),
        ]
        for b in found.backtest
    ]
    headings = (
        marked("Prediction"),
        marked("Week"),
        marked("Predictions"),
        marked("Better than the baseline by"),
        marked("Calibration slope"),
        marked("Pairs in the right order"),
        marked("Inside the interval"),
        marked("Verdict"),
    )
    reasons = "".join(f"<li>{_quoted(reason)}</li>" for b in found.backtest for reason in b.reasons)
    caption = say(
        "The newest week whose outcomes are known. A slope of 1 is right, below 1 predictions are too extreme."
    )
    return _rows(headings, rows, caption=caption, css_class="compact") + (
        f'<ul class="reasons">{reasons}</ul>' if reasons else ""
    )


def _skill(b: Backtest) -> str:
    skill = b.brier_skill if b.brier_skill is not None else b.log_skill
    if skill is None and b.mae is not None and b.mae_baseline:
        skill = 1 - b.mae / b.mae_baseline
    return "–" if skill is None else f"{wording.signed(100 * skill, 0)}%"


def _coverage(b: Backtest) -> str:
    if b.coverage_level is None:
        return wording.percent(b.coverage or 0.0)
    return say(
        "{percent} instead of {level}",
        percent=wording.percent(b.coverage or 0.0),
        level=wording.percent(b.coverage_level),
    )


def _forecasts(document: CohortDocument, found: Platform) -> str:
    if not found.forecasts:
        return _missing(say("There is no forecast yet."))
    rows = [_forecast_row(document, forecast) for forecast in found.forecasts]
    headings = (marked("Series"), marked("Method"), marked("Next week"), marked("Expected"), marked("80% interval"))
    listed = _rows(headings, rows)
    if not found.anomalies:
        return listed + _finding(say("No week of the last eight was far from its forecast."))
    unusual = [
        [
            f"<bdi>{text(_series(a.metric, document))}</bdi>",
            _day(a.week_start),
            _number(a.value),
            _number(a.expected),
            "–" if a.anomaly_score is None else text(f"{wording.signed(a.anomaly_score, 1)} SD"),
        ]
        for a in found.anomalies
    ]
    headings = (marked("Series"), marked("Week of"), marked("Value"), marked("Expected"), marked("From the forecast"))
    return listed + _rows(headings, unusual, caption=say("Weeks of the last eight that were unusual for the group."))


def _forecast_row(document: CohortDocument, found: SeriesForecast) -> list[str]:
    ahead = found.next
    day = None
    if ahead.ds is not None:
        try:
            day = dt.date.fromisoformat(ahead.ds[:10])
        except ValueError:
            day = None
    interval = "–"
    if ahead.yhat_lower is not None and ahead.yhat_upper is not None:
        interval = text(wording.interval(ahead.yhat_lower, ahead.yhat_upper))
    return [
        f"<bdi>{text(_series(found.metric, document))}</bdi>",
        "–" if found.method is None else name(found.method),
        "–" if day is None else _day(day),
        _number(ahead.yhat),
        interval,
    ]


def _segments(document: CohortDocument, found: Platform) -> str:
    segments = found.segments
    if segments is None or not segments.profiles:
        return _missing(say("There are no segments yet."))
    if segments.n_segments < 2:
        return _missing(say("All students are one segment, which is not shown to anybody."))
    rows = [
        [
            f"<bdi>{text(plain_words.segment(p.label))}</bdi>",
            _count(p.students),
            "–" if p.share is None else text(wording.percent(p.share)),
            _number(p.jaccard),
            text(_stability(p.jaccard)),
        ]
        for p in segments.profiles
    ]
    headings = (marked("Segment"), marked("Students"), marked("Share"), marked("Similarity"), marked("Stability"))
    caption = say(
        "Similarity: mean Jaccard similarity in resamples. Below {limit} a segment is not stable, and no page shows it.",
        limit=wording.decimal(STABLE_JACCARD, 1),
    )
    return _rows(headings, rows, caption=caption)


def _stability(jaccard: float | None) -> str:
    if jaccard is None:
        return say("not known")
    return say("stable") if jaccard >= STABLE_JACCARD else say("not stable")


def _gaps(document: CohortDocument, found: Platform) -> str:
    rows = [
        [
            text(kpi_title(gap.number)),
            text(
                say(plain_words.KPI_REASONS[gap.code])
                if gap.code in plain_words.KPI_REASONS
                else say("No reason is stored.")
            ),
            _count(gap.students),
        ]
        for gap in found.gaps
    ]
    rows += [[text(say("Growth percentile")), _quoted(gap.reason), _count(gap.students)] for gap in found.growth_gaps]
    headings = (marked("Number"), marked("Reason"), marked("Students"))
    shown = _rows(headings, rows) if rows else _finding(say("Every student has every number."))
    return shown + _health(document, found)


def _health(document: CohortDocument, found: Platform) -> str:
    health = found.health
    if health is None:
        return _missing(
            say("The state of the assets has not been looked at yet: materialise {asset}.", asset="platform_health")
        )
    when = "–" if health.computed_at is None else wording.day(health.computed_at.date(), year=True)
    if not health.unwell:
        return _finding(say("All {n} assets were well on {day}.", n=_count(health.assets), day=when))
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
    return _finding(said) + _rows(
        headings, rows, caption=say("{command} has the texts and the commands that repair.", command="seedtest health")
    )


_STATES: Mapping[str, str] = {
    "failed": marked("failed"),
    "stale": marked("late"),
    "never": marked("never computed"),
    "warning": marked("a check warns"),
}
_PARTS: tuple[tuple[str, Callable[[CohortDocument, Platform], str]], ...] = (
    (marked("Pages and students"), _pages),
    (marked("Data quality"), _data),
    (marked("Calibration and linking"), _calibration),
    (marked("Anchors"), _anchors),
    (marked("Drift"), _drift),
    (marked("Fairness: differences between groups"), _fairness),
    (marked("What past outcomes say of the models"), _verdicts),
    (marked("Backtest"), _backtest),
    (marked("Forecasts and unusual weeks"), _forecasts),
    (marked("Segments"), _segments),
    (marked("What could not be computed, and why"), _gaps),
)
