"""Occasions: stretches of a student's answers that are short enough to have one ability.

A calibration gives each row one ability. Over months an ability moves, and a row of months mixes the student of the first
week with that of the last: answers then seem to depend less on ability than they do. With the population free and anchors
fixed, that draws difficulties and abilities together. A row for each occasion keeps them apart.

Rows of different weeks are compared by their items alone. That is right where the same items are answered all the time. Where
items follow each other, as in a course, the students who stay would make its last items look easy. There a student needs one
ability for all answers, because it is what links the items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import array_of, codes, count, numbers
from seedtest_analytics.stats.irt.errors import IrtDataError

LARGEST_STUDENT = 2**31 - 1
LARGEST_DAY = 4_000_000
"""Days from 1970-01-01: beyond the years that PostgreSQL's dates and ours have."""
MOST_EXPLAINED = 0.1
"""Items that explain more of the variance of answering times follow each other."""
MIN_ANSWERS = 10
"""Answers after which a new occasion may begin: a row of few answers says nothing about slopes."""


def occasions(student: ArrayLike, day: ArrayLike, *, days: int, min_answers: int = MIN_ANSWERS) -> NDArray[np.int64]:
    """(n,) number of the occasion of each answer, ascending with time for each student.

    Time has periods of ``days`` days that begin at day 0 for all students, so that later answers leave earlier occasions
    as they are. A period begins a new occasion if the student's earlier answers have passed a multiple of
    ``min_answers`` since the last one began.

    Args:
        student: (n,) codes from 0.
        day: (n,) days of the answers since one day for all, in any order.

    Raises:
        IrtDataError: for columns of different lengths, codes or days that are missing, not numbers or out of range, and
            ``days`` or ``min_answers`` that are not whole numbers from 1.
    """
    count(days, "days", low=1, error=IrtDataError)
    count(min_answers, "min_answers", low=1, error=IrtDataError)
    student, day = (array_of(values, name, error=IrtDataError) for values, name in ((student, "student"), (day, "day")))
    student = numbers(student, "student", ndim=1, low=0, high=LARGEST_STUDENT, error=IrtDataError).astype(np.int64)
    day = numbers(day, "day", like=student.shape, low=-LARGEST_DAY, high=LARGEST_DAY, error=IrtDataError)
    if student.size == 0:
        return np.zeros(0, dtype=np.int64)
    period = np.floor(day).astype(np.int64) // days
    first = int(period.min())
    width = int(period.max()) - first + 1
    cell, cell_of, n = np.unique(student * width + (period - first), return_inverse=True, return_counts=True)
    before = np.cumsum(n) - n
    owner = cell // width
    begins = np.r_[True, owner[1:] != owner[:-1]]
    own = before - np.maximum.accumulate(np.where(begins, before, 0))
    return np.asarray((own // min_answers)[cell_of])


def explained_by_items(item: ArrayLike, day: ArrayLike) -> float:
    """The share of the variance of answering times that lies between items: 0 where all items are answered all the time.

    The intraclass correlation by analysis of variance, at least 0. It is 1 where no item has two answers, because then
    nothing is known.

    Args:
        item: (n,) codes of any type.
        day: (n,) times of the answers in days.

    Raises:
        IrtDataError: for columns of different lengths, missing items, and days that are missing, not numbers or out of range.
    """
    item = array_of(item, "item", error=IrtDataError)
    code, n_items = codes(item, "item", length=item.size, error=IrtDataError)
    day = numbers(day, "day", like=code.shape, low=-LARGEST_DAY, high=LARGEST_DAY, error=IrtDataError)
    n_answers = len(code)
    if n_answers <= n_items or n_items < 2:
        return float(n_answers <= n_items)
    n = np.bincount(code, minlength=n_items)
    from_mean = day - day.mean()
    mean = np.bincount(code, weights=from_mean, minlength=n_items) / n
    between = float((n * mean**2).sum()) / (n_items - 1)
    within = float(((from_mean - mean[code]) ** 2).sum()) / (n_answers - n_items)
    size = (n_answers - float((n.astype(np.float64) ** 2).sum()) / n_answers) / (n_items - 1)
    total = between + (size - 1.0) * within
    return max(0.0, (between - within) / total) if total > 0.0 else 0.0
