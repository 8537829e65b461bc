"""Sessions, attempts and later corrections of a cell of students."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seedtest_analytics.stats.simulate.config import SLUMP_WEEKS_AGO, CohortConfig
from seedtest_analytics.stats.simulate.items import ItemBank, probability_correct
from seedtest_analytics.stats.simulate.students import ACTIVE, Students, of_kind

WEEKDAY_WEIGHTS = np.array([1.0, 1.1, 1.1, 1.0, 0.7, 0.5, 0.8])
HOUR_WEIGHTS = np.array([0] * 6 + [1, 2, 2, 1, 1, 1, 2, 1, 1, 3, 5, 6, 6, 7, 7, 5, 2] + [0], float)
"""By local hour, 0 to 23. A session that starts by 22:59 and lasts less than an hour ends on the same day."""

MAX_QUESTIONS = 40
MAX_SESSION_MS = 55 * 60_000
MIN_PAUSE_US = 60 * 60 * 1_000_000
MEDIAN_TIME_MS = 25_000
MAX_HINTS = 3
MAX_CORRECTION_DAYS = 21
UNANSWERED, NOT_RECORDED = -1, -1


@dataclass(frozen=True)
class Sessions:
    """S sessions by student and start; times in µs since 1970. ``number`` counts a student's sessions from 1."""

    student: np.ndarray
    week: np.ndarray
    number: np.ndarray
    started_us: np.ndarray
    ended_us: np.ndarray


@dataclass(frozen=True)
class Attempts:
    """M attempts in the order in which they were made, student by student.

    ``session``, ``student`` and ``item`` (of the bank) are indices. ``correct``: 1, 0 or -1 (unanswered).
    ``response_time_ms``: -1 where not recorded. ``practice``: number of the student's earlier attempts at the item.
    """

    session: np.ndarray
    student: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    response_time_ms: np.ndarray
    hints_used: np.ndarray
    completed_us: np.ndarray
    practice: np.ndarray


@dataclass(frozen=True)
class Corrections:
    """Attempts (indices) that a later scoring of their exam changed to right, and when (µs since 1970)."""

    attempt: np.ndarray
    rescored_us: np.ndarray


def draw_sessions(config: CohortConfig, cell: int, *, students: Students, hours: np.ndarray) -> Sessions:
    """Sessions of the active weeks, at least one in a student's first week. ``ended_us`` is still the start."""
    rng = config.rng("sess", cell)
    rate = config.sessions_per_week * np.exp(0.4 * students.engagement - 0.08) * of_kind(config.activity, cell)
    counts = rng.poisson(rate[:, None], students.state.shape)
    started = np.flatnonzero(students.start_week >= 0)
    first = students.start_week[started]
    counts[started, first] = np.maximum(counts[started, first], 1)
    counts[students.state != ACTIVE] = 0
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    student, week = np.divmod(cells, config.n_weeks)
    day = _choice(rng, WEEKDAY_WEIGHTS, size=len(cells))
    hour = _choice(rng, HOUR_WEIGHTS, size=len(cells))
    start = hours[week, day, hour] + rng.integers(0, 3600, len(cells)) * 1_000_000
    order = np.lexsort((start, student))
    student, week, start = student[order], week[order], start[order]
    # Two sessions of one student within an hour would overlap.
    is_apart = np.ones(len(start), bool)
    is_apart[1:] = (student[1:] != student[:-1]) | (start[1:] - start[:-1] >= MIN_PAUSE_US)
    is_apart &= start < config.end_us
    student, week, start = student[is_apart], week[is_apart], start[is_apart]
    return Sessions(student, week, number=_position_in_group(student) + 1, started_us=start, ended_us=start)


def _choice(rng: np.random.Generator, weights: np.ndarray, *, size: int) -> np.ndarray:
    return np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(size), side="right")


def _position_in_group(group: np.ndarray) -> np.ndarray:
    """0, 1, 2, … within runs of equal values."""
    index = np.arange(len(group))
    is_first = np.ones(len(group), bool)
    is_first[1:] = group[1:] != group[:-1]
    return index - np.maximum.accumulate(np.where(is_first, index, 0))


def draw_attempts(
    config: CohortConfig, cell: int, *, students: Students, items: ItemBank, sessions: Sessions
) -> tuple[Sessions, Attempts]:
    """Questions, answers, times and hints of every session, and the sessions with their ends."""
    rng = config.rng("atte", cell)
    n_sessions = len(sessions.student)
    questions = 1 + rng.poisson(max(config.questions_per_session - 1, 0), n_sessions)
    session = np.repeat(np.arange(n_sessions), np.minimum(questions, MAX_QUESTIONS))
    student, week = sessions.student[session], sessions.week[session]
    item = _draw_items_met(config, rng, n_sessions=n_sessions, session=session, student=student)
    practice = _earlier_attempts(student, item)
    ability = students.theta_logit[student, week] + students.topic_deviation_logit[student, items.topic[item]]
    ability = ability + config.repeat_gain_logit * (practice > 0) + _events_logit(config, items, item=item, week=week)
    n = len(session)
    is_right = rng.random(n) < probability_correct(items, item, theta=ability)
    is_answered = rng.random(n) >= config.share_unanswered
    time_ms = _response_times(rng, students, items=items, student=student, item=item, practice=practice)
    hints = np.minimum(rng.poisson(np.where(is_right, 0.1, 0.6)), MAX_HINTS)
    is_timed = rng.random(n) >= config.share_time_missing
    elapsed_ms = _sum_in_group(time_ms, session)
    fits = (elapsed_ms <= MAX_SESSION_MS) | (_position_in_group(session) == 0)
    attempts = Attempts(
        session=session[fits],
        student=student[fits],
        item=item[fits],
        correct=np.where(is_answered, is_right, UNANSWERED)[fits].astype(np.int8),
        response_time_ms=np.where(is_timed, time_ms, NOT_RECORDED)[fits].astype(np.int32),
        hints_used=hints[fits].astype(np.int16),
        completed_us=(sessions.started_us[session] + 1000 * elapsed_ms)[fits],
        practice=practice[fits].astype(np.int32),
    )
    ended = sessions.started_us.copy()
    np.maximum.at(ended, attempts.session, attempts.completed_us)
    return replace(sessions, ended_us=ended), attempts


def _events_logit(config: CohortConfig, items: ItemBank, *, item: np.ndarray, week: np.ndarray) -> np.ndarray:
    """What drift of the items and the slump add to the ability, for each attempt."""
    drifting = np.flatnonzero(~items.is_anchor)[: config.n_drifting_items]
    is_easier = np.isin(item, drifting) & (week >= config.n_weeks - config.drift_weeks)
    is_slump = (items.topic[item] == 0) & (week == config.n_weeks - 1 - SLUMP_WEEKS_AGO)
    return np.asarray(-config.drift_logit * is_easier - config.slump_logit * is_slump)


def _draw_items_met(
    config: CohortConfig, rng: np.random.Generator, *, n_sessions: int, session: np.ndarray, student: np.ndarray
) -> np.ndarray:
    """Three questions in four belong to the session's topic; some repeat an earlier question of the student."""
    n, per_topic = len(session), config.items_per_topic
    focus = rng.integers(0, config.n_topics, n_sessions)[session]
    topic = np.where(rng.random(n) < 0.75, focus, rng.integers(0, config.n_topics, n))
    item = topic * per_topic + rng.integers(0, per_topic, n)
    position = _position_in_group(student)
    is_repeat = (rng.random(n) < config.share_repeated) & (position > 0)
    back = np.floor(rng.random(n) * position).astype(np.int64)
    index = np.arange(n)
    source = np.where(is_repeat, index - position + back, index)
    while True:  # a repeat of a repeat shows the first question
        further = source[source]
        if np.array_equal(further, source):
            return item[source]
        source = further


def _earlier_attempts(student: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Number of times that the student met the item before, in the given order."""
    order = np.lexsort((np.arange(len(item)), item, student))
    key = student[order] * (int(item.max(initial=0)) + 1) + item[order]
    earlier = np.empty(len(item), np.int64)
    earlier[order] = _position_in_group(key)
    return earlier


def _response_times(
    rng: np.random.Generator,
    students: Students,
    *,
    items: ItemBank,
    student: np.ndarray,
    item: np.ndarray,
    practice: np.ndarray,
) -> np.ndarray:
    """Log-normal milliseconds, shorter with every attempt of the student and at an item met before."""
    log_ms = np.log(MEDIAN_TIME_MS) + items.log_time[item] - students.speed[student]
    log_ms = log_ms - 0.08 * np.log1p(_position_in_group(student) / 50) - 0.2 * (practice > 0)
    log_ms = log_ms + rng.normal(0, 0.45, len(item))
    return np.asarray(np.clip(np.rint(np.exp(log_ms)), 1_500, 600_000), dtype=np.int64)


def _sum_in_group(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Running sum within runs of equal ``group``, including the value itself."""
    total = np.cumsum(values)
    start = np.arange(len(group)) - _position_in_group(group)
    return np.asarray(total - total[start] + values[start])


def draw_corrections(config: CohortConfig, cell: int, *, sessions: Sessions, attempts: Attempts) -> Corrections:
    """In some sessions the first wrong answer becomes right, 1 to 21 days later and before the end of the cohort."""
    rng = config.rng("corr", cell)
    n_sessions = len(sessions.student)
    is_chosen = rng.random(n_sessions) < config.share_corrected
    delay_us = rng.integers(86_400, MAX_CORRECTION_DAYS * 86_400, n_sessions) * 1_000_000
    wrong = np.flatnonzero((attempts.correct == 0) & is_chosen[attempts.session])
    session, first = np.unique(attempts.session[wrong], return_index=True)
    rescored = sessions.ended_us[session] + delay_us[session]
    is_known = rescored < config.end_us
    return Corrections(wrong[first][is_known], rescored[is_known])
