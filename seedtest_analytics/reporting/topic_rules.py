"""Which topics are weak or strong, and whether few of the next answers will be right: one definition for reports and messages.

Where the abilities are dynamic, the probability of the next answer decides (``next_right`` of `ability_topic_state`). It
knows the difficulty of the questions and how long ago the answers were. Otherwise the share right of four weeks decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seedtest_analytics.reporting.summary import Tally

Method = Literal["next_answer", "share_right"]

MIN_TOPIC_ANSWERS = 8
WEAKER = 0.1
"""A topic is weak if the next answer is right this much less often there than in the other topics."""
HALF = 0.5
MIN_ANSWERS, LOW_SHARE = 10, 0.45
STRONG_SHARE = 0.85


@dataclass(frozen=True)
class TopicTally:
    """Answers in a topic during the four weeks; ``next_right``: P(the next answer is right), where abilities are dynamic."""

    topic_id: str
    answers: int
    correct: int
    next_right: float | None = None

    @property
    def tally(self) -> Tally:
        """The answers as a total."""
        return Tally(self.answers, self.correct)


@dataclass(frozen=True)
class WeakTopic:
    """A weak topic; ``elsewhere`` is the probability, or the share right, in the other topics."""

    topic: TopicTally
    elsewhere: float


def method_of(topics: Sequence[TopicTally]) -> Method:
    """What the rules read."""
    return "next_answer" if any(t.next_right is not None for t in topics) else "share_right"


def expected_share(topics: Sequence[TopicTally]) -> float | None:
    """P(right) of the next answers if the student goes on practising the same topics; None without any."""
    known = [(t.answers, t.next_right) for t in topics if t.next_right is not None]
    n = sum(answers for answers, _ in known)
    return sum(answers * p for answers, p in known) / n if n else None


def weak_topics(topics: Sequence[TopicTally]) -> list[WeakTopic]:
    """The weak topics, the weakest first.

    By the share right, a topic is weak if its whole 95 % interval lies below the share right in the other topics.
    """
    by_next = method_of(topics) == "next_answer"
    found = []
    for topic in topics:
        others = [t for t in topics if t is not topic]
        elsewhere = expected_share(others) if by_next else Tally.sum(t.tally for t in others).share
        if topic.answers < MIN_TOPIC_ANSWERS or elsewhere is None:
            continue
        if by_next:
            is_weak = topic.next_right is not None and topic.next_right < elsewhere - WEAKER
        else:
            is_weak = topic.tally.interval[1] < elsewhere
        if is_weak:
            found.append(WeakTopic(topic, elsewhere))
    return sorted(found, key=lambda w: (_level(w.topic), -w.topic.answers, w.topic.topic_id))


def strong_topics(topics: Sequence[TopicTally]) -> list[TopicTally]:
    """Topics in which 85 % of the next answers will be right; by the share right, whose whole interval is that high."""
    if method_of(topics) == "next_answer":
        return [t for t in topics if t.answers >= MIN_TOPIC_ANSWERS and (t.next_right or 0.0) >= STRONG_SHARE]
    return [t for t in topics if t.answers and t.tally.interval[0] >= STRONG_SHARE]


def is_low(topics: Sequence[TopicTally], total: Tally) -> bool:
    """Whether few of the next answers will be right, or few of four weeks' were. ``total`` counts each answer once."""
    if total.attempts < MIN_ANSWERS:
        return False
    expected = expected_share(topics)
    return (total.share or 0.0) <= LOW_SHARE if expected is None else expected <= LOW_SHARE


def _level(topic: TopicTally) -> float:
    return topic.next_right if topic.next_right is not None else topic.tally.share or 0.0
