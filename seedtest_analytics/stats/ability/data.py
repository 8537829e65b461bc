"""Answers in the order of time, and item parameters that are known from a calibration. Both are checked here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.checks import LARGEST, array_of, floats

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

LAST_DAY = 1e7
"""Days beyond this since any origin are a wrong unit, such as seconds."""
_SHOWN = 5
"""Offending rows named in an error."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Scored answers in the order of time; make them with ``Answers.of``.

    Every array is (n,). ``student``, ``item`` and ``topic`` are codes from 0 that mean the same in every call.
    ``day`` is the time in days since any fixed origin. ``position`` is each answer's row in the caller's arrays; None where
    they were in the order of time.
    """

    student: Codes
    item: Codes
    topic: Codes
    day: Floats
    correct: NDArray[np.int8]
    position: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls, student: ArrayLike, item: ArrayLike, *, topic: ArrayLike, day: ArrayLike, correct: ArrayLike
    ) -> Answers:
        """Check (n,) arrays and order them by day; answers of one instant keep the caller's order.

        Raises:
            AbilityDataError: for unequal lengths, codes that are negative or not whole, a day that is missing, infinite or
                beyond 10 million, and answers other than 0 and 1.
        """
        days = _finite(day, "day")
        students, items, topics = _codes(student, "student"), _codes(item, "item"), _codes(topic, "topic")
        right = _binary(correct)
        lengths = {len(students), len(items), len(topics), len(days), len(right)}
        if len(lengths) > 1:
            raise AbilityDataError(f"arrays differ in length: {sorted(lengths)}; give one entry per answer")
        given = cls(students, items, topic=topics, day=days, correct=right)
        if bool((days[1:] >= days[:-1]).all()):
            return given
        order = np.argsort(days, kind="stable")
        return replace(given.take(order), position=order)

    def __len__(self) -> int:
        return len(self.day)

    def take(self, rows: NDArray[Any] | slice) -> Answers:
        """The answers of a slice, of a mask, or at positions that keep the order of time; they count as given in it."""
        return Answers(
            self.student[rows], self.item[rows], topic=self.topic[rows], day=self.day[rows], correct=self.correct[rows]
        )

    def in_given_order(self, values: NDArray[Any]) -> NDArray[Any]:
        """(n,) values by answer, in the order of the arrays from which the answers were made."""
        if self.position is None:
            return values
        out = np.empty_like(values)
        out[self.position] = values
        return out


@dataclass(frozen=True, eq=False)
class KnownItems:
    """Item parameters of a calibration, by item code; NaN in ``b`` where an item has none, and its ``a`` is a guess.

    P(right) = logistic(a (θ - b)). ``se_b`` is the standard error of the difficulty. Every array is (n_items,).
    """

    a: Floats
    b: Floats
    se_b: Floats

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike, *, se_b: ArrayLike) -> KnownItems:
        """An item without a difficulty has ``a`` if that is above 0, else 1.

        Raises AbilityDataError for unequal lengths, what is not a number, a ≤ 0 or se_b < 0 of an item with a difficulty.
        """
        arrays = [
            np.atleast_1d(floats(values, name, error=AbilityDataError).astype(np.float64))
            for name, values in (("a", a), ("b", b), ("se_b", se_b))
        ]
        if len({values.shape for values in arrays}) > 1 or arrays[0].ndim != 1:
            shapes = ", ".join(str(values.shape) for values in arrays)
            raise AbilityDataError(f"a, b and se_b need one entry per item code; their shapes are {shapes}")
        slope, difficulty, error = arrays
        is_known = ~np.isnan(difficulty)
        is_valid = (
            (np.abs(difficulty) <= LARGEST) & (slope > 0) & (slope <= LARGEST) & (error >= 0) & (error <= LARGEST)
        )
        bad = np.flatnonzero(is_known & ~is_valid)
        if len(bad):
            raise AbilityDataError(
                f"{len(bad)} known items need a > 0, a finite b and se_b ≥ 0 (first codes {bad[:_SHOWN].tolist()}); "
                "set b to NaN for items without parameters"
            )
        is_guess = (slope > 0) & (slope <= LARGEST)
        return cls(np.where(is_known | is_guess, slope, 1.0), difficulty, se_b=np.where(is_known, error, np.nan))

    def __len__(self) -> int:
        return len(self.b)


def _codes(values: ArrayLike, name: str) -> Codes:
    array = array_of(values, name, error=AbilityDataError)
    if array.ndim != 1:
        raise AbilityDataError(f"{name} has {array.ndim} dimensions; give one code per answer")
    if not np.issubdtype(array.dtype, np.integer) and len(array):
        raise AbilityDataError(
            f"{name} has the type {array.dtype}; give whole numbers from 0, such as pd.factorize makes"
        )
    bad = np.flatnonzero((array < 0) | (array >= 2**31 - 1))
    if len(bad):
        raise AbilityDataError(
            f"{len(bad)} codes of {name} are negative or above 2³¹ (first at positions {bad[:_SHOWN].tolist()}); "
            "leave answers without a code out"
        )
    # Read-only arrays, such as Arrow's, are another type to numba, which would compile every kernel twice.
    return array.astype(np.int32, copy=not array.flags.writeable)


def _finite(values: ArrayLike, name: str) -> Floats:
    array = floats(values, name, error=AbilityDataError).astype(np.float64, copy=False)
    if array.ndim != 1:
        raise AbilityDataError(f"{name} has {array.ndim} dimensions; give one entry per answer")
    bad = np.flatnonzero(~(np.abs(array) <= LAST_DAY))
    if len(bad):
        raise AbilityDataError(
            f"{len(bad)} answers have no finite {name}, or one beyond {LAST_DAY:g} (first at positions "
            f"{bad[:_SHOWN].tolist()}); leave them out, or convert {name} to days"
        )
    return array


def _binary(correct: ArrayLike) -> NDArray[np.int8]:
    array = array_of(correct, "correct", error=AbilityDataError)
    if array.ndim != 1:
        raise AbilityDataError(f"correct has {array.ndim} dimensions; give one entry per answer")
    bad = np.flatnonzero(~((array == 0) | (array == 1)))
    if len(bad):
        raise AbilityDataError(
            f"{len(bad)} answers are neither 0 nor 1 (first at positions {bad[:_SHOWN].tolist()}); "
            "score them, or leave unanswered items out"
        )
    return array.astype(np.int8)
