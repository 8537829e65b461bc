"""Advice from rules on the data. A rule speaks only where the evidence carries it, and says what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.html import name
from seedtest_analytics.reporting.kpi_cards import HIGH_RISK, delta_interval
from seedtest_analytics.reporting.summary import (
    Tally,
    TopicSummary,
    known_days,
    tally,
    topic_summaries,
    week_tally,
)

MIN_TOPIC_ANSWERS = 8
MIN_RETRIES = 5
STRONG_SHARE = 0.85
LONG_GAP_DAYS = 5.0
UNLIKELY, UNLIKELY_UPPER = 0.4, 0.5
SLOWDOWN = 0.25
MIN_TIMED = 10
SHOWN_TOPICS = 2


@dataclass(frozen=True)
class Recommendation:
    """``advice`` and ``because`` are markup already. ``tone``: 'do', 'keep' or 'note' (to talk about)."""

    rule: str
    tone: str
    advice: str
    because: str


def recommendations(document: ReportDocument) -> tuple[Recommendation, ...]:
    """Everything that the rules have to say, most pressing first; empty where nothing stands out."""
    return tuple(found for rule in _RULES for found in rule(document))


def _silence(document: ReportDocument) -> list[Recommendation]:
    week = week_tally(document)
    if week.attempts:
        return []
    return [
        Recommendation(
            "no_answers",
            "do",
            advice="Start with one short session of about ten questions.",
            because="There are no answers in this week, so most numbers below speak of earlier weeks.",
        )
    ]


def _high_risk(document: ReportDocument) -> list[Recommendation]:
    risk = document.kpi("S")
    if risk is None or risk < HIGH_RISK:
        return []
    return [
        Recommendation(
            "high_risk",
            "note",
            advice="A short word from the teacher now may help more than later.",
            because=f"The risk of a longer pause is high ({wording.percent(risk)}).",
        )
    ]


def _weak_topics(document: ReportDocument) -> list[Recommendation]:
    total = tally(known_days(document))
    weak = [s for s in topic_summaries(document) if _is_clearly_weaker(s, total)]
    weak.sort(key=lambda s: (s.period.share or 0.0, s.topic_id))
    return [_weak_topic(s, total.without(s.period), is_first=i == 0) for i, s in enumerate(weak[:SHOWN_TOPICS])]


def _is_clearly_weaker(topic: TopicSummary, total: Tally) -> bool:
    """The whole interval of the topic lies below the share right elsewhere."""
    elsewhere = total.without(topic.period).share
    return topic.period.attempts >= MIN_TOPIC_ANSWERS and elsewhere is not None and topic.period.interval[1] < elsewhere


def _weak_topic(topic: TopicSummary, elsewhere: Tally, *, is_first: bool) -> Recommendation:
    low, high = topic.period.interval
    share = elsewhere.share or 0.0
    return Recommendation(
        "weak_topic",
        "do",
        advice=f"Work on {name(topic.topic_id)} first." if is_first else f"Then work on {name(topic.topic_id)}.",
        because=f"{topic.period.correct} of {topic.period.attempts} right (likely "
        f"{wording.percent_interval(low, high)}), "
        f"against {wording.percent(share)} in the other topics.",
    )


def _recovery(document: ReportDocument) -> list[Recommendation]:
    wrong, met, share = (
        document.kpi_count("R_t_n_wrong"),
        document.kpi_count("R_t_n_met_again"),
        document.kpi("R_t"),
    )
    if wrong is not None and wrong >= MIN_RETRIES and met == 0:
        return [
            Recommendation(
                "retry_mistakes",
                "do",
                advice="Try again some of the questions that went wrong.",
                because=f"None of {wrong} questions answered wrong has been met again.",
            )
        ]
    if share is not None and met is not None and met >= MIN_RETRIES and share < 0.5:
        return [
            Recommendation(
                "explain_mistakes",
                "do",
                advice="Read the explanation before you try a wrong question again.",
                because=f"Of {met} questions met again after a wrong answer, "
                f"{wording.percent(share)} were right this time.",
            )
        ]
    return []


def _rhythm(document: ReportDocument) -> list[Recommendation]:
    gap, sessions = document.kpi("mean_gap"), document.kpi_count("sessions")
    if gap is None or sessions is None or gap <= LONG_GAP_DAYS:
        return []
    return [
        Recommendation(
            "shorter_gaps",
            "do",
            advice="Shorter sessions, more often, are remembered better.",
            because=f"{wording.count(sessions, 'session')} in 28 days, "
            f"{wording.decimal(gap, 1)} days apart on average.",
        )
    ]


def _goal(document: ReportDocument) -> list[Recommendation]:
    """Only about a goal of the student's own: nobody need be told to talk about a default."""
    probability, upper = document.kpi("P"), document.kpi("P_upper")
    is_likely = upper is not None and upper >= UNLIKELY_UPPER
    is_default = document.kpi_text("P_target_source") == "default"
    if probability is None or probability >= UNLIKELY or is_likely or is_default:
        return []
    growth = "" if document.kpi_text("P_method") == "bayesian" else " if nothing changes"
    return [
        Recommendation(
            "goal_ahead",
            "note",
            advice="Talk about the goal: more practice, more time, or a nearer step first.",
            because=f"The goal is reached with a probability of {wording.percent(probability)}{growth}.",
        )
    ]


def _change(document: ReportDocument) -> list[Recommendation]:
    bounds = delta_interval(document)
    if bounds is None or bounds[0] <= 0 <= bounds[1]:
        return []
    shown = (
        f"Ability changed by {wording.signed(document.kpi('delta_theta') or 0.0)} "
        f"logit in two weeks, more than chance explains."
    )
    if bounds[0] > 0:
        return [Recommendation("ability_rose", "keep", advice="Keep going like this: it works.", because=shown)]
    return [
        Recommendation(
            "ability_fell",
            "note",
            advice="Look together at what has changed in the last two weeks.",
            because=shown,
        )
    ]


def _slower(document: ReportDocument) -> list[Recommendation]:
    change = document.kpi("E_t_change")
    counts = (document.kpi_count("E_t_n_recent") or 0, document.kpi_count("E_t_n_previous") or 0)
    if change is None or change > -SLOWDOWN or min(counts) < MIN_TIMED:
        return []
    return [
        Recommendation(
            "slower",
            "note",
            advice="See whether the questions have become harder; if not, a short review of the basics may help.",
            because=f"A right answer typically takes {wording.percent(-change)} longer than in the 28 days before.",
        )
    ]


def _strong_topics(document: ReportDocument) -> list[Recommendation]:
    strong = [s for s in topic_summaries(document) if s.period.attempts and s.period.interval[0] >= STRONG_SHARE]
    return [
        Recommendation(
            "strong_topic",
            "keep",
            advice=f"{name(s.topic_id)} is ready for harder questions.",
            because=f"{s.period.correct} of {s.period.attempts} right (likely "
            f"{wording.percent_interval(*s.period.interval)}).",
        )
        for s in strong[:SHOWN_TOPICS]
    ]


_RULES: tuple[Callable[[ReportDocument], list[Recommendation]], ...] = (
    _silence,
    _high_risk,
    _weak_topics,
    _recovery,
    _rhythm,
    _goal,
    _change,
    _slower,
    _strong_topics,
)
