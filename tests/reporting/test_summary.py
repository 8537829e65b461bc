"""Totals of topic rows: cuts at the week, Wilson's interval, typical times."""

from __future__ import annotations

import datetime as dt

import pytest

from seedtest_analytics.reporting.summary import (
    Tally,
    daily_tallies,
    known_abilities,
    tally,
    topic_summaries,
    week_tally,
    weekly_tallies,
    wilson_interval,
)
from tests.reporting.documents import WEEK, document, topic_day


def test_totals_cut_at_the_week_and_know_every_day() -> None:
    rows = [
        topic_day("a", -7, 4, 1),
        topic_day("a", 0, 3, 2),
        topic_day("b", 0, 2, 2),
        topic_day("b", 6, 5, 0),
        topic_day("b", 7, 100, 100),  # the week after: not in this report
    ]
    doc = document(topic_features=rows)
    assert week_tally(doc) == Tally(10, 4)
    assert [t.attempts for _, t in daily_tallies(doc)] == [5, 0, 0, 0, 0, 0, 5]
    assert [(s.topic_id, s.week, s.period) for s in topic_summaries(doc)] == [
        ("b", Tally(7, 2), Tally(7, 2)),
        ("a", Tally(3, 2), Tally(7, 3)),
    ]
    assert [m for m, _ in weekly_tallies(doc.topic_features[:4])] == [WEEK - dt.timedelta(7), WEEK]


def test_an_answer_with_two_topics_counts_in_each_and_once_in_the_total() -> None:
    rows = [
        topic_day("a", 0, 4, 3, attempts_once=4, correct_once=3),
        topic_day("b", 0, 3, 1, attempts_once=1, correct_once=0),
    ]
    doc = document(topic_features=rows)
    assert week_tally(doc) == tally(doc.topic_features) == Tally(5, 3)
    assert [(s.topic_id, s.week) for s in topic_summaries(doc)] == [("a", Tally(4, 3)), ("b", Tally(3, 1))]


def test_wilson_interval_agrees_with_published_values() -> None:
    """Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3."""
    for (correct, n), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson_interval(correct, n) == pytest.approx(expected, abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_typical_time_weighs_days_by_answers() -> None:
    rows = [
        topic_day("a", 0, 1, 1, rt_median=10_000),
        topic_day("a", 1, 3, 1, rt_median=30_000),
        topic_day("a", 2, 9, 9),
    ]
    assert topic_summaries(document(topic_features=rows))[0].typical_time_ms == 25_000


def test_a_tally_adds_subtracts_and_shares() -> None:
    rows = document(topic_features=[topic_day("a", 0, 4, 1), topic_day("b", 1, 6, 4)]).topic_features
    assert tally(rows) == Tally(10, 5)
    assert tally([]).share is None
    rest = Tally(10, 5).without(Tally(4, 1))
    assert (rest, rest.share, rest.interval) == (Tally(6, 4), 4 / 6, wilson_interval(4, 6))


def test_abilities_are_sorted_and_cut_at_the_sunday() -> None:
    days = [WEEK + dt.timedelta(days=d) for d in (7, 6, -1)]
    doc = document(ability_trend=[{"date": day, "theta": 0.1} for day in days])
    assert [p.date for p in known_abilities(doc)] == [days[2], days[1]]


def test_a_topic_has_its_newest_ability() -> None:
    rows = [
        topic_day("a", 2, 1, 1, theta_estimate=0.4, theta_sd=0.2),
        topic_day("a", 3, 1, 1),
        topic_day("a", 0, 1, 1, theta_estimate=9.0),
    ]
    (topic,) = topic_summaries(document(topic_features=rows))
    assert (topic.theta, topic.theta_sd, topic.typical_time_ms) == (0.4, 0.2, None)
