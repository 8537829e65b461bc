"""Weekly scores in the form that the growth model needs: sums per student, then sums per design.

With the student effects integrated out, the likelihood depends on a student only through n, Σw, Σw², Σy, Σwy, Σy².
Students with equal (n, Σw, Σw²), a *design*, share one decomposition and enter through sums over them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import LARGEST, array_of
from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.growth.errors import GrowthDataError

MIN_STUDENTS = 2
MIN_DISTINCT_WEEKS = 3
FEW_STUDENTS = 5
# The priors put nearly all mass below a few units, so scores far beyond would conflict with them.
UNIT_SCALE_LIMIT = 10.0
SHOWN_ROWS = 5


@dataclass(frozen=True)
class GrowthData:
    """Sufficient statistics of a cohort's weekly scores.

    Scores enter as residuals from the line `reference` (least squares over all rows), which keeps the sums of
    squares free of cancellation. A score with precision weight v has variance σ²/v; without weights v = 1.

    Attributes:
        students: ids in ascending order, shape (J,).
        statistics: shape (J, 6): Σv, Σvw, Σvw², Σve, Σvwe, Σve² with e the residual.
        design: index of each student's design, shape (J,).
        designs: shape (D, 9), in Fortran order: students, Σv, Σvw, Σvw², then the sums over the design's students of
            c0 = Σve, c1 = Σvwe, c0², c0 c1, c1².
        n_scores: rows used.
        log_weights: sum of log v over the rows.
        week_mean: mean week over the rows, where the intercept's prior acts.
        reference: intercept and slope of the subtracted line.
        last_week: last week of each student, shape (J,).
        weeks: distinct weeks, ascending.
        warnings: for the reader of the fit.
    """

    students: np.ndarray
    statistics: np.ndarray
    design: np.ndarray
    designs: np.ndarray
    n_scores: int
    log_weights: float
    week_mean: float
    reference: tuple[float, float]
    last_week: np.ndarray
    weeks: np.ndarray
    warnings: tuple[str, ...]

    @property
    def n_students(self) -> int:
        """Students in the fit."""
        return len(self.students)

    @property
    def n_designs(self) -> int:
        """Distinct (Σv, Σvw, Σvw²)."""
        return len(self.designs)

    @property
    def totals(self) -> np.ndarray:
        """Shape (7,): scores, Σve², Σve, Σvwe, Σv, Σvw, Σvw² over all rows."""
        s = self.statistics.sum(axis=0)
        return np.array([float(self.n_scores), s[5], s[3], s[4], s[0], s[1], s[2]])


def growth_data(
    student: ArrayLike, week: ArrayLike, *, score: ArrayLike, weight: ArrayLike | None = None
) -> GrowthData:
    """Reduce long arrays of weekly scores to what the gaussian growth model needs.

    Args:
        student: id of each row, shape (N,), any sortable type.
        week: calendar weeks from a common origin, shape (N,); missing weeks count as time.
        score: on a scale of about one unit (θ, accuracy), shape (N,).
        weight: relative precision of each score, such as its number of answers, shape (N,); > 0.

    Raises:
        GrowthDataError: shapes differ, a value is missing or not finite, a weight is not positive, there are fewer
            than two students or three distinct weeks, or all scores are equal.
    """
    ids = pd.Series(array_of(student, "student", error=GrowthDataError))
    weeks, scores = numeric("week", week), numeric("score", score)
    weights = None if weight is None else numeric("weight", weight)
    _check_rows(ids, weeks, score=scores, weight=weights)
    codes, students = pd.factorize(ids, sort=True)
    distinct_weeks = np.unique(weeks)
    _check_cohort(len(students), distinct_weeks, score=scores)

    reference = _reference_line(weeks, scores)
    v = np.ones(1) if weights is None else weights
    statistics, last_week = _student_sums(codes, weeks, scores, v, len(students), *reference)
    design, designs = _group_designs(statistics)
    return GrowthData(
        students=np.asarray(students),
        statistics=statistics,
        design=design,
        designs=designs,
        n_scores=len(scores),
        log_weights=0.0 if weights is None else float(np.log(weights).sum()),
        week_mean=float(weeks.mean()),
        reference=reference,
        last_week=last_week,
        weeks=distinct_weeks,
        warnings=_warnings(len(students), scores),
    )


def numeric(name: str, values: ArrayLike) -> np.ndarray:
    """The column as float64. Raises `GrowthDataError` where it is text or a list of lists."""
    try:
        return np.ascontiguousarray(array_of(values, name, error=GrowthDataError), dtype=float)
    except (TypeError, ValueError):
        raise GrowthDataError(f"{name}: the values must be numbers") from None


def check_finite(name: str, values: np.ndarray) -> None:
    """Raise `GrowthDataError` that names the first rows of `values` that are missing or infinite."""
    bad = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if len(bad):
        raise GrowthDataError(
            f"{name}: {len(bad)} of {len(values)} values are missing or infinite ({name_rows(bad)}); "
            "drop or repair these rows before the fit"
        )


def name_rows(rows: np.ndarray) -> str:
    """The first few row numbers for a message: `rows 3, 8, …`."""
    shown = ", ".join(str(row) for row in rows[:SHOWN_ROWS])
    return f"rows {shown}{', …' if len(rows) > SHOWN_ROWS else ''}"


def check_lengths(**columns: np.ndarray | pd.Series) -> None:
    """Raise `GrowthDataError` unless all columns are one-dimensional, of one length and not empty."""
    shapes = {name: np.shape(values) for name, values in columns.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise GrowthDataError(f"columns must be one-dimensional and of one length, not {shapes}")
    if 0 in next(iter(shapes.values())):
        raise GrowthDataError("there are no scores to fit; widen the look-back window or check the source")


def check_students(student: pd.Series) -> None:
    """Raise `GrowthDataError` that names the rows without a student id."""
    missing = np.flatnonzero(pd.isna(student))
    if len(missing):
        raise GrowthDataError(f"student: {len(missing)} rows have no id ({name_rows(missing)})")


def check_counts(n_students: int, distinct_weeks: np.ndarray) -> None:
    """Raise `GrowthDataError` where the model is not identified: one student, or fewer than three weeks."""
    if n_students < MIN_STUDENTS:
        raise GrowthDataError(
            f"a growth model compares students and there is {n_students}; "
            f"it needs at least {MIN_STUDENTS} (and {FEW_STUDENTS} for a useful estimate)"
        )
    if len(distinct_weeks) < MIN_DISTINCT_WEEKS:
        raise GrowthDataError(
            f"the scores cover {len(distinct_weeks)} distinct week(s); with fewer than {MIN_DISTINCT_WEEKS} a "
            "slope cannot be separated from noise: widen the look-back window"
        )


def _check_rows(student: pd.Series, week: np.ndarray, *, score: np.ndarray, weight: np.ndarray | None) -> None:
    columns: dict[str, np.ndarray | pd.Series] = {"student": student, "week": week, "score": score}
    if weight is not None:
        columns["weight"] = weight
    check_lengths(**columns)
    check_students(student)
    check_finite("week", week)
    check_finite("score", score)
    if weight is not None:
        check_finite("weight", weight)
        bad = np.flatnonzero(weight <= 0)
        if len(bad):
            raise GrowthDataError(f"weight: {len(bad)} values are not positive ({name_rows(bad)})")


def _check_cohort(n_students: int, distinct_weeks: np.ndarray, *, score: np.ndarray) -> None:
    check_counts(n_students, distinct_weeks)
    low, high = float(score.min()), float(score.max())
    if high - low <= 1e-12 * max(abs(low), abs(high), 1.0):
        raise GrowthDataError(
            f"all {len(score)} scores equal {low:g}, so there is no variance to divide among students and "
            "weeks; check the score source"
        )


def _warnings(n_students: int, score: np.ndarray) -> tuple[str, ...]:
    found = []
    if n_students < FEW_STUDENTS:
        found.append(f"only {n_students} students: the spread between them comes mostly from the prior")
    largest = float(np.abs(score).max())
    if largest > UNIT_SCALE_LIMIT:
        found.append(
            f"scores reach {largest:g} but the priors assume a scale of about one unit: "
            "rescale the scores (a 0-100 score by 1/100) or widen the priors"
        )
    return tuple(found)


def _reference_line(week: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Least-squares line over all rows; any line gives the same posterior."""
    week_mean, score_mean = week.mean(), score.mean()
    centred = week - week_mean
    slope = float(centred @ (score - score_mean) / (centred @ centred))
    return float(score_mean - slope * week_mean), slope


@njit(nogil=True, cache=True)
def _student_sums(codes, week, score, weight, n_students, intercept, slope):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Sums per student of the residuals; a `weight` of length one applies to all rows."""
    sums = np.zeros((n_students, 6))
    last_week = np.full(n_students, -np.inf)
    equal = weight.shape[0] == 1
    for i in range(codes.shape[0]):
        j = codes[i]
        w = week[i]
        v = weight[0] if equal else weight[i]
        e = score[i] - intercept - slope * w
        sums[j, 0] += v
        sums[j, 1] += v * w
        sums[j, 2] += v * w * w
        sums[j, 3] += v * e
        sums[j, 4] += v * w * e
        sums[j, 5] += v * e * e
        last_week[j] = max(last_week[j], w)
    return sums, last_week


def _group_designs(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of each student's design, and the sums per design."""
    keys = pd.DataFrame(statistics[:, :3])
    design = keys.groupby([0, 1, 2], sort=False).ngroup().to_numpy(np.int64)
    return design, _design_sums(design, statistics, int(design.max()) + 1)


@njit(nogil=True, cache=True)
def _design_sums(design, statistics, n_designs):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    sums = np.zeros((9, n_designs))
    for i in range(design.shape[0]):
        d = design[i]
        c0 = statistics[i, 3]
        c1 = statistics[i, 4]
        sums[0, d] += 1.0
        for k in range(3):
            sums[1 + k, d] = statistics[i, k]
        sums[4, d] += c0
        sums[5, d] += c1
        sums[6, d] += c0 * c0
        sums[7, d] += c0 * c1
        sums[8, d] += c1 * c1
    return sums.T
