"""The six KPIs in words: the title of each, what its number means, the evidence behind it and the method."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from seedtest_analytics.reporting import plain_words, wording
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.document_base import number_or_none
from seedtest_analytics.reporting.language import SOURCE_LANGUAGE, current, marked, say, say_n
from seedtest_analytics.reporting.stored_sentences import reader_sentence
from seedtest_analytics.reporting.summary import Z_95
from seedtest_analytics.stats.verification.verdict_words import BASE_RATE, WITHHELD

LOW_RISK, HIGH_RISK = 0.3, 0.7
OLD_DAYS = 7
SAME_DAY = 0.05
"""A mean of fewer days between sessions is 0.0 to one digit."""


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


def kpi_title(key: str) -> str:
    """The name of a KPI in the reader's language; an unknown key as it is."""
    return say(_DEFINITIONS[key].title) if key in _DEFINITIONS else key


def kpi_cards(document: ReportDocument) -> tuple[KpiCard, ...]:
    """One card for each KPI, in the contract's order."""
    return tuple(_card(document, key) for key in _DEFINITIONS)


def _card(document: ReportDocument, key: str) -> KpiCard:
    definition, value = _DEFINITIONS[key], document.kpi(key)
    scale = definition.scale
    return KpiCard(
        key,
        say(definition.title),
        headline=say("Not enough data yet") if value is None else definition.headline(value),
        meaning=say(definition.meaning, horizon=document.kpi_count("S_horizon_days") or 14),
        scale=Scale(scale.low, scale.high, low_word=say(scale.low_word), high_word=say(scale.high_word)),
        value=value,
        limits=None if value is None else document.kpi_limits(key),
        reason=_reason(document, key) if value is None else None,
        evidence=tuple(line for line in definition.evidence(document) if line),
        history=_history(document, key),
    )


def _reason(document: ReportDocument, key: str) -> str:
    """Why the number is missing, and which data would give it."""
    known = plain_words.KPI_REASONS.get(document.kpi_text(f"{key}_reason_code") or "")
    stored = document.kpi_text(f"{key}_reason")
    if known is not None:
        why = say(known)
    elif stored is not None and current().code == SOURCE_LANGUAGE:  # a row from before there were codes
        why = f"{stored[:1].upper()}{stored[1:]}."
    elif stored is not None and (translated := reader_sentence(stored)) is not None:
        why = f"{translated}."
    else:
        why = say("No number was computed for this week.")
    return f"{why} {say(plain_words.ENOUGH[key])}"


def _history(document: ReportDocument, key: str) -> tuple[float, ...]:
    """Known values of earlier weeks and this one, oldest first; empty if fewer than three are known."""
    weeks = sorted(document.kpi_history, key=lambda w: w.week_start)
    earlier = [number_or_none(w.kpis.get(key)) for w in weeks if w.week_start < document.week_start]
    known = tuple(v for v in [*earlier, document.kpi(key)] if v is not None)
    return known if len(known) >= 3 else ()


def risk_word(risk: float) -> str:
    """'low', 'medium' or 'high' in words; the cuts are the legacy report's."""
    return say("low") if risk < LOW_RISK else say("medium") if risk < HIGH_RISK else say("high")


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
    if counts is not None and document.kpi("I_t") is not None:
        shown = say(
            "From {answers} in the last 14 days and {previous} in the 14 days before.",
            answers=wording.answers(counts[0]),
            previous=wording.whole(counts[1]),
        )
    return [shown, _improvement_method(document)]


def _improvement_method(document: ReportDocument) -> str | None:
    mode, bounds, delta = document.kpi_text("I_t_mode"), delta_interval(document), document.kpi("delta_theta")
    if mode == "theta" and bounds and delta is not None:
        changed = say(
            "Ability changed by {change} logit (95% interval {interval}).",
            change=wording.signed(delta),
            interval=wording.interval(*bounds),
        )
        return f"{changed} {say('Chance alone can do that.')}" if bounds[0] <= 0 <= bounds[1] else changed
    change = document.kpi("delta_accuracy")
    if mode == "accuracy" and change is not None:
        return say(
            "Share of right answers changed by {change} percentage points (how hard the questions were is not taken "
            "into account).",
            change=wording.signed(100 * change, 0),
        )
    return None


def _efficiency_headline(value: float) -> str:
    return say("{percent} faster", percent=wording.percent(value)) if round(100 * value) > 0 else say("Not faster")


def _efficiency_evidence(document: ReportDocument) -> list[str | None]:
    change, counts = document.kpi("E_t_change"), _window_counts(document, "E_t")
    slower = shown = None
    if change is not None and round(-100 * change) > 0:
        slower = say(
            "The typical time of a right answer rose by {percent}; harder questions take longer too.",
            percent=wording.percent(-change),
        )
    if counts is not None and document.kpi("E_t") is not None:
        shown = say(
            "From {recent} timed right answers in the last 28 days and {previous} in the 28 days before.",
            recent=wording.whole(counts[0]),
            previous=wording.whole(counts[1]),
        )
    return [slower, shown]


def _recovery_evidence(document: ReportDocument) -> list[str | None]:
    wrong, met = document.kpi_count("R_t_n_wrong"), document.kpi_count("R_t_n_met_again")
    if not wrong or met is None:
        return []
    return [
        say(
            "Of {questions} answered wrong in the earlier 28 days, {met} came up again in the last 28.",
            questions=wording.questions(wrong),
            met=wording.whole(met),
        )
    ]


def _engagement_evidence(document: ReportDocument) -> list[str | None]:
    sessions, attempts = document.kpi_count("sessions"), document.kpi_count("A_t_n_attempts")
    counts = None
    if sessions and attempts is not None:
        counts = say(
            "From {sessions} with {attempts} in 28 days.",
            sessions=wording.sessions(sessions),
            attempts=say_n("{n} attempt", "{n} attempts", attempts),
        )
    elif sessions:
        counts = say("From {sessions} in 28 days.", sessions=wording.sessions(sessions))
    gap = document.kpi("mean_gap")
    rhythm = None
    if gap is not None:
        days = wording.decimal(gap, 1)
        rhythm = say("On average {days} days from one session to the next.", days=days)
        if gap < SAME_DAY:
            rhythm = say("Sessions follow each other on one day.")
    assumed = document.kpis.get("A_t_assumed")
    parts = plain_words.ENGAGEMENT_PARTS
    names = [say(parts[a]) for a in assumed if a in parts] if isinstance(assumed, list | tuple) else []
    middling = say("Not recorded and counted as middling: {parts}.", parts=", ".join(names)) if names else None
    return [counts, rhythm, middling]


def _goal_evidence(document: ReportDocument) -> list[str | None]:
    target = document.kpi("P_target")
    whose = plain_words.GOAL_SOURCES.get(document.kpi_text("P_target_source") or "")
    goal = None
    if target is not None and whose:
        goal = say("Goal: ability {target} ({whose}).", target=wording.decimal(target), whose=say(whose))
    elif target is not None:
        goal = say("Goal: ability {target}.", target=wording.decimal(target))
    fallback = say("The growth model has nothing to say about this student and week.")
    earlier = say("The growth model is that of an earlier week.")
    how = [
        _goal_method(document),
        _evidence_age(document),
        _fallback(document, "P", fallback=fallback, earlier=earlier),
    ]
    return [_likely(document, "P"), _verdict(document, "P"), goal, *_of_model(document, "P", lines=how)]


def _of_model(document: ReportDocument, key: str, *, lines: list[str | None]) -> list[str | None]:
    """How the number was made; nothing where no model made it."""
    return [] if document.kpi_text(f"{key}_verdict") in (BASE_RATE, WITHHELD) else lines


def _likely(document: ReportDocument, key: str) -> str | None:
    limits = document.kpi_limits(key)
    if document.kpi(key) is None or limits is None:
        return None
    return say("Likely {interval}.", interval=wording.percent_interval(*limits))


def _verdict(document: ReportDocument, key: str) -> str | None:
    """What past outcomes decided about the number, where they changed it or could not."""
    words = plain_words.VERDICTS.get(document.kpi_text(f"{key}_verdict") or "")
    return say(words) if words else None


def _goal_method(document: ReportDocument) -> str | None:
    answers = document.kpi_count("theta_n_answers")
    method_name = document.kpi_text("P_method") or ""
    method = plain_words.GOAL_METHODS.get(method_name)
    if method_name == "normal" and document.kpi_text("P_assumption"):
        method = plain_words.GOAL_PROJECTED
    if method is None:
        return None
    source = say("(from {answers})", answers=wording.answers(answers)) if answers else ""
    return re.sub(r"\s+(?=[.,;])", "", " ".join(say(method, answers=source).split()))


def _evidence_age(document: ReportDocument) -> str | None:
    """How old the newest answer behind the ability is, where that is more than a week."""
    try:
        newest = dt.datetime.fromisoformat(document.kpi_text("theta_answered_at") or "")
    except ValueError:
        return None
    days = (document.week_end - newest.date()).days
    return say("The newest answer is {days} old.", days=wording.days(days)) if days > OLD_DAYS else None


def _fallback(document: ReportDocument, key: str, *, fallback: str, earlier: str) -> str | None:
    """``fallback`` where the model gave no number, or ``earlier`` where its fit is from an earlier week."""
    if document.kpi_text(f"{key}_method_reason"):
        return fallback
    return earlier if document.kpi_text(f"{key}_fit_note") else None


def _risk_headline(value: float) -> str:
    return f"{wording.percent(value)} · {risk_word(value)}"


def _risk_evidence(document: ReportDocument) -> list[str | None]:
    state = plain_words.RISK_STATES.get(document.kpi_text("S_state") or "")
    method = plain_words.RISK_METHODS.get(document.kpi_text("S_method") or "")
    fallback = say("The survival model could not be used for this week.")
    earlier = say("The survival model is that of an earlier week.")
    how = [say(method) if method else None, _fallback(document, "S", fallback=fallback, earlier=earlier)]
    return [
        _likely(document, "S"),
        _verdict(document, "S"),
        say(state) if state else None,
        _last_active(document),
        *_of_model(document, "S", lines=how),
    ]


def _last_active(document: ReportDocument) -> str | None:
    silent, sessions = document.kpi("S_days_silent"), document.kpi_count("S_n_sessions")
    if silent is None:
        return None
    days = math.floor(silent)
    if days == 0:
        last = say("Last active less than a day before the end of the week.")
    else:
        last = say("Last active {days} before the end of the week.", days=wording.days(days))
    if sessions is None:
        return last
    return f"{last} {say('{sessions} in 56 days.', sessions=wording.sessions(sessions))}"


_DEFINITIONS: dict[str, _Definition] = {
    "I_t": _Definition(
        marked("Improvement"),
        marked(
            "How the last 14 days compare with the 14 days before, toned down where there are few answers. Above 0 is "
            "better than before."
        ),
        scale=Scale(-1, 1, low_word=marked("worse"), high_word=marked("better")),
        headline=wording.signed,
        evidence=_improvement_evidence,
    ),
    "E_t": _Definition(
        marked("Efficiency"),
        marked("How much less time a right answer takes in the last 28 days than in the 28 days before."),
        scale=Scale(0, 1, low_word=marked("as before"), high_word=marked("much faster")),
        headline=_efficiency_headline,
        evidence=_efficiency_evidence,
    ),
    "R_t": _Definition(
        marked("Recovery"),
        marked("Of the questions answered wrong earlier and met again, the share that was right this time."),
        scale=Scale(0, 1, low_word=marked("none"), high_word=marked("all")),
        headline=wording.percent,
        evidence=_recovery_evidence,
    ),
    "A_t": _Definition(
        marked("Engagement"),
        marked("How regularly and independently this student works: sessions, gaps between them, hints, and time."),
        scale=Scale(0, 1, low_word=marked("little"), high_word=marked("a lot")),
        headline=wording.points_of_hundred,
        evidence=_engagement_evidence,
    ),
    "P": _Definition(
        marked("Goal probability"),
        marked("How likely it is that the goal is reached."),
        scale=Scale(0, 1, low_word=marked("unlikely"), high_word=marked("certain")),
        headline=wording.percent,
        evidence=_goal_evidence,
    ),
    "S": _Definition(
        marked("Risk of a pause"),
        marked("The risk of a pause of {horizon} days or more from now. Here low is good."),
        scale=Scale(0, 1, low_word=marked("low: good"), high_word=marked("high")),
        headline=_risk_headline,
        evidence=_risk_evidence,
    ),
}
