"""The part of the page for teachers: the data behind the models, and the group of students as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seedtest_analytics.reporting import charts, plain_words, wording
from seedtest_analytics.reporting.chart_tables import histogram_table, trend_table
from seedtest_analytics.reporting.document import Effect, Forecast, ReportDocument
from seedtest_analytics.reporting.document_base import is_number, number_or_none
from seedtest_analytics.reporting.html import Html, figure, name, paragraph, table, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.summary import known_abilities

DRAWN_DIFFICULTY = 6.0
MIN_ITEMS = 5
SHOWN_ANOMALIES = 10
SHOWN_CIRCUMSTANCES = 10
HISTOGRAMS = (charts.ChartStyle(700, 180, css_class="wide"), charts.ChartStyle(340, 180, css_class="narrow"))
FORECASTS = (charts.ChartStyle(700, 220, css_class="wide"), charts.ChartStyle(340, 200, css_class="narrow"))


def for_teachers(document: ReportDocument) -> Html | None:
    """Every part that has data, with its heading; None where no part has."""
    made = [(heading, view(document)) for heading, view in _PARTS]
    shown = [f"<section><h3>{text(say(heading))}</h3>{content}</section>" for heading, content in made if content]
    return Html("".join(shown)) if shown else None


def questions(document: ReportDocument) -> Html | None:
    """How hard the questions of the last weeks were, beside the student's ability; None for fewer than MIN_ITEMS."""
    difficulties = [i.difficulty for i in document.item_params if i.difficulty is not None]
    drawn = [min(DRAWN_DIFFICULTY, max(-DRAWN_DIFFICULTY, b)) for b in difficulties]
    if len(drawn) < MIN_ITEMS:
        return None
    points = known_abilities(document)
    ability = points[-1].theta if points else None
    described = say(
        "{questions} with difficulties from {interval}.",
        questions=wording.questions(len(drawn)),
        interval=wording.interval(min(drawn), max(drawn), digits=1),
    )
    title = say("Difficulty of the questions met")
    chart = charts.histogram(drawn, ability, title=title, description=described, styles=HISTOGRAMS)
    return Html(
        _difficulty_sentence(difficulties, ability)
        + figure(chart, text(say(_DIFFICULTY_CAPTION), 400))
        + histogram_table(drawn)
    )


_DIFFICULTY_CAPTION = marked(
    "Questions met in the last four weeks by difficulty, on the same scale as ability: a question as hard as the "
    "ability is answered right about half of the time."
)


def _difficulty_sentence(difficulties: list[float], ability: float | None) -> str:
    if ability is None:
        return ""
    above = sum(1 for b in difficulties if b > ability + 1)
    below = sum(1 for b in difficulties if b < ability - 1)
    near = len(difficulties) - above - below
    total = len(difficulties)
    shown = say(
        "Of {questions}, {near} were about right for this ability, {below} easy and {above} hard.",
        questions=wording.questions(total),
        near=near,
        below=below,
        above=above,
    )
    return paragraph(text(shown), "finding")


def habits(document: ReportDocument) -> Html | None:
    """The student's group of students with similar habits; None without one.

    A single group says nothing, and a group that does not return in resamples may be chance: neither is shown.
    """
    found = document.user_segment
    if found is None or found.n_segments == 1 or not found.is_stable:
        return None
    label = f"<strong>{name(plain_words.segment(found.segment_label))}</strong>"
    finding = paragraph(say("Works most like the students of the group {group}.", group=label), "finding")
    return Html(finding + _snapshot(found.features_snapshot, found.centre))


def _snapshot(features: dict[str, Any], centre: dict[str, Any]) -> str:
    rows = [
        [text(say(label)), text(shown(float(features[key]))), text(_typical(shown, centre.get(key)))]
        for key, (label, shown) in plain_words.HABITS.items()
        if is_number(features.get(key))
    ]
    if not rows:
        return ""
    caption = text(say("What the grouping looks at: means over the weeks of its look-back."))
    headings = [text(say("Habit")), text(say("This student")), text(say("Typical of the group"))]
    return table(headings, rows, caption=caption, css_class="snapshot")


def _typical(shown: Callable[[float], str], value: Any) -> str:
    return shown(float(value)) if is_number(value) else "–"


def circumstances(document: ReportDocument) -> Html | None:
    """The hazard ratios of the churn model: what makes students come back sooner or later; None without a fit."""
    found = document.survival_risk
    if found is None or not (effects := found.effects):
        return None
    caption = say(
        "Over all students, all else equal: by what factor a return on any one day becomes more likely (hazard ratios "
        "with their 95% intervals). Circumstances that say nearly the same, such as silence and sessions, share their "
        "effect: read them together."
    )
    concordance = number_or_none(found.fit_meta.get("concordance"))
    if concordance is not None:
        ordered = say(
            "Of two students the model puts the one who comes back first at the front in {percent} of the cases; 50% "
            "would be chance.",
            percent=wording.percent(concordance),
        )
        caption = f"{caption} {ordered}"
    headings = [text(say(heading)) for heading in _HAZARD_HEADINGS]
    return Html(table(headings, _circumstance_rows(effects), caption=text(caption, 800), css_class="hazards"))


_HAZARD_HEADINGS = (marked("Circumstance"), marked("Comes back"), marked("Factor"))


def _circumstance_rows(effects: list[Effect]) -> list[list[str]]:
    """The strongest effects; those whose interval includes "no effect" come last."""
    known = [
        plain_words.circumstance(e) or (say("{name} (not explained here)", name=e.column.name), e) for e in effects
    ]
    known.sort(key=lambda row: (_is_none(row[1]), -abs(math.log(row[1].ratio)), row[0]))
    return [[text(words), text(_direction(effect)), _factor(effect)] for words, effect in known[:SHOWN_CIRCUMSTANCES]]


def _is_none(effect: Effect) -> bool:
    return effect.limits is not None and effect.limits[0] <= 1 <= effect.limits[1]


def _direction(effect: Effect) -> str:
    if _is_none(effect):
        return say("no difference to be seen")
    return say("sooner") if effect.ratio > 1 else say("later")


def _factor(effect: Effect) -> str:
    limits = ""
    if effect.limits is not None:
        low, high = map(_times, effect.limits)
        limits = f" ({say('{low} to {high}', low=low, high=high)})"
    return text(f"× {_times(effect.ratio)}{limits}")


def _times(factor: float) -> str:
    """A factor in digits that a reader can use. Fits of few students give extreme factors, which are cut."""
    if factor < 0.01:
        return say("under {percent}", percent=wording.decimal(0.01))
    return say("over {percent}", percent=100) if factor > 100 else wording.decimal(factor)


def forecast(document: ReportDocument) -> Html | None:
    """The forecast of the whole group's improvement and the group's unusual weeks; None without both."""
    found = document.prophet_forecast
    if found is None or not (found.forecast_data or found.anomalies):
        return None
    note = paragraph(text(say("This is about the whole group of students, not about this student.")), "note")
    return Html(note + _forecast_chart(found) + _anomalies(found))


def _forecast_chart(found: Forecast) -> str:
    points = [
        charts.TrendPoint(p.ds, p.yhat, lower=p.yhat_lower, upper=p.yhat_upper)
        for p in found.forecast_data
        if p.yhat is not None
    ]
    if not points:
        return ""
    marks = [(a.week, a.score) for a in found.anomalies if a.score is not None]
    described = charts.described(points)
    title = say("Forecast of the group's improvement")
    chart = charts.trend(points, title, description=described, styles=FORECASTS, marks=marks)
    caption = say("Expected mean improvement of the group with its interval.")
    if marks:
        caption = f"{caption} {say('Diamonds are unusual weeks.')}"
    headings = (say("Week of"), say("Expected improvement"))
    return figure(chart, text(caption, 400)) + trend_table(points, headings, level=found.interval_level)


def _anomalies(found: Forecast) -> str:
    scored = [(a, a.anomaly_score) for a in found.anomalies if a.anomaly_score is not None]
    if not scored:
        return ""
    scored.sort(key=lambda pair: -abs(pair[1]))
    rows = [
        [
            text(wording.day(a.week, year=True)),
            text(wording.signed(a.score)) if a.score is not None else "–",
            text(say("{n} SD", n=wording.signed(score, 1))),
        ]
        for a, score in scored[:SHOWN_ANOMALIES]
    ]
    headings = [text(say("Week of")), text(say("Improvement")), text(say("From the forecast"))]
    return table(headings, rows, caption=text(say("Weeks that were unusual for the group.")))


_PARTS: tuple[tuple[str, Callable[[ReportDocument], Html | None]], ...] = (
    (marked("How hard the questions were"), questions),
    (marked("Working habits"), habits),
    (marked("What goes with coming back"), circumstances),
    (marked("The whole group"), forecast),
)
