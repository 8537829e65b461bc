"""Weekly counts, right of answered, in the form that the binomial growth model needs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import array_of
from seedtest_analytics.stats.growth.data import (
    FEW_STUDENTS,
    check_counts,
    check_finite,
    check_lengths,
    check_students,
    name_rows,
    numeric,
)
from seedtest_analytics.stats.growth.errors import GrowthDataError


@dataclass(frozen=True)
class CountData:
    """A cohort's weekly counts, sorted by student.

    Attributes:
        students: ids in ascending order, shape (J,).
        starts: first row of each student, and the number of rows, shape (J + 1,).
        week, answered, right: shape (N,), as floats.
        n_scores: N.
        week_mean: mean week over the rows, where the intercept's prior acts.
        weeks: distinct weeks, ascending.
        warnings: for the reader of the fit.
    """

    students: np.ndarray
    starts: np.ndarray
    week: np.ndarray
    answered: np.ndarray
    right: np.ndarray
    n_scores: int
    week_mean: float
    weeks: np.ndarray
    warnings: tuple[str, ...]

    @property
    def n_students(self) -> int:
        """Students in the fit."""
        return len(self.students)

    @property
    def last_week(self) -> np.ndarray:
        """Last week of each student, shape (J,)."""
        return np.asarray(self.week[self.starts[1:] - 1])


def count_data(student: ArrayLike, week: ArrayLike, *, answered: ArrayLike, right: ArrayLike) -> CountData:
    """Check and sort long arrays of weekly counts.

    Args:
        student: id of each row, shape (N,), any sortable type.
        week: calendar distance in weeks from a common origin.
        answered: answers in the week, 1 or more.
        right: right answers among them.

    Raises:
        GrowthDataError: shapes differ, a value is missing or not a count, there are fewer than two students or three
            distinct weeks, or all answers are right or all wrong.
    """
    ids = pd.Series(array_of(student, "student", error=GrowthDataError))
    weeks, tried, hit = (
        numeric(name, column) for name, column in (("week", week), ("answered", answered), ("right", right))
    )
    check_lengths(student=ids, week=weeks, answered=tried, right=hit)
    check_students(ids)
    for name, values in (("week", weeks), ("answered", tried), ("right", hit)):
        check_finite(name, values)
    bad = np.flatnonzero((tried < 1) | (tried % 1 != 0) | (hit % 1 != 0) | (hit < 0) | (hit > tried))
    if len(bad):
        raise GrowthDataError(
            f"invalid counts in {len(bad)} rows: need 1 <= answered and 0 <= right <= answered ({name_rows(bad)})"
        )
    codes, students = pd.factorize(ids, sort=True)
    distinct_weeks = np.unique(weeks)
    check_counts(len(students), distinct_weeks)
    if hit.sum() in (0, tried.sum()):
        raise GrowthDataError("every answer is right, or every one wrong: growth cannot be estimated; check the source")
    order = np.lexsort((weeks, codes))
    few = f"only {len(students)} students: the spread between them comes mostly from the prior"
    return CountData(
        students=np.asarray(students),
        starts=np.append(0, np.cumsum(np.bincount(codes, minlength=len(students)))),
        week=weeks[order],
        answered=tried[order],
        right=hit[order],
        n_scores=len(weeks),
        week_mean=float(weeks.mean()),
        weeks=distinct_weeks,
        warnings=(few,) if len(students) < FEW_STUDENTS else (),
    )
