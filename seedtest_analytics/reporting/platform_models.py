"""The operators' page: predictions by group, verdicts, backtest, forecasts and segments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.chart_tables import interval_heading
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.document import FORECAST_LEVEL, STABLE_JACCARD
from seedtest_analytics.reporting.html import name, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.platform_cells import (
    count,
    day_cell,
    finding,
    missing,
    number,
    prediction_name,
    rows_table,
    series_name,
)
from seedtest_analytics.reporting.platform_document import Backtest, Platform, SeriesForecast
from seedtest_analytics.reporting.stored_sentences import stored_text


def differences_of_predictions(document: CohortDocument, found: Platform) -> str:
    """The audit of predictions by group."""
    if not found.audits:
        return missing(say("Predictions were not compared between groups yet."))
    rows = [
        [
            text(prediction_name(a.prediction, document)),
            name(a.group_name),
            count(a.n_students),
            number(a.auc_gap),
            number(a.abroca),
            _gap_verdict(a.ranking_verdict),
            number(a.calibration_gap),
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
    return rows_table(headings, rows, caption=caption)


def _gap_verdict(verdict: str) -> str:
    return text(say(_GAP_VERDICTS[verdict])) if verdict in _GAP_VERDICTS else name(verdict)


_GAP_VERDICTS: Mapping[str, str] = {
    "gap": marked("a gap"),
    "no_gap_found": marked("no gap found"),
    "cannot_be_judged": marked("cannot be judged"),
}


def verdicts(document: CohortDocument, found: Platform) -> str:
    """What past outcomes decided about the numbers of the week."""
    if not found.verdicts:
        return missing(say("No verdict has been reached for this week."))
    rows = [
        [
            f"{text(prediction_name(v.prediction, document))} ({name(v.method)})",
            text(say(_VERDICTS[v.verdict])) if v.verdict in _VERDICTS else name(v.verdict),
            count(v.students),
            say("{n} in {weeks}", n=count(v.n), weeks=text(wording.weeks(v.n_weeks))),
            number(v.brier_model, 3),
            number(v.brier_reference, 3),
            stored_text(v.reason),
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
    return rows_table(headings, rows, caption=caption)


_VERDICTS: Mapping[str, str] = {
    "too_early": marked("too early to tell"),
    "as_is": marked("published as it is"),
    "recalibrated": marked("corrected"),
    "base_rate": marked("replaced by the share of all"),
    "withheld": marked("withheld"),
}


def backtest(document: CohortDocument, found: Platform) -> str:
    """The newest judged week of each prediction."""
    if not found.backtest:
        return missing(say("No prediction has an outcome yet."))
    rows = [
        [
            f"<bdi>{text(prediction_name(b.prediction, document))}</bdi>",
            text(wording.day(b.week_start)),
            count(b.n),
            text(_skill(b)),
            number(b.calibration_slope),
            number(b.auc),
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
    reasons = "".join(f"<li>{stored_text(reason)}</li>" for b in found.backtest for reason in b.reasons)
    caption = say(
        "The newest week whose outcomes are known. A slope of 1 is right, below 1 predictions are too extreme."
    )
    return rows_table(headings, rows, caption=caption, css_class="compact") + (
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


def forecasts(document: CohortDocument, found: Platform) -> str:
    """The newest forecasts, and weeks far from theirs."""
    if not found.forecasts:
        return missing(say("There is no forecast yet."))
    rows = [_forecast_row(document, forecast) for forecast in found.forecasts]
    headings = (marked("Series"), marked("Method"), marked("Next week"), marked("Expected"))
    listed = rows_table((*headings, interval_heading(FORECAST_LEVEL)), rows)
    if not found.anomalies:
        return listed + finding(say("No week of the last eight was far from its forecast."))
    unusual = [
        [
            f"<bdi>{text(series_name(a.metric, document))}</bdi>",
            day_cell(a.week_start),
            number(a.value),
            number(a.expected),
            "–" if a.anomaly_score is None else text(say("{n} SD", n=wording.signed(a.anomaly_score, 1))),
        ]
        for a in found.anomalies
    ]
    far = (marked("Series"), marked("Week of"), marked("Value"), marked("Expected"), marked("From the forecast"))
    return listed + rows_table(far, unusual, caption=say("Weeks of the last eight that were unusual for the group."))


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
        f"<bdi>{text(series_name(found.metric, document))}</bdi>",
        "–" if found.method is None else name(found.method),
        "–" if day is None else day_cell(day),
        number(ahead.yhat),
        interval,
    ]


def segments(document: CohortDocument, found: Platform) -> str:
    """The newest segmentation."""
    segments = found.segments
    if segments is None or not segments.profiles:
        return missing(say("There are no segments yet."))
    if segments.n_segments < 2:
        return missing(say("All students are one segment, which is not shown to anybody."))
    rows = [
        [
            f"<bdi>{text(plain_words.segment(p.label))}</bdi>",
            count(p.students),
            "–" if p.share is None else text(wording.percent(p.share)),
            number(p.jaccard),
            text(_stability(p.jaccard)),
        ]
        for p in segments.profiles
    ]
    headings = (marked("Segment"), marked("Students"), marked("Share"), marked("Similarity"), marked("Stability"))
    caption = say(
        "Similarity: mean Jaccard similarity in resamples. Below {limit} a segment is not stable, and no page shows it.",
        limit=wording.decimal(STABLE_JACCARD, 1),
    )
    return rows_table(headings, rows, caption=caption)


def _stability(jaccard: float | None) -> str:
    if jaccard is None:
        return say("not known")
    return say("stable") if jaccard >= STABLE_JACCARD else say("not stable")
