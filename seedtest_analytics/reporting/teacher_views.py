"""The part of the page for teachers: what the models rest on, and the group of students as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from seedtest_analytics.reporting import charts, plain_words, wording
from seedtest_analytics.reporting.document import (
    Effect,
    Forecast,
    ReportDocument,
    SurvivalRisk,
    is_number,
    number_or_none,
)
from seedtest_analytics.reporting.html import Html, name, paragraph, table, text

DRAWN_DIFFICULTY = 6.0
MIN_ITEMS = 5
SHOWN_ANOMALIES = 10
SHOWN_CIRCUMSTANCES = 10


def for_teachers(document: ReportDocument) -> Html | None:
    """Every part that has its data, with its heading; None where none has."""
    made = [(heading, view(document)) for heading, view in _PARTS]
    shown = [f"<section><h3>{heading}</h3>{content}</section>" for heading, content in made if content]
    return Html("".join(shown)) if shown else None


def questions(document: ReportDocument) -> Html | None:
    """How hard the questions of the last weeks were, beside the student's ability."""
    difficulties = [i.difficulty for i in document.item_params if i.difficulty is not None]
    drawn = [min(DRAWN_DIFFICULTY, max(-DRAWN_DIFFICULTY, b)) for b in difficulties]
    if len(drawn) < MIN_ITEMS:
        return None
    points = sorted((p for p in document.ability_trend if p.date <= document.week_end), key=lambda p: p.date)
    ability = points[-1].theta if points else None
    described = f"{len(drawn)} questions with difficulties from {wording.interval(min(drawn), max(drawn), digits=1)}."
    title = "Difficulty of the questions met"
    both = "".join(
        charts.histogram(
            drawn, ability, title=title, description=described, width=width, height=180, css_class=css_class
        )
        for width, css_class in ((700, "wide"), (340, "narrow"))
    )
    figure = f"<figure>{both}<figcaption>{_DIFFICULTY_CAPTION}</figcaption></figure>"
    return Html(_difficulty_sentence(difficulties, ability) + figure)


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
    shown = (
        f"Of {len(difficulties)} questions, {near} were about right for this ability, {below} easy and {above} hard."
    )
    return paragraph(text(shown), "finding")


def habits(document: ReportDocument) -> Html | None:
    """The group of students with similar habits."""
    found = document.user_segment
    if found is None:
        return None
    label = plain_words.segment(found.segment_label)
    told = paragraph(f"Works most like the students of the group <strong>{name(label)}</strong>.", "finding")
    described = found.segment_description
    group = paragraph(f"The group: {text(_lower_first(described), 400)}", "note") if described else ""
    return Html(told + group + _snapshot(found.features_snapshot))


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _snapshot(features: dict[str, Any]) -> str:
    known = [(key, features[key]) for key in plain_words.HABITS if is_number(features.get(key))]
    if not known:
        return ""
    rows = [[plain_words.HABITS[key], text(plain_words.habit(key, float(value)))] for key, value in known]
    caption = "What the grouping looks at: means over the weeks of its look-back."
    return table(("Habit", "This student"), rows, caption=caption, css_class="snapshot")


def circumstances(document: ReportDocument) -> Html | None:
    """What goes with coming back, over all students: the hazard ratios of the churn model."""
    found = document.survival_risk
    rows = _circumstance_rows(found) if found is not None else []
    if found is None or not rows:
        return None
    concordance = number_or_none(found.fit_meta.get("concordance"))
    ordered = (
        f" Of two students the model puts the one who comes back first at the front in "
        f"{wording.percent(concordance)} of the cases; 50% would be chance."
        if concordance is not None
        else ""
    )
    caption = (
        "Over all students, all else equal: by what factor a return on any one day becomes more likely (hazard "
        "ratios with their 95% intervals). Circumstances that say nearly the same, such as silence and sessions, "
        f"share their effect: read them together.{ordered}"
    )
    return Html(table(("Circumstance", "Comes back", "Factor"), rows, caption=caption, css_class="hazards"))


def _circumstance_rows(found: SurvivalRisk) -> list[list[str]]:
    """The strongest effects, those that cannot be told from none at the end."""
    told = [
        plain_words.circumstance(effect) or (f"{effect.column.name} (not explained here)", effect)
        for effect in found.effects
    ]
    told.sort(key=lambda row: (_is_none(row[1]), -abs(math.log(row[1].ratio)), row[0]))
    return [[text(words), _direction(effect), _factor(effect)] for words, effect in told[:SHOWN_CIRCUMSTANCES]]


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
    """A factor with what a reader can use of it; where students are few the estimates run away."""
    if factor < 0.01:
        return "under 0.01"
    return "over 100" if factor > 100 else wording.decimal(factor)


def forecast(document: ReportDocument) -> Html | None:
    """Forecast of the whole group's improvement, and weeks that were unusual for the group."""
    found = document.prophet_forecast
    if found is None or not (found.forecast_data or found.anomalies):
        return None
    told = paragraph("This is about the whole group of students, not about this student.", "note")
    return Html(told + _forecast_chart(found) + _anomalies(found))


def _forecast_chart(found: Forecast) -> str:
    points = [
        charts.TrendPoint(p.ds, p.yhat, lower=p.yhat_lower, upper=p.yhat_upper)
        for p in found.forecast_data
        if p.yhat is not None
    ]
    if not points:
        return ""
    marks = [(a.week, a.score) for a in found.anomalies if a.score is not None]
    described = "; ".join(f"{wording.day(p.date)}: {wording.decimal(p.value)}" for p in points)
    both = "".join(
        charts.trend(points, "Forecast of the group's improvement", description=described, style=style, marks=marks)
        for style in (
            charts.TrendStyle(700, 220, css_class="wide"),
            charts.TrendStyle(340, 200, css_class="narrow"),
        )
    )
    diamonds = " Diamonds are unusual weeks." if marks else ""
    return (
        f"<figure>{both}<figcaption>Expected mean improvement of the group with "
        f"its interval.{diamonds}</figcaption></figure>"
    )


def _anomalies(found: Forecast) -> str:
    ranked = sorted(
        (a for a in found.anomalies if a.anomaly_score is not None),
        key=lambda a: -abs(a.anomaly_score or 0.0),
    )
    if not ranked:
        return ""
    rows = [
        [
            text(wording.day(a.week, year=True)),
            text(wording.signed(a.score)) if a.score is not None else "–",
            text(f"{wording.signed(a.anomaly_score or 0.0, 1)} SD"),
        ]
        for a in ranked[:SHOWN_ANOMALIES]
    ]
    return table(
        ("Week of", "Improvement", "From the forecast"),
        rows,
        caption="Weeks that were unusual for the group.",
    )


_PARTS: tuple[tuple[str, Callable[[ReportDocument], Html | None]], ...] = (
    ("How hard the questions were", questions),
    ("Working habits", habits),
    ("What goes with coming back", circumstances),
    ("The whole group", forecast),
)
