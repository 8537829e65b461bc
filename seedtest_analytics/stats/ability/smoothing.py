"""The backward smoother: level, slope and topic deviations at week ends, given all answers; and change between windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import LAST_DAY, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.evidence import Evidence
from seedtest_analytics.stats.checks import array_of, count, numbers
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes, usable_cores

Codes = NDArray[np.int32]

WEEK = 7.0
_LANES_PER_CORE = 4


@dataclass(frozen=True, eq=False)
class LevelWeeks:
    """One row per student and week end, from the week of the first answer on; arrays are (rows,).

    ``week`` is the position in the given week ends. Slopes are in logits a day; ``level_slope_covariance`` belongs to
    the newest week with answers. ``silent_days`` is the time since the last answer before the week end.
    """

    student: Codes
    week: Codes
    level: Floats
    level_se: Floats
    slope: Floats
    slope_se: Floats
    level_slope_covariance: Floats
    silent_days: Floats


@dataclass(frozen=True, eq=False)
class TopicAbilities:
    """One row per student and topic, or per student, topic and week with answers; arrays are (rows,).

    ``day`` is the mean time of the newest week's answers. ``deviation`` is from the level;
    ``ability`` is level + deviation.
    """

    student: Codes
    topic: Codes
    day: Floats
    deviation: Floats
    deviation_se: Floats
    ability: Floats
    ability_se: Floats

    def take(self, rows: NDArray[Any]) -> TopicAbilities:
        """The rows of a mask, or at positions."""
        return TopicAbilities(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, eq=False)
class Smoothed:
    """``levels`` by week end, ``topic_weeks`` in every week with answers (no rows where they are left out), and ``topics``
    at the last week end."""

    levels: LevelWeeks
    topic_weeks: TopicAbilities
    topics: TopicAbilities
    n_iterations: int


@dataclass(frozen=True, eq=False)
class Change:
    """(n_students,) mean level in the recent window minus that in the earlier one, and its SE; NaN without answers."""

    difference: Floats
    se: Floats


def smooth(
    evidence: Evidence,
    week_ends: ArrayLike,
    *,
    topic_weeks: bool = True,
    students: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Smoothed:
    """Levels and topics of all students, given all answers of a pass of the filter.

    Items have the difficulties that all answers together give them, without the student's own answer, so that no answer
    counts twice. A week end after the last answer keeps the last level; its interval widens.

    Args:
        evidence: of the answers up to the last week end.
        week_ends: (n_weeks,) ascending days, as exclusive ends of weeks.
        topic_weeks: whether the result has them; they are most of its memory.
        students: the first code and the one after the last, where not all students are wanted at once.
        threads: None for all cores that the process may use. Results do not depend on it.

    Raises:
        AbilityDataError: if week ends are not finite numbers that ascend, answers follow the last one, ``students`` are not
            two ascending codes, or ``threads`` is not a whole number from 1.
    """
    from seedtest_analytics.stats.ability import smoother_kernels as kernels

    _check_threads(threads)
    ends = numbers(
        np.atleast_1d(array_of(week_ends, "week_ends", error=AbilityDataError)), "week end", error=AbilityDataError
    )
    answers = evidence.answers
    if len(ends) == 0 or np.abs(ends).max() > LAST_DAY or not bool((np.diff(ends) > 0).all()):
        raise AbilityDataError("week_ends must be finite and ascend; give at least one")
    _refuse_later(evidence, float(ends[-1]), name="the last week end")
    task = _Task.of(evidence, origin=float(ends[0]), students=students)
    start = task.start
    is_present = np.diff(start) > 0
    first_day = np.full(len(is_present), np.inf)
    first_day[is_present] = answers.day[evidence.order[start[:-1][is_present]]]
    n_rows = np.where(is_present, len(ends) - np.searchsorted(ends, first_day, side="right"), 0)
    row_start = np.r_[0, np.cumsum(n_rows)]
    n_cells, n_topics = task.counts(threads, cells=topic_weeks)
    cell_start, topic_start = np.r_[0, np.cumsum(n_cells)], np.r_[0, np.cumsum(n_topics)]
    levels = np.empty((row_start[-1], 6))
    cell_codes, cells = np.empty((cell_start[-1], 2), dtype=np.int32), np.empty((cell_start[-1], 5))
    topic_codes, topics = np.empty((topic_start[-1], 2), dtype=np.int32), np.empty((topic_start[-1], 5))
    kernel: Any = kernels.smooth_students
    iterations = task.in_lanes(
        lambda first, last: kernel(
            first,
            last,
            *task.answers,
            *task.settings,
            ends,
            row_start,
            levels,
            cell_start,
            cell_codes,
            cells,
            topic_start,
            topic_codes,
            topics,
        ),
        threads,
    )
    for codes in (cell_codes, topic_codes):
        codes[:, 0] += task.first
    student = np.repeat(np.arange(len(n_rows), dtype=np.int32) + np.int32(task.first), n_rows)
    week = (np.arange(row_start[-1]) - np.repeat(row_start[1:], n_rows) + len(ends)).astype(np.int32)
    return Smoothed(
        LevelWeeks(
            student,
            week,
            level=levels[:, 0],
            level_se=levels[:, 1],
            slope=levels[:, 2],
            slope_se=levels[:, 3],
            level_slope_covariance=levels[:, 4],
            silent_days=levels[:, 5],
        ),
        topic_weeks=TopicAbilities(*cell_codes.T, *cells.T),
        topics=TopicAbilities(*topic_codes.T, *topics.T),
        n_iterations=max(iterations, default=0),
    )


def _check_threads(threads: int | None) -> None:
    if threads is not None:
        count(threads, "threads", low=1, error=AbilityDataError)


def change_between(
    evidence: Evidence, earlier: tuple[float, float], *, recent: tuple[float, float], threads: int | None = None
) -> Change:
    """Mean level in ``recent`` minus mean level in ``earlier``, given all answers, with the covariance of the two.

    Both levels use all answers, so the amount of practice in either window does not bias the difference.

    Args:
        evidence: of the answers up to the end of ``recent``.
        earlier, recent: first day and exclusive last day of each window.

    Raises:
        AbilityDataError: for a window that is not two ascending days, answers after the recent window, or ``threads`` that is
            not a whole number from 1.
    """
    _check_threads(threads)
    for name, window in (("earlier", earlier), ("recent", recent)):
        begin, end = numbers(window, name, like=(2,), low=-LAST_DAY, high=LAST_DAY, error=AbilityDataError).tolist()
        if not begin < end:
            raise AbilityDataError(f"the {name} window ends at day {end:g}, not after its begin at day {begin:g}")
    _refuse_later(evidence, recent[1], name="the end of the recent window")
    dates, weights = [], []
    for (begin, end), sign in ((earlier, -1.0), (recent, 1.0)):
        n = max(1, round(end - begin))
        dates.append(begin + (np.arange(n) + 0.5) * (end - begin) / n)
        weights.append(np.full(n, sign / n))
    values, variances = _combined(
        evidence, np.concatenate(dates), weights=np.concatenate(weights), origin=recent[1], threads=threads
    )
    return Change(values, np.sqrt(variances))


def levels_before(evidence: Evidence) -> Floats:
    """(n_students,) level before the student's first answer, given all answers; NaN without answers."""
    begin = float(evidence.answers.day[0])
    return _combined(evidence, np.array([begin]), weights=np.ones(1), origin=begin, threads=None)[0]


def _combined(
    evidence: Evidence, dates: Floats, *, weights: Floats, origin: float, threads: int | None
) -> tuple[Floats, Floats]:
    """(n_students,) mean and variance of Σ weight · level(date)."""
    from seedtest_analytics.stats.ability import smoother_kernels as kernels

    task = _Task.of(evidence, origin=origin)
    values, variances = (np.empty(evidence.n_students) for _ in range(2))
    kernel: Any = kernels.combine_students
    task.in_lanes(
        lambda first, last: kernel(first, last, *task.answers, *task.settings, dates, weights, values, variances),
        threads,
    )
    return values, variances


@dataclass(frozen=True, eq=False)
class _Task:
    """The answers of the students from ``first`` on, with what the smoother needs to know of each."""

    first: int
    start: NDArray[np.int64]
    answers: tuple[Any, ...]
    settings: tuple[Any, ...]

    @classmethod
    def of(cls, evidence: Evidence, *, origin: float, students: tuple[int, int] | None = None) -> _Task:
        answers, h = evidence.answers, evidence.hyperparameters.as_array()
        first, last = (0, evidence.n_students) if students is None else _range_of(students, evidence.n_students)
        start = evidence.start[first : last + 1]
        most = int(np.diff(start).max(initial=0))
        by_answer = (
            start,
            evidence.order,
            answers.topic,
            answers.day,
            answers.correct,
            answers.item,
            evidence.earlier,
            evidence.item_precision,
            evidence.item_shift,
            evidence.items,
            np.log1p(np.arange(most + 1.0)),
        )
        return cls(first, start, answers=by_answer, settings=(h, origin, WEEK, max(evidence.n_topics, 1)))

    def counts(self, threads: int | None, *, cells: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By student: topics and weeks with answers to them (no entries without ``cells``), and topics."""
        from seedtest_analytics.stats.ability import layout_kernels as layout

        start, order, topic, day = self.answers[:4]
        if not cells:
            return np.zeros(0, dtype=np.int64), layout.count_topics(start, order, topic, self.settings[-1])
        parts = self.in_lanes(
            lambda first, last: layout.count_cells(first, last, start, order, topic, day, *self.settings[1:]), threads
        )
        n_cells, n_topics = (np.concatenate([part[k] for part in parts]) for k in range(2))
        return n_cells, n_topics

    def in_lanes(self, work: Callable[[int, int], Any], threads: int | None) -> list[Any]:
        n_lanes = _LANES_PER_CORE * usable_cores()
        bounds = balanced_rows(self.start - self.start[0], n_lanes)
        return list(run_lanes(lambda lane: work(bounds[lane], bounds[lane + 1]), n_lanes, threads=threads))


def _range_of(students: tuple[int, int], n_students: int) -> tuple[int, int]:
    first, last = (int(code) for code in numbers(students, "students", like=(2,), error=AbilityDataError))
    if not 0 <= first <= last <= n_students:
        raise AbilityDataError(f"students must be two ascending codes from 0 to {n_students}, not {first} and {last}")
    return first, last


def _refuse_later(evidence: Evidence, end: float, *, name: str) -> None:
    answers = evidence.answers
    n_late = len(answers) - int(np.searchsorted(answers.day, end, side="left"))
    if n_late:
        raise AbilityDataError(f"{n_late} answers are at or after {name} (day {end:g}); leave them out of the pass")
