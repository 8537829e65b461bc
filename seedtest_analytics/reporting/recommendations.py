"""Advice from rules on the data. A rule gives advice only with enough evidence, and states that evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.html import name
from seedtest_analytics.reporting.kpi_cards import HIGH_RISK, delta_interval
from seedtest_analytics.reporting.summary import Tally, TopicSummary, known_days, tally, topic_summaries, week_tally

MIN_TOPIC_ANSWERS = 8
MIN_RETRIES = 5
LOW_RECOVERY = 0.5
ITEMS_RETURN_SHARE = 0.02
"""Below this share items do not return, so nobody can try one again."""
STRONG_SHARE = 0.85
LONG_GAP_DAYS = 5.0
UNLIKELY, UNLIKELY_UPPER = 0.4, 0.5
SLOWDOWN = 0.25
MIN_TIMED = 10
SHOWN_TOPICS = 2


@dataclass(frozen=True)
class Recommendation:
    """``advice`` and ``because`` are markup. ``tone`` is 'do', 'keep' or 'note' (to talk about)."""

    rule: str
    tone: str
    advice: str
    because: str


def recommendations(document: ReportDocument) -> tuple[Recommendation, ...]:
    """The advice of all rules, the most pressing first; empty where nothing stands out."""
    return tuple(found for rule in _RULES for found in rule(document))


def _silence(document: ReportDocument) -> Iterator[Recommendation]:
    if not week_tally(document).attempts:
        yield Recommendation(
            "no_answers",
            "do",
            advice="Start with one short session of about ten questions.",
            because="There are no answers in this week, so most numbers below speak of earlier weeks.",
        )


def _high_risk(document: ReportDocument) -> Iterator[Recommendation]:
    risk = document.kpi("S")
    if risk is not None and risk >= HIGH_RISK:
        yield Recommendation(
            "high_risk",
            "note",
            advice="A short word from the teacher now may help more than later.",
            because=f"The risk of a longer pause is high ({wording.percent(risk)}).",
        )


def _weak_topics(document: ReportDocument) -> Iterator[Recommendation]:
    total = tally(known_days(document))
    weak = [s for s in topic_summaries(document) if _is_clearly_weaker(s, total)]
    weak.sort(key=lambda s: (s.period.share or 0.0, s.topic_id))
    for i, topic in enumerate(weak[:SHOWN_TOPICS]):
        shown = name(topic.topic_id)
        yield Recommendation(
            "weak_topic",
            "do",
            advice=f"Work on {shown} first." if i == 0 else f"Then work on {shown}.",
            because=f"{topic.period.correct} of {topic.period.attempts} right (likely "
            f"{wording.percent_interval(*topic.period.interval)}), "
            f"against {wording.percent(total.without(topic.period).share or 0.0)} in the other topics.",
        )


def _is_clearly_weaker(topic: TopicSummary, total: Tally) -> bool:
    """Whether the topic's whole interval is below the share right in the other topics."""
    elsewhere = total.without(topic.period).share
    return topic.period.attempts >= MIN_TOPIC_ANSWERS and elsewhere is not None and topic.period.interval[1] < elsewhere


def _recovery(document: ReportDocument) -> Iterator[Recommendation]:
    wrong, met, share = document.kpi_count("R_t_n_wrong"), document.kpi_count("R_t_n_met_again"), document.kpi("R_t")
    can_return = document.repeated_share is None or document.repeated_share >= ITEMS_RETURN_SHARE
    by_topic, answers = document.kpi("R_t_topic"), document.kpi_count("R_t_topic_n")
    if not can_return:
        if by_topic is not None and answers is not None and answers >= MIN_TOPIC_ANSWERS and by_topic < LOW_RECOVERY:
            yield Recommendation(
                "topics_of_mistakes",
                "do",
                advice="Go back to the topics of the questions that went wrong, from easier questions up.",
                because=f"Of {answers} new answers in these topics, about {wording.percent(by_topic)} were right.",
            )
    elif wrong is not None and wrong >= MIN_RETRIES and met == 0:
        yield Recommendation(
            "retry_mistakes",
            "do",
            advice="Try again some of the questions that went wrong.",
            because=f"None of {wrong} questions answered wrong has been met again.",
        )
    elif share is not None and met is not None and met >= MIN_RETRIES and share < LOW_RECOVERY:
        right = wording.percent(share)
        yield Recommendation(
            "explain_mistakes",
            "do",
            advice="Read the explanation before you try a wrong question again.",
            because=f"Of {met} questions met again after a wrong answer, {right} were right this time.",
        )


def _rhythm(document: ReportDocument) -> Iterator[Recommendation]:
    gap, sessions = document.kpi("mean_gap"), document.kpi_count("sessions")
    if gap is not None and sessions is not None and gap > LONG_GAP_DAYS:
        counted = wording.count(sessions, "session")
        yield Recommendation(
            "shorter_gaps",
            "do",
            advice="Shorter sessions, more often, are remembered better.",
            because=f"{counted} in 28 days, {wording.decimal(gap, 1)} days apart on average.",
        )


def _goal(document: ReportDocument) -> Iterator[Recommendation]:
    """Speaks only about the student's own goal: a default goal is not a reason for a talk."""
    probability, upper = document.kpi("P"), document.kpi("P_upper")
    is_likely = upper is not None and upper >= UNLIKELY_UPPER
    is_default = document.kpi_text("P_target_source") == "default"
    if probability is None or probability >= UNLIKELY or is_likely or is_default:
        return
    growth = "" if document.kpi_text("P_method") == "bayesian" else " if nothing changes"
    yield Recommendation(
        "goal_ahead",
        "note",
        advice="Talk about the goal: more practice, more time, or a nearer step first.",
        because=f"The goal is reached with a probability of {wording.percent(probability)}{growth}.",
    )


def _change(document: ReportDocument) -> Iterator[Recommendation]:
    bounds = delta_interval(document)
    if bounds is None or bounds[0] <= 0 <= bounds[1]:
        return
    change = wording.signed(document.kpi("delta_theta") or 0.0)
    rule, tone, advice = (
        ("ability_rose", "keep", "Keep going like this: it works.")
        if bounds[0] > 0
        else ("ability_fell", "note", "Look together at what has changed in the last two weeks.")
    )
    because = f"Ability changed by {change} logit in two weeks, more than chance explains."
    yield Recommendation(rule, tone, advice=advice, because=because)


def _slower(document: ReportDocument) -> Iterator[Recommendation]:
    change = document.kpi("E_t_change")
    counts = (document.kpi_count("E_t_n_recent") or 0, document.kpi_count("E_t_n_previous") or 0)
    if change is not None and change <= -SLOWDOWN and min(counts) >= MIN_TIMED:
        yield Recommendation(
            "slower",
            "note",
            advice="See whether the questions have become harder; if not, a short review of the basics may help.",
            because=f"A right answer typically takes {wording.percent(-change)} longer than in the 28 days before.",
        )


def _strong_topics(document: ReportDocument) -> Iterator[Recommendation]:
    strong = [s for s in topic_summaries(document) if s.period.attempts and s.period.interval[0] >= STRONG_SHARE]
    for topic in strong[:SHOWN_TOPICS]:
        likely = wording.percent_interval(*topic.period.interval)
        yield Recommendation(
            "strong_topic",
            "keep",
            advice=f"{name(topic.topic_id)} is ready for harder questions.",
            because=f"{topic.period.correct} of {topic.period.attempts} right (likely {likely}).",
        )


_RULES: tuple[Callable[[ReportDocument], Iterator[Recommendation]], ...] = (
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
