"""Predictions with their outcomes, and their error and rank over resamples of students, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.verification.resampling import Interval, Measure, Students

Floats = NDArray[np.float64]
FEWEST = 20
"""Students, of fewer than which nothing is said."""


@dataclass(frozen=True)
class Judged:
    """Predictions by row of the table, outcomes and students, all (n,)."""

    said: Mapping[str, Floats]
    seen: Floats
    student: NDArray[Any]


def joined(parts: Sequence[Judged]) -> Judged:
    """Several landmarks as one."""
    said = {row: np.concatenate([part.said[row] for part in parts]) for row in parts[0].said}
    return Judged(said, *(np.concatenate([getattr(p, name) for p in parts]) for name in ("seen", "student")))


def print_table(parts: Mapping[str, Judged], *, resamples: int, seed: int) -> None:
    """One row for each number and way to predict it."""
    print("| number | row | n | students | error | AUC or correlation |\n|---|---|---|---|---|---|")
    for number, judged in parts.items():
        students = Students.of(judged.student)
        n_judged = students.n_students
        if n_judged < FEWEST:
            print(f"| {number} | too few to judge | {len(judged.seen):,} | {n_judged:,} | – | – |", flush=True)
            continue
        for row, said in judged.said.items():
            measures = [students.mean_of((said - judged.seen) ** 2)]
            if np.ptp(said) >= 1e-12:
                measures.append(_rank_of(students, said, seen=judged.seen))
            error, *rank = students.intervals(measures, resamples=resamples, seed=seed)
            cells = f"{cell(error, '.4f')} | {cell(rank[0], '.3f') if rank else '–'}"
            print(f"| {number} | {row} | {len(said):,} | {n_judged:,} | {cells} |", flush=True)
    print()


def _rank_of(students: Students, said: Floats, *, seen: Floats) -> Measure:
    """AUC of outcomes of 0 and 1, else the correlation."""
    if np.isin(seen, (0.0, 1.0)).all():
        return students.auc_of(said, seen)
    x, y = said - said.mean(), seen - seen.mean()
    mean_x, mean_y, xx, yy, xy = (students.mean_of(values) for values in (x, y, x * x, y * y, x * y))

    def correlation(drawn: Floats) -> float:
        own_x, own_y = mean_x(drawn), mean_y(drawn)
        spread = np.sqrt((xx(drawn) - own_x**2) * (yy(drawn) - own_y**2))
        return float((xy(drawn) - own_x * own_y) / spread)

    return correlation


def cell(interval: Interval, form: str) -> str:
    """A measure and its limits, as a table shows them."""
    return f"{interval.value:{form}} [{interval.lower:{form}}, {interval.upper:{form}}]".replace("-", "−")
