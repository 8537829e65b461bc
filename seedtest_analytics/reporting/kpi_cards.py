"""The six KPIs in words: right names, what each number means, what it rests on and how it was made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.document import ReportDocument, number_or_none
from seedtest_analytics.reporting.summary import Z_95

LOW_RISK, HIGH_RISK = 0.3, 0.7


@dataclass(frozen=True)
class Scale:
    """The range that a KPI is drawn on and the words at its ends."""

    low: float
    high: float
    low_word: str
    high_word: str


@dataclass(frozen=True)
class KpiCard:
    """What a report says about one KPI. Plain text, not yet escaped; ``value`` None: not enough data, see
    ``reason``."""

    key: str
    title: str
    headline: str
    meaning: str
    scale: Scale
    value: float | None
    reason: str | None
    evidence: tuple[str, ...]
    lower: float | None = None
    upper: float | None = None
    history: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Definition:
    title: str
    meaning: str
    scale: Scale
    headline: Callable[[ReportDocument, float], str]
    evidence: Callable[[ReportDocument], list[str | None]]


def kpi_cards(document: ReportDocument) -> tuple[KpiCard, ...]:
    """One card a KPI, in the contract's order."""
    return tuple(_card(document, key, definition=definition) for key, definition in _DEFINITIONS.items())


def _card(document: ReportDocument, key: str, *, definition: _Definition) -> KpiCard:
    value = document.kpi(key)
    return KpiCard(
        key=key,
        title=definition.title,
        headline="Not enough data" if value is None else definition.headline(document, value),
        meaning=definition.meaning.format(horizon=document.kpi_count("S_horizon_days") or 14),
        scale=definition.scale,
        value=value,
        reason=(document.kpi_text(f"{key}_reason") or "no number was computed for this week")
        if value is None
        else None,
        evidence=tuple(line for line in definition.evidence(document) if line),
        lower=None if value is None else document.kpi(f"{key}_lower"),
        upper=None if value is None else document.kpi(f"{key}_upper"),
        history=_history(document, key),
    )


def _history(document: ReportDocument, key: str) -> tuple[float, ...]:
    """Known values of earlier weeks and this one, oldest first; empty below three."""
    earlier = sorted(
        (w for w in document.kpi_history if w.week_start < document.week_start), key=lambda w: w.week_start
    )
    values = [number_or_none(w.kpis.get(key)) for w in earlier] + [document.kpi(key)]
    known = tuple(v for v in values if v is not None)
    return known if len(known) >= 3 else ()


def risk_word(risk: float) -> str:
    """'low', 'medium' or 'high'; the cuts are the legacy report's."""
    return "low" if risk < LOW_RISK else "medium" if risk < HIGH_RISK else "high"


def delta_interval(document: ReportDocument) -> tuple[float, float] | None:
    """95% interval of the change of ability (logit), None where it is unknown."""
    delta, se = document.kpi("delta_theta"), document.kpi("delta_theta_se")
    return None if delta is None or se is None else (delta - Z_95 * se, delta + Z_95 * se)


def _improvement_evidence(document: ReportDocument) -> list[str | None]:
    recent, previous = document.kpi_count("I_t_n_recent"), document.kpi_count("I_t_n_previous")
    counts = (
        f"From {wording.count(recent, 'answer')} in the last 14 days and {previous:,} in the 14 days before."
        if recent is not None and previous is not None and recent + previous > 0
        else None
    )
    return [counts, _improvement_method(document)]


def _improvement_method(document: ReportDocument) -> str | None:
    mode, bounds, delta = document.kpi_text("I_t_mode"), delta_interval(document), document.kpi("delta_theta")
    if mode == "theta" and bounds and delta is not None:
        chance = " Chance alone can do that." if bounds[0] <= 0 <= bounds[1] else ""
        return f"Ability changed by {wording.signed(delta)} logit (95% interval {wording.interval(*bounds)}).{chance}"
    change = document.kpi("delta_accuracy")
    if mode == "accuracy" and change is not None:
        return (
            f"Share of right answers changed by {wording.signed(100 * change, 0)} percentage points "
            f"(how hard the questions were is not taken into account)."
        )
    return None


def _improvement_headline(document: ReportDocument, value: float) -> str:
    return wording.signed(value)


def _efficiency_headline(document: ReportDocument, value: float) -> str:
    return f"{wording.percent(value)} faster" if round(100 * value) > 0 else "Not faster"


def _efficiency_evidence(document: ReportDocument) -> list[str | None]:
    change = document.kpi("E_t_change")
    slower = (
        f"The typical time of a right answer rose by {wording.percent(-change)}; harder questions take longer too."
        if change is not None and round(-100 * change) > 0
        else None
    )
    recent, previous = document.kpi_count("E_t_n_recent"), document.kpi_count("E_t_n_previous")
    counts = (
        f"From {recent:,} timed right answers in the last 28 days and {previous:,} in the 28 days before."
        if recent is not None and previous is not None and recent + previous > 0
        else None
    )
    return [slower, counts]


def _recovery_evidence(document: ReportDocument) -> list[str | None]:
    wrong, met = document.kpi_count("R_t_n_wrong"), document.kpi_count("R_t_n_met_again")
    if not wrong or met is None:
        return []
    return [
        f"Of {wording.count(wrong, 'question')} answered wrong in the earlier "
        f"28 days, {met:,} came up again in the last 28."
    ]


def _engagement_evidence(document: ReportDocument) -> list[str | None]:
    sessions, attempts = document.kpi_count("sessions"), document.kpi_count("A_t_n_attempts")
    counts = None
    if sessions:
        answers = f" with {wording.count(attempts, 'answer')}" if attempts is not None else ""
        counts = f"From {wording.count(sessions, 'session')}{answers} in 28 days."
    gap = document.kpi("mean_gap")
    rhythm = f"On average {wording.decimal(gap, 1)} days from one session to the next." if gap is not None else None
    assumed = document.kpis.get("A_t_assumed")
    parts = plain_words.ENGAGEMENT_PARTS
    names = [parts[a] for a in assumed if a in parts] if isinstance(assumed, list | tuple) else []
    return [counts, rhythm, f"Not recorded and counted as middling: {', '.join(names)}." if names else None]


def _goal_headline(document: ReportDocument, value: float) -> str:
    return wording.percent(value)


def _goal_evidence(document: ReportDocument) -> list[str | None]:
    target = document.kpi("P_target")
    whose = plain_words.GOAL_SOURCES.get(document.kpi_text("P_target_source") or "")
    goal = f"Goal: ability {wording.decimal(target)}{f' ({whose})' if whose else ''}." if target is not None else None
    return [_bounds(document, "P"), goal, _goal_method(document), _goal_fallback(document)]


def _bounds(document: ReportDocument, key: str) -> str | None:
    lower, upper = document.kpi(f"{key}_lower"), document.kpi(f"{key}_upper")
    if document.kpi(key) is None or lower is None or upper is None:
        return None
    return f"Likely {wording.percent_interval(lower, upper)}."


def _goal_method(document: ReportDocument) -> str | None:
    answers = document.kpi_count("theta_n_answers")
    rests = f" from {wording.count(answers, 'answer')}" if answers else ""
    method = plain_words.GOAL_METHODS.get(document.kpi_text("P_method") or "")
    return None if method is None else method.format(answers=rests)


def _goal_fallback(document: ReportDocument) -> str | None:
    """That the growth model was asked for and had nothing to say, or spoke in an earlier week."""
    if document.kpi_text("P_method_reason"):
        return "The growth model has nothing to say about this student and week."
    return "The growth model is that of an earlier week." if document.kpi_text("P_fit_note") else None


def _risk_headline(document: ReportDocument, value: float) -> str:
    short = wording.percent(value).replace("under ", "<").replace("over ", ">")
    return f"{short} · {risk_word(value)}"


def _risk_evidence(document: ReportDocument) -> list[str | None]:
    silent, sessions = document.kpi("S_days_silent"), document.kpi_count("S_n_sessions")
    last = f"Last active {_days_ago(silent)} the end of the week" if silent is not None else None
    counted = f"; {wording.count(sessions, 'session')} in 56 days." if sessions is not None else "."
    state = plain_words.RISK_STATES.get(document.kpi_text("S_state") or "")
    method = plain_words.RISK_METHODS.get(document.kpi_text("S_method") or "")
    evidence = [_bounds(document, "S"), state, f"{last}{counted}" if last else None, method]
    return [*evidence, _risk_fallback(document)]


def _risk_fallback(document: ReportDocument) -> str | None:
    """That the survival model could not be used, or that an earlier one stands in."""
    if document.kpi_text("S_method_reason"):
        return "The survival model could not be used for this week."
    return "The survival model is that of an earlier week." if document.kpi_text("S_fit_note") else None


def _days_ago(days: float) -> str:
    whole = math.floor(days)
    return "less than a day before" if whole == 0 else f"{wording.count(whole, 'day')} before"


def _share_headline(document: ReportDocument, value: float) -> str:
    return wording.percent(value)


def _points_headline(document: ReportDocument, value: float) -> str:
    return f"{round(100 * value)} of 100"


_DEFINITIONS: dict[str, _Definition] = {
    "I_t": _Definition(
        "Improvement",
        "How the last 14 days compare with the 14 days before, toned down where there "
        "are few answers. Above 0 is better than before.",
        scale=Scale(-1, 1, low_word="worse", high_word="better"),
        headline=_improvement_headline,
        evidence=_improvement_evidence,
    ),
    "E_t": _Definition(
        "Efficiency",
        "How much less time a right answer takes in the last 28 days than in the 28 days before.",
        scale=Scale(0, 1, low_word="as before", high_word="much faster"),
        headline=_efficiency_headline,
        evidence=_efficiency_evidence,
    ),
    "R_t": _Definition(
        "Recovery",
        "Of the questions answered wrong earlier and met again, the share that was right this time.",
        scale=Scale(0, 1, low_word="none", high_word="all"),
        headline=_share_headline,
        evidence=_recovery_evidence,
    ),
    "A_t": _Definition(
        "Engagement",
        "How regularly and independently this student works: sessions, gaps between them, hints, and time.",
        scale=Scale(0, 1, low_word="little", high_word="a lot"),
        headline=_points_headline,
        evidence=_engagement_evidence,
    ),
    "P": _Definition(
        "Goal probability",
        "How likely it is that the goal is reached.",
        scale=Scale(0, 1, low_word="unlikely", high_word="certain"),
        headline=_goal_headline,
        evidence=_goal_evidence,
    ),
    "S": _Definition(
        "Risk of a pause",
        "The risk of a pause of {horizon} days or more from now. Here low is good.",
        scale=Scale(0, 1, low_word="low: good", high_word="high"),
        headline=_risk_headline,
        evidence=_risk_evidence,
    ),
}
