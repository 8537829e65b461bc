"""The part of the page for teachers: the data behind the models, and the group of students as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seedtest_analytics.reporting import charts, plain_words, wording
from seedtest_analytics.reporting.document import Effect, Forecast, ReportDocument, is_number, number_or_none
from seedtest_analytics.reporting.html import Html, figure, name, paragraph, table, text
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
    shown = [f"<section><h3>{heading}</h3>{content}</section>" for heading, content in made if content]
    return Html("".join(shown)) if shown else None


def questions(document: ReportDocument) -> Html | None:
    """How hard the questions of the last weeks were, beside the student's ability; None for fewer than MIN_ITEMS."""
    difficulties = [i.difficulty for i in document.item_params if i.difficulty is not None]
    drawn = [min(DRAWN_DIFFICULTY, max(-DRAWN_DIFFICULTY, b)) for b in difficulties]
    if len(drawn) < MIN_ITEMS:
        return None
    points = known_abilities(document)
    ability = points[-1].theta if points else None
    described = f"{len(drawn)} questions with difficulties from {wording.interval(min(drawn), max(drawn), digits=1)}."
    title = "Difficulty of the questions met"
    chart = charts.histogram(drawn, ability, title=title, description=described, styles=HISTOGRAMS)
    return Html(_difficulty_sentence(difficulties, ability) + figure(chart, _DIFFICULTY_CAPTION))


_DIFFICULTY_CAPTION = (
    "Questions met in the last four weeks by difficulty, on the same scale as ability: a question as hard as "
    "the ability is answered right about half of the time."
)


def _difficulty_sentence(difficulties: list[float], ability: float | None) -> str:
    if ability is None:
        return ""
    above = sum(1 for b in difficulties if b > ability + 1)
    below = sum(1 for b in difficulties if b < ability - 1)
    near = len(difficulties) - above - below
    total = len(difficulties)
    shown = f"Of {total} questions, {near} were about right for this ability, {below} easy and {above} hard."
    return paragraph(text(shown), "finding")


def habits(document: ReportDocument) -> Html | None:
    """The student's group of students with similar habits; None without a segment."""
    found = document.user_segment
    if found is None:
        return None
    label = plain_words.segment(found.segment_label)
    finding = paragraph(f"Works most like the students of the group <strong>{name(label)}</strong>.", "finding")
    described = found.segment_description
    group = ""
    if described:
        group = paragraph(f"The group: {text(described[:1].lower() + described[1:], 400)}", "note")
    return Html(finding + group + _snapshot(found.features_snapshot))


def _snapshot(features: dict[str, Any]) -> str:
    rows = [
        [label, text(shown(float(features[key])))]
        for key, (label, shown) in plain_words.HABITS.items()
        if is_number(features.get(key))
    ]
    if not rows:
        return ""
    caption = "What the grouping looks at: means over the weeks of its look-back."
    return table(("Habit", "This student"), rows, caption=caption, css_class="snapshot")


def circumstances(document: ReportDocument) -> Html | None:
    """The hazard ratios of the churn model: what makes students come back sooner or later; None without a fit."""
    found = document.survival_risk
    if found is None or not (effects := found.effects):
        return None
    concordance = number_or_none(found.fit_meta.get("concordance"))
    ordered = ""
    if concordance is not None:
        ordered = (
            " Of two students the model puts the one who comes back first at the front in "
            f"{wording.percent(concordance)} of the cases; 50% would be chance."
        )
    caption = (
        "Over all students, all else equal: by what factor a return on any one day becomes more likely (hazard "
        "ratios with their 95% intervals). Circumstances that say nearly the same, such as silence and sessions, "
        f"share their effect: read them together.{ordered}"
    )
    headings = ("Circumstance", "Comes back", "Factor")
    return Html(table(headings, _circumstance_rows(effects), caption=caption, css_class="hazards"))


def _circumstance_rows(effects: list[Effect]) -> list[list[str]]:
    """The strongest effects; those whose interval includes "no effect" come last."""
    known = [plain_words.circumstance(e) or (f"{e.column.name} (not explained here)", e) for e in effects]
    known.sort(key=lambda row: (_is_none(row[1]), -abs(math.log(row[1].ratio)), row[0]))
    return [[text(words), _direction(effect), _factor(effect)] for words, effect in known[:SHOWN_CIRCUMSTANCES]]


def _is_none(effect: Effect) -> bool:
    return effect.limits is not None and effect.limits[0] <= 1 <= effect.limits[1]


def _direction(effect: Effect) -> str:
    if _is_none(effect):
        return "no difference to be seen"
    return "sooner" if effect.ratio > 1 else "later"


def _factor(effect: Effect) -> str:
    limits = f" ({' to '.join(map(_times, effect.limits))})" if effect.limits is not None else ""
    return text(f"× {_times(effect.ratio)}{limits}")


def _times(factor: float) -> str:
    """A factor in digits that a reader can use. Fits of few students give extreme factors, which are cut."""
    if factor < 0.01:
        return "under 0.01"
    return "over 100" if factor > 100 else wording.decimal(factor)


def forecast(document: ReportDocument) -> Html | None:
    """The forecast of the whole group's improvement and the group's unusual weeks; None without both."""
    found = document.prophet_forecast
    if found is None or not (found.forecast_data or found.anomalies):
        return None
    note = paragraph("This is about the whole group of students, not about this student.", "note")
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
    title = "Forecast of the group's improvement"
    chart = charts.trend(points, title, description=described, styles=FORECASTS, marks=marks)
    diamonds = " Diamonds are unusual weeks." if marks else ""
    return figure(chart, f"Expected mean improvement of the group with its interval.{diamonds}")


def _anomalies(found: Forecast) -> str:
    scored = [(a, a.anomaly_score) for a in found.anomalies if a.anomaly_score is not None]
    if not scored:
        return ""
    scored.sort(key=lambda pair: -abs(pair[1]))
    rows = [
        [
            text(wording.day(a.week, year=True)),
            text(wording.signed(a.score)) if a.score is not None else "–",
            text(f"{wording.signed(score, 1)} SD"),
        ]
        for a, score in scored[:SHOWN_ANOMALIES]
    ]
    headings = ("Week of", "Improvement", "From the forecast")
    return table(headings, rows, caption="Weeks that were unusual for the group.")


_PARTS: tuple[tuple[str, Callable[[ReportDocument], Html | None]], ...] = (
    ("How hard the questions were", questions),
    ("Working habits", habits),
    ("What goes with coming back", circumstances),
    ("The whole group", forecast),
)
