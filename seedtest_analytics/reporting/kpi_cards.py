"""The six KPIs in words: the title of each, what its number means, the evidence behind it and the method."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.document import ReportDocument, number_or_none
from seedtest_analytics.reporting.summary import Z_95

LOW_RISK, HIGH_RISK = 0.3, 0.7
OLD_DAYS = 7


@dataclass(frozen=True)
class Scale:
    """The range that a KPI is drawn on and the words at its ends."""

    low: float
    high: float
    low_word: str
    high_word: str


@dataclass(frozen=True)
class KpiCard:
    """What a report says about one KPI, as plain text that is not yet escaped.

    A KPI without enough data has neither ``value`` nor ``limits``, but a ``reason``.
    """

    key: str
    title: str
    headline: str
    meaning: str
    scale: Scale
    value: float | None
    limits: tuple[float, float] | None
    reason: str | None
    evidence: tuple[str, ...]
    history: tuple[float, ...]


@dataclass(frozen=True)
class _Definition:
    title: str
    meaning: str
    scale: Scale
    headline: Callable[[float], str]
    evidence: Callable[[ReportDocument], list[str | None]]


def kpi_cards(document: ReportDocument) -> tuple[KpiCard, ...]:
    """One card for each KPI, in the contract's order."""
    return tuple(_card(document, key) for key in _DEFINITIONS)


def _card(document: ReportDocument, key: str) -> KpiCard:
    definition, value = _DEFINITIONS[key], document.kpi(key)
    reason = document.kpi_text(f"{key}_reason") or "no number was computed for this week"
    return KpiCard(
        key,
        definition.title,
        headline="Not enough data" if value is None else definition.headline(value),
        meaning=definition.meaning.format(horizon=document.kpi_count("S_horizon_days") or 14),
        scale=definition.scale,
        value=value,
        limits=None if value is None else document.kpi_limits(key),
        reason=reason if value is None else None,
        evidence=tuple(line for line in definition.evidence(document) if line),
        history=_history(document, key),
    )


def _history(document: ReportDocument, key: str) -> tuple[float, ...]:
    """Known values of earlier weeks and this one, oldest first; empty if fewer than three are known."""
    weeks = sorted(document.kpi_history, key=lambda w: w.week_start)
    earlier = [number_or_none(w.kpis.get(key)) for w in weeks if w.week_start < document.week_start]
    known = tuple(v for v in [*earlier, document.kpi(key)] if v is not None)
    return known if len(known) >= 3 else ()


def risk_word(risk: float) -> str:
    """'low', 'medium' or 'high'; the cuts are the legacy report's."""
    return "low" if risk < LOW_RISK else "medium" if risk < HIGH_RISK else "high"


def delta_interval(document: ReportDocument) -> tuple[float, float] | None:
    """95% interval of the change of ability in logits; None where it is unknown."""
    delta, se = document.kpi("delta_theta"), document.kpi("delta_theta_se")
    return None if delta is None or se is None else (delta - Z_95 * se, delta + Z_95 * se)


def _window_counts(document: ReportDocument, key: str) -> tuple[int, int] | None:
    """The answers in the recent and the previous window; None where they are unknown or both zero."""
    recent, previous = document.kpi_count(f"{key}_n_recent"), document.kpi_count(f"{key}_n_previous")
    return (recent, previous) if recent is not None and previous is not None and recent + previous > 0 else None


def _improvement_evidence(document: ReportDocument) -> list[str | None]:
    counts, shown = _window_counts(document, "I_t"), None
    if counts is not None:
        answers = wording.count(counts[0], "answer")
        shown = f"From {answers} in the last 14 days and {counts[1]:,} in the 14 days before."
    return [shown, _improvement_method(document)]


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


def _efficiency_headline(value: float) -> str:
    return f"{wording.percent(value)} faster" if round(100 * value) > 0 else "Not faster"


def _efficiency_evidence(document: ReportDocument) -> list[str | None]:
    change, counts = document.kpi("E_t_change"), _window_counts(document, "E_t")
    slower = shown = None
    if change is not None and round(-100 * change) > 0:
        rise = wording.percent(-change)
        slower = f"The typical time of a right answer rose by {rise}; harder questions take longer too."
    if counts is not None:
        recent, previous = counts
        shown = f"From {recent:,} timed right answers in the last 28 days and {previous:,} in the 28 days before."
    return [slower, shown]


def _recovery_evidence(document: ReportDocument) -> list[str | None]:
    wrong, met = document.kpi_count("R_t_n_wrong"), document.kpi_count("R_t_n_met_again")
    if not wrong or met is None:
        return []
    questions = wording.count(wrong, "question")
    return [f"Of {questions} answered wrong in the earlier 28 days, {met:,} came up again in the last 28."]


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


def _goal_evidence(document: ReportDocument) -> list[str | None]:
    target = document.kpi("P_target")
    whose = plain_words.GOAL_SOURCES.get(document.kpi_text("P_target_source") or "")
    goal = f"Goal: ability {wording.decimal(target)}{f' ({whose})' if whose else ''}." if target is not None else None
    fallback = "The growth model has nothing to say about this student and week."
    return [
        _likely(document, "P"),
        _verdict(document, "P"),
        goal,
        _goal_method(document),
        _evidence_age(document),
        _fallback(document, "P", model="growth", text=fallback),
    ]


def _likely(document: ReportDocument, key: str) -> str | None:
    limits = document.kpi_limits(key)
    return None if document.kpi(key) is None or limits is None else f"Likely {wording.percent_interval(*limits)}."


def _verdict(document: ReportDocument, key: str) -> str | None:
    """What past outcomes decided about the number, where they changed it or could not."""
    return plain_words.VERDICTS.get(document.kpi_text(f"{key}_verdict") or "")


def _goal_method(document: ReportDocument) -> str | None:
    answers = document.kpi_count("theta_n_answers")
    source = f" from {wording.count(answers, 'answer')}" if answers else ""
    method = plain_words.GOAL_METHODS.get(document.kpi_text("P_method") or "")
    if document.kpi_text("P_assumption"):
        method = plain_words.GOAL_PROJECTED
    return None if method is None else method.format(answers=source)


def _evidence_age(document: ReportDocument) -> str | None:
    """How old the newest answer behind the ability is, where that is more than a week."""
    try:
        newest = dt.datetime.fromisoformat(document.kpi_text("theta_answered_at") or "")
    except ValueError:
        return None
    days = (document.week_end - newest.date()).days
    return f"The newest answer is {wording.count(days, 'day')} old." if days > OLD_DAYS else None


def _fallback(document: ReportDocument, key: str, *, model: str, text: str) -> str | None:
    """``text`` where the model gave no number, or a note where its fit is from an earlier week."""
    if document.kpi_text(f"{key}_method_reason"):
        return text
    return f"The {model} model is that of an earlier week." if document.kpi_text(f"{key}_fit_note") else None


def _risk_headline(value: float) -> str:
    short = wording.percent(value).replace("under ", "<").replace("over ", ">")
    return f"{short} · {risk_word(value)}"


def _risk_evidence(document: ReportDocument) -> list[str | None]:
    silent, sessions = document.kpi("S_days_silent"), document.kpi_count("S_n_sessions")
    last = f"Last active {_days_ago(silent)} the end of the week" if silent is not None else None
    counted = f"; {wording.count(sessions, 'session')} in 56 days." if sessions is not None else "."
    state = plain_words.RISK_STATES.get(document.kpi_text("S_state") or "")
    method = plain_words.RISK_METHODS.get(document.kpi_text("S_method") or "")
    fallback = _fallback(document, "S", model="survival", text="The survival model could not be used for this week.")
    return [
        _likely(document, "S"),
        _verdict(document, "S"),
        state,
        f"{last}{counted}" if last else None,
        method,
        fallback,
    ]


def _days_ago(days: float) -> str:
    whole = math.floor(days)
    return "less than a day before" if whole == 0 else f"{wording.count(whole, 'day')} before"


_DEFINITIONS: dict[str, _Definition] = {
    "I_t": _Definition(
        "Improvement",
        "How the last 14 days compare with the 14 days before, toned down where there "
        "are few answers. Above 0 is better than before.",
        scale=Scale(-1, 1, low_word="worse", high_word="better"),
        headline=wording.signed,
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
        headline=wording.percent,
        evidence=_recovery_evidence,
    ),
    "A_t": _Definition(
        "Engagement",
        "How regularly and independently this student works: sessions, gaps between them, hints, and time.",
        scale=Scale(0, 1, low_word="little", high_word="a lot"),
        headline=wording.points,
        evidence=_engagement_evidence,
    ),
    "P": _Definition(
        "Goal probability",
        "How likely it is that the goal is reached.",
        scale=Scale(0, 1, low_word="unlikely", high_word="certain"),
        headline=wording.percent,
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
