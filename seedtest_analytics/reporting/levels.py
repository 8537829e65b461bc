"""What a student can do, on scales that people know: points, questions right of a hundred, and a level per topic.

Nothing here compares the student with others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seedtest_analytics.reporting.document import AbilityPoint, ReportDocument
from seedtest_analytics.reporting.summary import TopicSummary, known_abilities, topic_summaries, wilson_interval

Level = Literal["begun", "nearly", "secure"]

Z_80 = 1.281552
MIN_TOPIC_ANSWERS = 8
"""A topic with fewer answers in four weeks gets no level."""
HALF, SECURE = 0.5, 0.7
LOW_ABILITY = -0.5
"""Below this ability (logits, 450 points) fewer than 4 of 10 questions of middle difficulty are answered right."""
FAR = 1.0
"""A question is far from an ability if it is more than this many logits harder or easier: under 27% or over 73% right."""
MIN_QUESTIONS = 10


def share_right(theta: float, difficulty: float = 0.0) -> float:
    """The share of questions of a difficulty (both in logits) that are answered right, 1 / (1 + exp(b − θ))."""
    return 1.0 / (1.0 + math.exp(min(700.0, difficulty - theta)))


def level(topic: TopicSummary) -> Level | None:
    """The level in a topic, from four weeks; None with fewer than MIN_TOPIC_ANSWERS answers.

    With p the share right at questions of middle difficulty: ``secure`` if the whole 80% interval of p is at least 70%,
    else ``begun`` if p is below one half, else ``nearly``. Without an ability in the topic, p is the share right.
    """
    if topic.period.attempts < MIN_TOPIC_ANSWERS:
        return None
    if topic.theta is not None:
        p = share_right(topic.theta)
        low = share_right(topic.theta - Z_80 * (topic.theta_sd or 0.0))
    else:
        p = topic.period.share or 0.0
        low, _ = wilson_interval(topic.period.correct, topic.period.attempts, z=Z_80)
    if low >= SECURE:
        return "secure"
    return "begun" if p < HALF else "nearly"


def topic_levels(document: ReportDocument) -> tuple[tuple[TopicSummary, Level | None], ...]:
    """The topics of four weeks with their levels."""
    return tuple((topic, level(topic)) for topic in topic_summaries(document))


def newest_ability(document: ReportDocument) -> AbilityPoint | None:
    """The newest ability up to the week; from the KPIs where the last eight weeks have none."""
    points = known_abilities(document)
    if points:
        return points[-1]
    theta = document.kpi("theta")
    return None if theta is None else AbilityPoint(date=document.week_end, theta=theta, se=document.kpi("theta_se"))


@dataclass(frozen=True)
class Match:
    """How the questions of four weeks fit the student's ability: counts of too easy, right and too hard ones."""

    easy: int
    right: int
    hard: int

    @property
    def total(self) -> int:
        """All questions with a known difficulty."""
        return self.easy + self.right + self.hard


def match(document: ReportDocument) -> Match | None:
    """How the questions fit; None without an ability or with fewer than MIN_QUESTIONS questions of known difficulty."""
    ability = newest_ability(document)
    gaps = [i.difficulty - ability.theta for i in document.item_params if i.difficulty is not None] if ability else []
    if len(gaps) < MIN_QUESTIONS:
        return None
    easy, hard = sum(gap < -FAR for gap in gaps), sum(gap > FAR for gap in gaps)
    return Match(easy, right=len(gaps) - easy - hard, hard=hard)
