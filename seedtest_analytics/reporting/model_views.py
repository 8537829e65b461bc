"""The parts of the page that show a fitted model of the student (growth, risk), and how the numbers were made."""

from __future__ import annotations

from seedtest_analytics.reporting import charts, plain_words, wording
from seedtest_analytics.reporting.document import BayesianGrowth, ReportDocument
from seedtest_analytics.reporting.html import Html, paragraph, text
from seedtest_analytics.reporting.kpi_cards import risk_word
from seedtest_analytics.reporting.summary import Z_95

SHOWN_REASONS = 3


def growth(document: ReportDocument) -> Html | None:
    """The growth model's goal probability and pace; None without a fit. Where P at the top is by another method, the page
    has that one probability, and only the pace is shown.
    """
    fit = document.bayesian_growth
    if fit is None or fit.P is None:
        return None
    if document.kpi_text("P_method") == "normal":
        detail = _growth_detail(fit)
        return Html(detail) if detail else None
    bar = charts.gauge(fit.P, f"Goal probability {wording.percent(fit.P)}", limits=fit.limits)
    likely = f", likely {wording.percent_interval(*fit.limits)}" if fit.limits is not None else ""
    by = f" by {wording.day(fit.horizon_date, year=True)}" if fit.horizon_date is not None else ""
    sentence = (
        f"At this student's own pace the goal is reached{by} with a probability of {wording.percent(fit.P)}{likely}."
    )
    return Html(paragraph(text(sentence, 400), "finding") + f'<div class="big-gauge">{bar}</div>' + _growth_detail(fit))


def _growth_detail(fit: BayesianGrowth) -> str:
    score = "Share of right answers" if fit.is_share else "Ability"
    lines = []
    if fit.projected is not None:
        bounds = ""
        if fit.projected_lower is not None and fit.projected_upper is not None:
            bounds = f" (95% interval {_score(fit, fit.projected_lower)} to {_score(fit, fit.projected_upper)})"
        goal = f"; the goal is {_score(fit, fit.target)}" if fit.target is not None else ""
        lines.append(f"{score} expected then: {_score(fit, fit.projected)}{bounds}{goal}.")
    elif fit.sigma is not None:
        lines.append(f"The projected score is known to about ± {_amount(fit, Z_95 * fit.sigma)}.")
    if fit.slope_per_week is not None:
        spread = f" ± {_amount(fit, Z_95 * fit.slope_sd)}" if fit.slope_sd is not None else ""
        weeks = f", from {wording.count(fit.n_weeks, 'week')}" if fit.n_weeks is not None else ""
        sign = "+" if fit.slope_per_week > 0 else ""
        lines.append(f"Pace: {sign}{_amount(fit, fit.slope_per_week)}{spread} a week{weeks}.")
    why = plain_words.HORIZONS.get(fit.horizon_source or "")
    if why is not None and fit.horizon_date is not None:
        lines.append(f"Why this day: {why}.")
    return paragraph(text(" ".join(lines), 600), "note") if lines else ""


def _score(fit: BayesianGrowth, value: float) -> str:
    return wording.percent(min(1.0, max(0.0, value))) if fit.is_share else wording.decimal(value)


def _amount(fit: BayesianGrowth, value: float) -> str:
    """A difference between scores."""
    return f"{wording.decimal(100 * value, 1)} points" if fit.is_share else wording.decimal(value)


def risk(document: ReportDocument) -> Html | None:
    """The risk of a pause by the churn model, with what raises or lowers it; None without one."""
    found = document.survival_risk
    if found is None or found.churn_risk is None:
        return None
    days, limits = document.kpi_count("S_horizon_days") or 14, document.kpi_limits("S")
    likely = f" (95% interval {wording.percent_interval(*limits)})" if limits is not None else ""
    sentence = (
        f"The risk of a pause of {days} days or more is {wording.percent(found.churn_risk)}{likely}: "
        f"{risk_word(found.churn_risk)}. Low is good."
    )
    return Html(paragraph(text(sentence), "finding") + _reasons(document))


def _reasons(document: ReportDocument) -> str:
    stored = document.kpis.get("S_reasons")
    reasons = [r for r in stored if isinstance(r, str) and r] if isinstance(stored, list | tuple) else []
    if not reasons:
        return ""
    items = "".join(f"<li>{text(reason, 300)}</li>" for reason in reasons[:SHOWN_REASONS])
    return f'<p>What speaks most for and against it:</p><ul class="reasons">{items}</ul>' + paragraph(
        "In brackets what is typical of all students. The model sees what goes along with a pause, not what causes it.",
        "note",
    )


def provenance(document: ReportDocument) -> Html:
    """When the numbers were made, and on which scale."""
    lines = [
        f"Days and weeks are those of the time zone {text(document.time_zone)}; later answers are not in this report."
    ]
    lines += _linking_lines(document)
    if (made := document.generated_at) is not None:
        at = f"{made:%H:%M} {made.tzname() or ''}"
        lines.append(f"Data of {text(wording.day(made.date(), year=True))}, {text(at)}.")
    return Html("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def _linking_lines(document: ReportDocument) -> list[str]:
    link = document.linking_constants
    if link is None or link.A is None or link.B is None:
        return []
    n_anchors = link.n_anchors_used
    anchors = f" from {wording.count(n_anchors, 'anchor question')}" if n_anchors is not None else ""
    constant = f"{'−' if link.B < 0 else '+'} {wording.decimal(abs(link.B), 3)}"
    scale = f"θ* = {wording.decimal(link.A, 3)} θ {constant}"
    return [text(f"The newest calibration was put on the common scale by {scale}{anchors}.", 400)]
