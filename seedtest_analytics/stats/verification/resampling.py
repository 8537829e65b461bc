"""Intervals over students: 95 % limits of a measure in resamples of whole students (cluster bootstrap, Efron 1979).

A resample draws as many students as there are, with replacement. So a measure is a function of how often each student was
drawn, and what does not depend on that is summed by student once. The same seed gives the same resamples to every method that
is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from seedtest_analytics.stats.checks import array_of, count, flags, numbers
from seedtest_analytics.stats.checks import codes as label_codes
from seedtest_analytics.stats.verification.logistic import CLIP, clipped_logit, fit_logistic
from seedtest_analytics.stats.verification.probabilities import CURVE_RIDGE, calibration_basis, score_probabilities

Floats = NDArray[np.float64]
Measure = Callable[[Floats], float]
"""Of (S,) numbers that say how often each student was drawn."""
RESAMPLES, SEED = 200, 20_261_201
MEASURES = ("auc", "log_score", "brier", "calibration_slope", "ici")


@dataclass(frozen=True)
class Interval:
    """A measure and its 95 % limits; NaN where it is not defined."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Students:
    """``code`` (n,) from 0 below ``n_students`` of the student of each row."""

    code: NDArray[np.int32]
    n_students: int

    @classmethod
    def of(cls, clusters: ArrayLike) -> Students:
        """Any labels of (n,) rows.

        Raises:
            ValueError: without rows, or for a missing label.
        """
        labels = array_of(clusters, "cluster")
        code, n_students = label_codes(labels, "cluster", length=labels.size)
        if n_students == 0:
            raise ValueError("there are no rows, so there is nobody to resample")
        return cls(code, n_students)

    def sums(self, values: Floats) -> Floats:
        """(S,) sums by student of (n,) values."""
        return np.bincount(self.code, weights=values, minlength=self.n_students).astype(np.float64)

    def mean_of(self, values: ArrayLike) -> Measure:
        """The mean of (n,) values over rows.

        Raises:
            ValueError: for values that are missing or not finite, or of another length.
        """
        given = numbers(values, "values").astype(np.float64)
        self._check(given)
        total, rows = self.sums(given), self.sums(np.ones(len(given)))
        return lambda drawn: float(drawn @ total / (drawn @ rows))

    def auc_of(self, score: ArrayLike, outcome: ArrayLike) -> Measure:
        """The AUC; ties count one half. NaN where all outcomes that were drawn are alike.

        Raises:
            ValueError: for missing or infinite scores, outcomes other than 0 and 1, or unequal lengths.
        """
        given = numbers(score, "score").astype(np.float64)
        self._check(given)
        happened = flags(outcome, "outcome", length=len(given))
        order = np.argsort(given, kind="stable")
        code, happened = self.code[order], happened[order]
        start = np.flatnonzero(np.r_[True, np.diff(given[order]) > 0])

        def area(drawn: Floats) -> float:
            weight = drawn[code]
            events = np.add.reduceat(np.where(happened, weight, 0.0), start)
            others = np.add.reduceat(np.where(happened, 0.0, weight), start)
            pairs = events.sum() * others.sum()
            return float(events @ (np.cumsum(others) - 0.5 * others) / pairs) if pairs > 0 else float("nan")

        return area

    def intervals(self, measures: Sequence[Measure], *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Interval]:
        """The interval of each measure.

        Raises:
            ValueError: for ``resamples`` that are not a whole number from 2, or a ``seed`` that is not one from 0.
        """
        count(resamples, "resamples", low=2)
        count(seed, "seed")
        random, n = np.random.default_rng(seed), self.n_students
        found = np.empty((resamples, len(measures)))
        for row in found:
            drawn = np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64)
            row[:] = [measure(drawn) for measure in measures]
        return [
            Interval(measure(np.ones(n)), *_limits(column)) for measure, column in zip(measures, found.T, strict=True)
        ]

    def _check(self, values: Floats) -> None:
        if values.shape != self.code.shape:
            raise ValueError(f"{values.shape} values for {self.code.shape} students: give one for each row")


def _limits(values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    lower, upper = np.quantile(known, [0.025, 0.975])
    return float(lower), float(upper)


def prediction_intervals(
    probability: ArrayLike, outcome: ArrayLike, *, clusters: ArrayLike, resamples: int = RESAMPLES, seed: int = SEED
) -> Mapping[str, Interval]:
    """Intervals of ``MEASURES`` of (n,) probabilities, by their names in ``ProbabilityScore``.

    Calibration line and smooth curve of a resample are one Newton step away from those of all rows: their error falls with the
    square of that step.

    Args:
        probability: predictions within 0..1.
        outcome: 0 or 1 each.
        clusters: (n,) students of the rows.
        resamples, seed: as in ``Students.intervals``.

    Raises:
        ValueError: as ``score_probabilities``, ``Students.of`` and ``Students.intervals`` do.
    """
    score = score_probabilities(probability, outcome, clusters=clusters)
    students = Students.of(clusters)
    p, y = np.asarray(probability, np.float64), np.asarray(outcome, np.float64)
    log_loss = -np.log(np.maximum(np.where(y == 1, p, 1.0 - p), CLIP))
    measures = {
        "auc": students.auc_of(p, y),
        "log_score": students.mean_of(log_loss),
        "brier": students.mean_of((p - y) ** 2),
    }
    if np.isfinite(score.calibration_slope):
        measures["calibration_slope"] = _slope_of(p, y, students=students)
    if np.isfinite(score.ici):
        measures["ici"] = _ici_of(p, y, students=students)
    found = students.intervals(list(measures.values()), resamples=resamples, seed=seed)
    unknown = dict.fromkeys(MEASURES, Interval(float("nan"), float("nan"), float("nan")))
    return unknown | dict(zip(measures, found, strict=True))


def _slope_of(p: Floats, y: Floats, *, students: Students) -> Measure:
    line = _refitted(np.column_stack([np.ones(len(y)), clipped_logit(p)]), y, students=students)
    return lambda drawn: float(line(drawn)[1])


def _ici_of(p: Floats, y: Floats, *, students: Students) -> Measure:
    basis = calibration_basis(p)
    curve = _refitted(basis, y, students=students, ridge=CURVE_RIDGE)

    def ici(drawn: Floats) -> float:
        weight = drawn[students.code]
        return float(weight @ np.abs(p - expit(basis @ curve(drawn))) / weight.sum())

    return ici


def _refitted(X: Floats, y: Floats, *, students: Students, ridge: float = 1e-9) -> Callable[[Floats], Floats]:
    """Coefficients of a logistic regression on (n, K) columns of the students that were drawn, one Newton step from those of
    all."""
    fitted = fit_logistic(X, y, ridge=ridge).coefficients
    probability = expit(X @ fitted)
    residual, spread = y - probability, probability * (1.0 - probability)
    slope = np.column_stack([students.sums(column * residual) for column in X.T])
    curvature = np.stack([[students.sums(one * other * spread) for other in X.T] for one in X.T], axis=-1)
    penalty = ridge * len(y)

    def coefficients(drawn: Floats) -> Floats:
        information = np.einsum("s,isj->ij", drawn, curvature) + penalty * np.eye(len(fitted))
        return np.asarray(fitted + np.linalg.solve(information, drawn @ slope - penalty * fitted))

    return coefficients
