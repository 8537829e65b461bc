"""Turns the smoothed states into rows of `ability_state` and `ability_topic_state`."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.assets.psychometrics.ability.history import History, day_of, newest_day
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.ability.smoothing import Change, LevelWeeks, TopicAbilities

DAYS_PER_WEEK = 7.0


def level_rows(
    levels: LevelWeeks,
    change: Change,
    *,
    gain: Change,
    earlier_at: dt.datetime,
    history: History,
    week: Week,
    present: NDArray[np.bool_],
    run_id: str | None,
) -> pd.DataFrame:
    """One row per present student. Slopes are published by the week.

    ``levels`` has two week ends, ``earlier_at`` and the as-of instant; ``gain`` is the change between the two.
    """
    keep = present[levels.student] & (levels.week == 1)
    student = levels.student[keep]
    earlier = np.full((2, len(history.users)), np.nan)
    before = levels.week == 0
    earlier[:, levels.student[before]] = levels.level[before], levels.level_se[before]
    count = np.bincount(history.answers.student, minlength=len(history.users))
    return pd.DataFrame(
        {
            "user_id": history.users[student],
            "week_start": week.start,
            "level": levels.level[keep],
            "se": levels.level_se[keep],
            "slope": levels.slope[keep] * DAYS_PER_WEEK,
            "slope_se": levels.slope_se[keep] * DAYS_PER_WEEK,
            "level_slope_covariance": levels.level_slope_covariance[keep] * DAYS_PER_WEEK,
            "change": change.difference[student],
            "change_se": change.se[student],
            "earlier_at": earlier_at,
            "earlier_level": earlier[0, student],
            "earlier_se": earlier[1, student],
            "gain_se": np.where(np.isnan(earlier[0]), np.nan, gain.se)[student],
            "n_answers": count[student],
            "answered_at": _instants(history.newest[student]),
            "fitted_at": week.as_of,
            "run_id": run_id,
        }
    )


def named_topics(topics: TopicAbilities, *, history: History, present: NDArray[np.bool_]) -> TopicAbilities:
    """The topic abilities that are published: of present students, in topics that have a name."""
    return topics.take(present[topics.student] & (topics.topic < len(history.topics)))


def topic_rows(
    topics: TopicAbilities, next_right: NDArray[np.float64], *, history: History, week: Week, run_id: str | None
) -> pd.DataFrame:
    """One row per student and topic; ``next_right`` (rows,) is P(the next answer in the topic is right)."""
    answers, n_codes = history.answers, len(history.topics) + 1
    student, topic = topics.student, topics.topic
    pair, at = np.unique(answers.student.astype(np.int64) * n_codes + answers.topic, return_inverse=True)
    newest = newest_day(answers, at, n=len(pair))
    slot = np.searchsorted(pair, student.astype(np.int64) * n_codes + topic)
    return pd.DataFrame(
        {
            "user_id": history.users[student],
            "topic_id": history.topics[topic],
            "week_start": week.start,
            "deviation": topics.deviation,
            "deviation_se": topics.deviation_se,
            "ability": topics.ability,
            "se": topics.ability_se,
            "next_right": next_right,
            "n_answers": np.bincount(at, minlength=len(pair))[slot],
            "answered_at": _instants(newest[slot]),
            "fitted_at": week.as_of,
            "run_id": run_id,
        }
    )


def _instants(days: NDArray[np.float64]) -> pd.DatetimeIndex:
    return pd.to_datetime(np.round(days * 86400.0 * 1e6).astype(np.int64), unit="us", utc=True)


def days_of(week: Week, *, before: int) -> float:
    """The model's day of the instant that many local days before the as-of instant."""
    return day_of(week.days_before(before))
