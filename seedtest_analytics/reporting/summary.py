"""Abilities, and totals of the daily topic rows by day, week and topic. Rows after the reported week do not count."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from seedtest_analytics.reporting.document import AbilityPoint, ReportDocument, TopicDay

Z_95 = 1.959964


@dataclass(frozen=True)
class Tally:
    """Answers and how many were right."""

    attempts: int = 0
    correct: int = 0

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """The total of several."""
        found = list(tallies)
        return cls(sum(t.attempts for t in found), sum(t.correct for t in found))

    @property
    def share(self) -> float | None:
        """Share right; None without an answer."""
        return self.correct / self.attempts if self.attempts else None

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of the share right; (0, 1) without an answer."""
        return wilson_interval(self.correct, self.attempts)

    def without(self, other: Tally) -> Tally:
        """The rest after ``other`` is subtracted."""
        return Tally(self.attempts - other.attempts, self.correct - other.correct)


@dataclass(frozen=True)
class TopicSummary:
    """A topic in the reported week and over the whole period of the data. Times in ms, ability in logits."""

    topic_id: str
    week: Tally
    period: Tally
    typical_time_ms: float | None
    theta: float | None
    theta_sd: float | None


def wilson_interval(correct: int, attempts: int, *, z: float = Z_95) -> tuple[float, float]:
    """Score interval of a proportion; (0, 1) without observations.

    The centre is (p + z²/2n) / (1 + z²/n), the half width z / (1 + z²/n) · √(p(1 − p)/n + z²/4n²) (Wilson 1927,
    JASA 22:209–212).
    """
    if attempts == 0:
        return 0.0, 1.0
    share, shrink = correct / attempts, z * z / attempts
    centre = (share + shrink / 2) / (1 + shrink)
    half = z / (1 + shrink) * math.sqrt(share * (1 - share) / attempts + shrink / (4 * attempts))
    return max(0.0, centre - half), min(1.0, centre + half)


def known_abilities(document: ReportDocument) -> list[AbilityPoint]:
    """The abilities up to the Sunday of the reported week, oldest first."""
    return sorted((p for p in document.ability_trend if p.date <= document.week_end), key=lambda p: p.date)


def known_days(document: ReportDocument) -> tuple[TopicDay, ...]:
    """The topic rows up to the Sunday of the reported week."""
    return tuple(row for row in document.topic_features if row.date <= document.week_end)


def tally(rows: Iterable[TopicDay]) -> Tally:
    """The total of ``rows`` over all topics. An attempt with several topics counts once."""
    attempts = correct = 0
    for row in rows:
        attempts += row.attempts if row.attempts_once is None else row.attempts_once
        correct += row.correct if row.correct_once is None else row.correct_once
    return Tally(attempts, correct)


def topic_tally(rows: Iterable[TopicDay]) -> Tally:
    """The total of ``rows`` of one topic: an attempt counts in each of its topics."""
    found = list(rows)
    return Tally(sum(row.attempts for row in found), sum(row.correct for row in found))


def week_tally(document: ReportDocument) -> Tally:
    """The total of the reported week."""
    return tally(row for row in known_days(document) if row.date >= document.week_start)


def daily_tallies(document: ReportDocument) -> tuple[tuple[dt.date, Tally], ...]:
    """The totals of Monday to Sunday of the reported week, including days without answers."""
    days = [document.week_start + dt.timedelta(days=i) for i in range(7)]
    rows = known_days(document)
    return tuple((day, tally(row for row in rows if row.date == day)) for day in days)


def weekly_tallies(rows: Iterable[TopicDay]) -> tuple[tuple[dt.date, Tally], ...]:
    """The totals of the weeks that have answers, each with its Monday, oldest first."""
    weeks: dict[dt.date, list[TopicDay]] = defaultdict(list)
    for row in rows:
        weeks[row.date - dt.timedelta(days=row.date.weekday())].append(row)
    totals = ((monday, tally(weeks[monday])) for monday in sorted(weeks))
    return tuple((monday, total) for monday, total in totals if total.attempts)


def topic_summaries(document: ReportDocument) -> tuple[TopicSummary, ...]:
    """Topics with answers, sorted by answers in the week, then answers in the period, then name."""
    by_topic: dict[str, list[TopicDay]] = defaultdict(list)
    for row in known_days(document):
        by_topic[row.topic_id].append(row)
    summaries = (_topic_summary(document, t, rows=rows) for t, rows in by_topic.items())
    answered = (s for s in summaries if s.period.attempts)
    return tuple(sorted(answered, key=lambda s: (-s.week.attempts, -s.period.attempts, s.topic_id)))


def _topic_summary(document: ReportDocument, topic_id: str, *, rows: list[TopicDay]) -> TopicSummary:
    theta, theta_sd = _topic_ability(document, topic_id, rows=rows)
    return TopicSummary(
        topic_id,
        topic_tally(r for r in rows if r.date >= document.week_start),
        period=topic_tally(rows),
        typical_time_ms=_typical_time_ms(rows),
        theta=theta,
        theta_sd=theta_sd,
    )


def _topic_ability(
    document: ReportDocument, topic_id: str, *, rows: list[TopicDay]
) -> tuple[float | None, float | None]:
    """The ability at the end of the week; in a document of another system the newest of its days."""
    known = document.topic_abilities.get(topic_id)
    if known is not None:
        return known.theta, known.se
    newest = max((r for r in rows if r.theta_estimate is not None), key=lambda r: r.date, default=None)
    return (newest.theta_estimate, newest.theta_sd) if newest else (None, None)


def _typical_time_ms(rows: list[TopicDay]) -> float | None:
    """Mean of the daily medians, weighted by the answers of each day."""
    timed = [(r.rt_median, r.attempts) for r in rows if r.rt_median and r.attempts]
    weight = sum(n for _, n in timed)
    return sum(median * n for median, n in timed) / weight if weight else None
