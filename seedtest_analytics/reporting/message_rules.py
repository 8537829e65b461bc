"""Which one sentence a family reads of a week: what to improve first, else what went well, else nothing.

A rule is a code with the values that its sentence states. :data:`RULES` is the order; the first rule that applies wins.
:mod:`seedtest_analytics.reporting.message_sentences` has the words.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seedtest_analytics.reporting.summary import Z_95, Tally
from seedtest_analytics.reporting.topic_rules import (
    MIN_ANSWERS,
    TopicTally,
    expected_share,
    is_low,
    strong_topics,
    weak_topics,
)

MIN_QUESTIONS = 10
MOSTLY = 0.5
"""Share of the questions from which they are too hard, or too easy, as a whole."""
DROP, MIN_USUAL = 0.5, 10
MIN_WRONG, ITEMS_RETURN_SHARE = 5, 0.02
GOOD_SHARE = 0.7
STEADY_DAYS = 4

Values = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What is known of a student's week. Four weeks end with the reported one; ``last_day`` is within them.

    ``easy``, ``hard``: questions of the four weeks whose difficulty is more than a logit below or above the ability;
    ``questions``: those of known difficulty. ``usual``: mean answers in each of the three weeks before.
    """

    answers: int = 0
    correct: int = 0
    days: int = 0
    answers_4w: int = 0
    correct_4w: int = 0
    usual: float = 0.0
    last_day: dt.date | None = None
    questions: int = 0
    easy: int = 0
    hard: int = 0
    change: float | None = None
    change_se: float | None = None
    wrong: int = 0
    met_again: int = 0
    repeated_share: float | None = None
    topics: tuple[TopicTally, ...] = field(default=())


@dataclass(frozen=True)
class Finding:
    """The rule that applies, and the values of its sentence."""

    code: str
    values: Values


Rule = Callable[[Evidence], Values | None]


def choose(evidence: Evidence) -> Finding | None:
    """The first rule that applies; None if there is nothing to say."""
    for code, rule in RULES.items():
        values = rule(evidence)
        if values is not None:
            return Finding(code, values)
    return None


def _no_answers(e: Evidence) -> Values | None:
    """Silence of up to four weeks. After that a weekly reminder would nag."""
    return {"since": e.last_day.isoformat()} if e.answers == 0 and e.last_day is not None else None


def _too_hard(e: Evidence) -> Values | None:
    is_so = e.answers > 0 and e.questions >= MIN_QUESTIONS and e.hard >= MOSTLY * e.questions
    return {"hard": e.hard, "questions": e.questions} if is_so else None


def _low_accuracy(e: Evidence) -> Values | None:
    if e.answers == 0 or not is_low(e.topics, Tally(e.answers_4w, e.correct_4w)):
        return None
    return _read(expected_share(e.topics), {"correct": e.correct_4w, "answers": e.answers_4w})


def _read(next_right: float | None, counts: Values) -> Values:
    """What the sentence states: the probability of the next answer in percent, or counts; and which of the two."""
    if next_right is None:
        return {**counts, "method": "share_right"}
    return {"next": round(100 * next_right), "method": "next_answer"}


def _practice_dropped(e: Evidence) -> Values | None:
    is_so = 0 < e.answers <= DROP * e.usual and e.usual >= MIN_USUAL
    return {"answers": e.answers, "usual": round(e.usual)} if is_so else None


def _change_bounds(e: Evidence) -> tuple[float, float] | None:
    if e.change is None or e.change_se is None or e.answers == 0:
        return None
    return e.change - Z_95 * e.change_se, e.change + Z_95 * e.change_se


def _change_values(e: Evidence) -> Values:
    return {"change": round(e.change or 0.0, 3), "change_se": round(e.change_se or 0.0, 3)}


def _ability_fell(e: Evidence) -> Values | None:
    bounds = _change_bounds(e)
    return _change_values(e) if bounds is not None and bounds[1] < 0 else None


def _weak_topic(e: Evidence) -> Values | None:
    weak = weak_topics(e.topics) if e.answers else []
    return _topic_values(weak[0].topic) if weak else None


def _retry_mistakes(e: Evidence) -> Values | None:
    """Only where questions return at all."""
    returns = e.repeated_share is not None and e.repeated_share >= ITEMS_RETURN_SHARE
    is_so = e.answers > 0 and returns and e.wrong >= MIN_WRONG and e.met_again == 0
    return {"wrong": e.wrong} if is_so else None


def _too_easy(e: Evidence) -> Values | None:
    is_so = e.answers > 0 and e.questions >= MIN_QUESTIONS and e.easy >= MOSTLY * e.questions
    return {"easy": e.easy, "questions": e.questions} if is_so else None


def _one_day(e: Evidence) -> Values | None:
    return {"answers": e.answers} if e.answers >= MIN_ANSWERS and e.days == 1 else None


def _ability_rose(e: Evidence) -> Values | None:
    bounds = _change_bounds(e)
    return _change_values(e) if bounds is not None and bounds[0] > 0 else None


def _strong_topic(e: Evidence) -> Values | None:
    """The strong topic with the most answers."""
    strong = strong_topics(e.topics) if e.answers else []
    return _topic_values(min(strong, key=lambda t: (-t.answers, t.topic_id))) if strong else None


def _good_week(e: Evidence) -> Values | None:
    is_so = e.answers >= MIN_ANSWERS and e.correct >= GOOD_SHARE * e.answers
    return {"correct": e.correct, "answers": e.answers} if is_so else None


def _steady(e: Evidence) -> Values | None:
    return {"days": e.days} if e.days >= STEADY_DAYS else None


def _topic_values(topic: TopicTally) -> Values:
    return {"topic": topic.topic_id, **_read(topic.next_right, {"correct": topic.correct, "answers": topic.answers})}


IMPROVE: dict[str, Rule] = {
    "no_answers": _no_answers,
    "too_hard": _too_hard,
    "low_accuracy": _low_accuracy,
    "practice_dropped": _practice_dropped,
    "ability_fell": _ability_fell,
    "weak_topic": _weak_topic,
    "retry_mistakes": _retry_mistakes,
    "too_easy": _too_easy,
    "one_day": _one_day,
}
PRAISE: dict[str, Rule] = {
    "ability_rose": _ability_rose,
    "strong_topic": _strong_topic,
    "good_week": _good_week,
    "steady": _steady,
}
RULES: dict[str, Rule] = {**IMPROVE, **PRAISE}
RECIPIENTS = ("parent", "student")
