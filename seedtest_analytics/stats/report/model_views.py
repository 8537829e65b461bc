"""Parts of the page that rest on a fitted model: questions, growth, forecast, risk, segment, and how it was
made.

Each is None without its data.
"""

from __future__ import annotations

from typing import Any

from seedtest_analytics.stats.report import charts, wording
from seedtest_analytics.stats.report.document import BayesianGrowth, Forecast, ReportDocument, is_number
from seedtest_analytics.stats.report.html import Html, name, paragraph, table, text
from seedtest_analytics.stats.report.kpi_cards import risk_word
from seedtest_analytics.stats.report.summary import Z_95

DRAWN_DIFFICULTY = 6.0
MIN_ITEMS = 5
SHOWN_ANOMALIES = 10
SHOWN_FEATURES = 12


def questions(document: ReportDocument) -> Html | None:
    """How hard the questions of the last weeks were, beside the student's ability."""
    difficulties = [i.difficulty for i in document.item_params if i.difficulty is not None]
    drawn = [min(DRAWN_DIFFICULTY, max(-DRAWN_DIFFICULTY, b)) for b in difficulties]
    if len(drawn) < MIN_ITEMS:
        return None
    points = sorted((p for p in document.ability_trend if p.date <= document.week_end), key=lambda p: p.date)
    ability = points[-1].theta if points else None
    described = (
        f"{len(drawn)} questions with difficulties from {wording.interval(min(drawn), max(drawn), 1)}."
    )
    title = "Difficulty of the questions met"
    both = "".join(
        charts.histogram(drawn, ability, title, described, width, 180, css_class)
        for width, css_class in ((700, "wide"), (340, "narrow"))
    )
    figure = f"<figure>{both}<figcaption>{_DIFFICULTY_CAPTION}</figcaption></figure>"
    return Html(_difficulty_sentence(difficulties, ability) + figure)


_DIFFICULTY_CAPTION = "Questions met in the last four weeks by difficulty, on the same scale as ability."


def _difficulty_sentence(difficulties: list[float], ability: float | None) -> str:
    if ability is None:
        return ""
    above = sum(1 for b in difficulties if b > ability + 1)
    below = sum(1 for b in difficulties if b < ability - 1)
    near = len(difficulties) - above - below
    shown = (
        f"Of {len(difficulties)} questions, {near} were about right for "
        f"this ability, {below} easy and {above} hard."
    )
    return paragraph(text(shown), "finding")


def growth(document: ReportDocument) -> Html | None:
    """Goal probability by the growth model."""
    fit = document.bayesian_growth
    if fit is None or fit.P is None:
        return None
    bar = charts.gauge(fit.P, 0, 1, f"Goal probability {wording.percent(fit.P)}", fit.P_lower, fit.P_upper)
    likely = ""
    if fit.P_lower is not None and fit.P_upper is not None:
        likely = f", likely {wording.percent_interval(fit.P_lower, fit.P_upper)}"
    sentence = (
        f"At this student's own pace the goal is reached with a "
        f"probability of {wording.percent(fit.P)}{likely}."
    )
    shown = (
        paragraph(text(sentence, 400), "finding")
        + f'<div class="big-gauge">{bar}</div>'
        + _growth_detail(fit)
    )
    if document.kpi_text("P_method") == "normal":
        shown += paragraph(
            "The goal probability at the top differs: it looks at today's ability only.", "note"
        )
    return Html(shown)


def _growth_detail(fit: BayesianGrowth) -> str:
    lines = []
    if fit.slope_per_week is not None:
        spread = f" ± {wording.decimal(Z_95 * fit.slope_sd)}" if fit.slope_sd is not None else ""
        lines.append(f"Pace: {wording.signed(fit.slope_per_week)}{spread} logit a week.")
    if fit.sigma is not None:
        lines.append(f"The projected score is known to about ± {wording.decimal(Z_95 * fit.sigma)} logit.")
    return paragraph(text(" ".join(lines), 400), "note") if lines else ""


def forecast(document: ReportDocument) -> Html | None:
    """Forecast of the whole group's improvement, and weeks that were unusual for the group."""
    found = document.prophet_forecast
    if found is None or not (found.forecast_data or found.anomalies):
        return None
    told = paragraph("This is about the whole group of students, not about this student.", "note")
    return Html(told + _forecast_chart(found) + _anomalies(found))


def _forecast_chart(found: Forecast) -> str:
    points = [
        charts.TrendPoint(p.ds, p.yhat, p.yhat_lower, p.yhat_upper)
        for p in found.forecast_data
        if p.yhat is not None
    ]
    if not points:
        return ""
    marks = [(a.week, a.score) for a in found.anomalies if a.score is not None]
    described = "; ".join(f"{wording.day(p.date)}: {wording.decimal(p.value)}" for p in points)
    both = "".join(
        charts.trend(points, "Forecast of the group's improvement", described, style, marks=marks)
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
        ("Week of", "Improvement", "From the forecast"), rows, "Weeks that were unusual for the group."
    )


_COVARIATES = {
    "sessions_28d": "one session more in 28 days",
    "mean_gap_days_28d": "one day more between sessions",
    "A_t": "engagement (A_t), from none to full",
    "E_t": "efficiency (E_t), from none to full",
    "R_t": "recovery (R_t), from none to full",
    "days_since_last": "one day more of silence",
}


def risk(document: ReportDocument) -> Html | None:
    """Churn risk by the survival model and what moves it."""
    found = document.survival_risk
    if found is None or found.churn_risk is None:
        return None
    days = document.kpi_count("S_horizon_days") or 14
    sentence = (
        f"The risk of a pause of {days} days or more is {wording.percent(found.churn_risk)}: "
        f"{risk_word(found.churn_risk)}. Low is good."
    )
    bar = charts.gauge(found.churn_risk, 0, 1, f"Churn risk {wording.percent(found.churn_risk)}")
    return Html(
        paragraph(text(sentence), "finding")
        + f'<div class="big-gauge">{bar}</div>'
        + _hazards(found.hazard_ratios)
    )


def _hazards(ratios: dict[str, float]) -> str:
    if not ratios:
        return ""
    rows = [
        [text(_COVARIATES.get(covariate, covariate)), text(wording.decimal(ratio)), _hazard_word(ratio)]
        for covariate, ratio in sorted(ratios.items())[:SHOWN_FEATURES]
    ]
    caption = (
        "For teachers: how coming back changes with each circumstance, over "
        "all students (hazard ratios of the next activity)."
    )
    return table(("Circumstance", "Ratio", "Means"), rows, caption, "hazards")


def _hazard_word(ratio: float) -> str:
    if 0.99 < ratio < 1.01:
        return "no difference"
    return "comes back sooner" if ratio > 1 else "comes back later"


_SEGMENTS = {
    "short_frequent": "short and frequent",
    "long_rare": "long and rare",
    "hint_heavy": "leans on hints",
    "improving": "improving",
    "struggling": "struggling",
    "efficient": "efficient",
}
_FEATURES = {
    "engagement": "Engagement",
    "improvement": "Improvement",
    "efficiency": "Efficiency",
    "recovery": "Recovery",
    "sessions": "Sessions",
    "gap": "Days between sessions",
    "avg_rt": "Typical time (ms)",
    "avg_hints": "Hints a day",
    "total_attempts": "Answers",
}


def segment(document: ReportDocument) -> Html | None:
    """The group of students with similar habits."""
    found = document.user_segment
    if found is None:
        return None
    label = _SEGMENTS.get(found.segment_label, found.segment_label)
    told = paragraph(f"Working habits most like the group <strong>{name(label)}</strong>.", "finding")
    described = paragraph(text(found.segment_description, 400), "note") if found.segment_description else ""
    return Html(told + described + _snapshot(found.features_snapshot))


def _snapshot(features: dict[str, Any]) -> str:
    known = [(key, features[key]) for key in _FEATURES if is_number(features.get(key))]
    if not known:
        return ""
    rows = [[_FEATURES[key], text(_feature_value(key, float(value)))] for key, value in known]
    return table(("Habit", "This student"), rows, "What the grouping looks at.", "snapshot")


def _feature_value(key: str, value: float) -> str:
    return f"{round(value):,}" if key in {"sessions", "avg_rt", "total_attempts"} else wording.decimal(value)


def provenance(document: ReportDocument) -> Html:
    """When and on what scale the numbers were made."""
    lines = [
        f"Days and weeks are those of the time zone {text(document.time_zone)}; "
        f"later answers are not in this report."
    ]
    lines += _linking_lines(document)
    if document.generated_at is not None:
        made = document.generated_at
        lines.append(
            f"Data of {text(wording.day(made.date(), year=True))}, "
            f"{text(f'{made:%H:%M} {made.tzname() or str()}')}."
        )
    return Html("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def _linking_lines(document: ReportDocument) -> list[str]:
    link = document.linking_constants
    if link is None or link.A is None or link.B is None:
        return []
    anchors = (
        f" from {wording.count(link.n_anchors_used, 'anchor question')}"
        if link.n_anchors_used is not None
        else ""
    )
    constant = f"{'−' if link.B < 0 else '+'} {wording.decimal(abs(link.B), 3)}"
    scale = f"θ* = {wording.decimal(link.A, 3)} θ {constant}"
    return [text(f"The newest calibration was put on the common scale by {scale}{anchors}.", 400)]
