"""Advice from rules on the data, as codes with values. A rule speaks only with enough evidence, which its values state.

``advice_words`` has the words. The family's page and the teacher's page show the same advice; rules about a risk are for
the teacher alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.kpi_cards import HIGH_RISK, delta_interval
from seedtest_analytics.reporting.levels import LOW_ABILITY, match, newest_ability, topic_levels
from seedtest_analytics.reporting.outlook import assumes_practice
from seedtest_analytics.reporting.summary import known_days, tally, topic_summaries, week_tally, weekly_tallies
from seedtest_analytics.reporting.topic_rules import (
    HALF,
    MIN_TOPIC_ANSWERS,
    TopicTally,
    expected_share,
    is_low,
    method_of,
    strong_topics,
    weak_topics,
)

MIN_RETRIES = 5
LOW_RECOVERY = 0.5
ITEMS_RETURN_SHARE = 0.02
"""Below this share items do not return, so nobody can try one again."""
LONG_GAP_DAYS = 5.0
UNLIKELY, UNLIKELY_UPPER = 0.4, 0.5
SLOWDOWN = 0.25
MIN_TIMED = 10
SHOWN_TOPICS = 2
MOSTLY, FAR_SHARE = 0.5, 0.6
ENOUGH_ANSWERS = 20
DROP, MIN_USUAL = 0.5, 10

HELP_RULES = frozenset({"no_answers", "practice_dropped", "too_hard", "low_accuracy", "basics", "ability_fell"})
"""A student needs help where one of these rules applies: the one definition for all reports and messages."""
TEACHER_RULES = frozenset({"high_risk"})
_ORDER = {"do": 0, "note": 1, "keep": 2}


@dataclass(frozen=True)
class Recommendation:
    """``tone`` is 'do', 'keep' or 'note' (to talk about); ``values`` are what the words need, as JSON has it."""

    rule: str
    tone: str
    values: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The element of `report_artifacts.advice`."""
        return {"rule": self.rule, "tone": self.tone, "values": self.values}


def recommendations(document: ReportDocument) -> tuple[Recommendation, ...]:
    """The advice of all rules, the most pressing first; empty where nothing stands out."""
    found = [made for rule in _RULES for made in rule(document)]
    return tuple(sorted(found, key=lambda made: _ORDER[made.tone]))


def family_recommendations(document: ReportDocument, *, limit: int) -> tuple[Recommendation, ...]:
    """At most ``limit`` pieces of advice for the family, the last one of what goes well if anything does."""
    found = [made for made in recommendations(document) if made.rule not in TEACHER_RULES]
    if len(found) <= limit:
        return tuple(found)
    praise = [made for made in found if made.tone == "keep"][:1]
    return (*[made for made in found if made.tone != "keep"][: limit - len(praise)], *praise)[:limit]


def needs_help(document: ReportDocument) -> bool:
    """Whether somebody should look after the student this week."""
    return any(made.rule in HELP_RULES for made in recommendations(document))


def _silence(document: ReportDocument) -> Iterator[Recommendation]:
    if not week_tally(document).attempts:
        yield Recommendation("no_answers", "do")


def _dropped(document: ReportDocument) -> Iterator[Recommendation]:
    """Practice that is at most half of what it was in the weeks before."""
    now = week_tally(document).attempts
    earlier = [t.attempts for monday, t in weekly_tallies(known_days(document)) if monday < document.week_start]
    usual = sum(earlier[-3:]) / 3
    if 0 < now <= DROP * usual and usual >= MIN_USUAL:
        yield Recommendation("practice_dropped", "do", {"answers": now, "usual": round(usual)})


def _difficulty(document: ReportDocument) -> Iterator[Recommendation]:
    found = match(document)
    if found is None:
        return
    values = {"easy": found.easy, "right": found.right, "hard": found.hard, "questions": found.total}
    if found.hard >= MOSTLY * found.total:
        yield Recommendation("too_hard", "do", values)
    elif found.easy >= MOSTLY * found.total:
        yield Recommendation("too_easy", "do", values)
    elif found.easy + found.hard >= FAR_SHARE * found.total:
        yield Recommendation("uneven", "do", values)


def _topics(document: ReportDocument) -> list[TopicTally]:
    """The topics of four weeks as the rules read them."""
    known = document.next_right
    return [
        TopicTally(s.topic_id, s.period.attempts, correct=s.period.correct, next_right=known.get(s.topic_id))
        for s in topic_summaries(document)
    ]


def _weak_topics(document: ReportDocument) -> Iterator[Recommendation]:
    topics = _topics(document)
    weak = weak_topics(topics)[:SHOWN_TOPICS]
    for found in weak:
        yield Recommendation("weak_topic", "do", {**_topic_values(found.topic), "elsewhere": found.elsewhere})
    known = {found.topic.topic_id for found in weak}
    for values in _begun(document, topics, known=known)[: SHOWN_TOPICS - len(known)]:
        yield Recommendation("begun_topic", "do", values)


def _begun(document: ReportDocument, topics: list[TopicTally], *, known: set[str]) -> list[dict[str, Any]]:
    """Other topics in which fewer than half of the next answers will be right, or whose level is *begun*."""
    if method_of(topics) == "next_answer":
        low = [t for t in topics if t.answers >= MIN_TOPIC_ANSWERS and t.next_right is not None and t.next_right < HALF]
        low.sort(key=lambda t: (t.next_right or 0.0, t.topic_id))
        return [_topic_values(t) for t in low if t.topic_id not in known]
    tallies = {t.topic_id: t for t in topics}
    begun = [s for s, level in topic_levels(document) if level == "begun" and s.topic_id not in known]
    begun.sort(key=lambda s: (s.theta if s.theta is not None else 0.0, s.period.share or 0.0, s.topic_id))
    return [{**_topic_values(tallies[s.topic_id]), "theta": s.theta} for s in begun]


def _topic_values(topic: TopicTally) -> dict[str, Any]:
    low, high = topic.tally.interval
    values = {"topic": topic.topic_id, "correct": topic.correct, "answers": topic.answers, "low": low, "high": high}
    return values | _read(topic.next_right)


def _read(next_right: float | None) -> dict[str, Any]:
    """What a rule has read: the method, and the probability of the next answer where it is that."""
    if next_right is None:
        return {"method": "share_right"}
    return {"method": "next_answer", "next_right": next_right}


def _accuracy(document: ReportDocument) -> Iterator[Recommendation]:
    """Few right answers to come, or an ability at which questions of middle difficulty are too hard."""
    total, ability, topics = tally(known_days(document)), newest_ability(document), _topics(document)
    if is_low(topics, total):
        values = {"correct": total.correct, "answers": total.attempts, **_read(expected_share(topics))}
        yield Recommendation("low_accuracy", "do", values)
    elif ability is not None and ability.theta < LOW_ABILITY:
        yield Recommendation("basics", "do", {"theta": ability.theta})


def _evidence(document: ReportDocument) -> Iterator[Recommendation]:
    """Too few answers to say more."""
    answers = tally(known_days(document)).attempts
    if 0 < answers < ENOUGH_ANSWERS:
        yield Recommendation("more_answers", "do", {"answers": answers, "missing": ENOUGH_ANSWERS - answers})


def _high_risk(document: ReportDocument) -> Iterator[Recommendation]:
    risk = document.kpi("S")
    if risk is not None and risk >= HIGH_RISK:
        yield Recommendation("high_risk", "note", {"risk": risk})


def _recovery(document: ReportDocument) -> Iterator[Recommendation]:
    wrong, met, share = document.kpi_count("R_t_n_wrong"), document.kpi_count("R_t_n_met_again"), document.kpi("R_t")
    can_return = document.repeated_share is None or document.repeated_share >= ITEMS_RETURN_SHARE
    by_topic, answers = document.kpi("R_t_topic"), document.kpi_count("R_t_topic_n")
    if not can_return:
        if by_topic is not None and answers is not None and answers >= MIN_TOPIC_ANSWERS and by_topic < LOW_RECOVERY:
            yield Recommendation("topics_of_mistakes", "do", {"answers": answers, "share": by_topic})
    elif wrong is not None and wrong >= MIN_RETRIES and met == 0:
        yield Recommendation("retry_mistakes", "do", {"wrong": wrong})
    elif share is not None and met is not None and met >= MIN_RETRIES and share < LOW_RECOVERY:
        yield Recommendation("explain_mistakes", "do", {"met": met, "share": share})


def _rhythm(document: ReportDocument) -> Iterator[Recommendation]:
    gap, sessions = document.kpi("mean_gap"), document.kpi_count("sessions")
    if gap is not None and sessions is not None and gap > LONG_GAP_DAYS:
        yield Recommendation("shorter_gaps", "do", {"sessions": sessions, "gap": gap})


def _goal(document: ReportDocument) -> Iterator[Recommendation]:
    """Speaks only about the student's own goal: a default goal is not a reason for a talk."""
    probability, upper = document.kpi("P"), document.kpi("P_upper")
    is_likely = upper is not None and upper >= UNLIKELY_UPPER
    is_default = document.kpi_text("P_target_source") == "default"
    if probability is not None and probability < UNLIKELY and not is_likely and not is_default:
        values = {"probability": probability, "assumes_practice": assumes_practice(document)}
        yield Recommendation("goal_ahead", "note", values)


def _change(document: ReportDocument) -> Iterator[Recommendation]:
    bounds, change = delta_interval(document), document.kpi("delta_theta")
    if bounds is None or change is None or bounds[0] <= 0 <= bounds[1]:
        return
    rule, tone = ("ability_rose", "keep") if bounds[0] > 0 else ("ability_fell", "note")
    yield Recommendation(rule, tone, {"change": change})


def _slower(document: ReportDocument) -> Iterator[Recommendation]:
    change = document.kpi("E_t_change")
    counts = (document.kpi_count("E_t_n_recent") or 0, document.kpi_count("E_t_n_previous") or 0)
    if change is not None and change <= -SLOWDOWN and min(counts) >= MIN_TIMED:
        yield Recommendation("slower", "note", {"change": -change})


def _strong_topics(document: ReportDocument) -> Iterator[Recommendation]:
    for topic in strong_topics(_topics(document))[:SHOWN_TOPICS]:
        yield Recommendation("strong_topic", "keep", _topic_values(topic))


_RULES: tuple[Callable[[ReportDocument], Iterator[Recommendation]], ...] = (
    _silence,
    _dropped,
    _difficulty,
    _weak_topics,
    _accuracy,
    _recovery,
    _rhythm,
    _evidence,
    _high_risk,
    _change,
    _goal,
    _slower,
    _strong_topics,
)
