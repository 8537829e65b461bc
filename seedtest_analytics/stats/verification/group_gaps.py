"""Whether predictions are as good for one group of students as for another: ranking by ROC curve, and calibration.

ABROCA = ∫₀¹ |ROC_focal(x) - ROC_reference(x)| dx      (Gardner, Brooks & Baker 2019); at least |AUC gap|
u = share of the group's non-events with a higher score, ties count half

A ROC curve depends on the scores by u alone, so u of different groups may be exchanged where the curves are alike, also if
the groups differ in base rate or in their scores (Venkatraman 2000). The test exchanges the groups of whole students, those
with mostly events among themselves, and compares the ABROCA with those of the exchanged groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import codes, count, flags, numbers
from seedtest_analytics.stats.irt.multiplicity import adjust
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore, clustered_auc, score_probabilities

Floats = NDArray[np.float64]
GapVerdict = Literal["gap", "no_gap_found", "cannot_be_judged"]

ABROCA_GAP, INTERCEPT_GAP = 0.05, 0.25
"""The least ABROCA, and the least difference of calibration in the large (logit), that counts as a gap."""
SEVERE = 2.0
"""Without a gap, one of this many times the least size must have been findable; else nothing can be said."""
ENOUGH_POWER, ALPHA = 0.8, 0.05
LEAST_STUDENTS = 20
LEAST_EVENTS = 10
"""Events, and also non-events, that a group needs."""
_LEVELS = 512
_MANY_EVENTS = 0.5
"""Students with a larger share of events exchange groups among themselves. With one row each, these are the events."""


@dataclass(frozen=True)
class GroupGap:
    """A focal group against the reference, before the adjustment for several comparisons; NaN where it is not defined.

    ``auc_gap`` is focal less reference, with an error by student. ``exchanged`` (n_exchanges,) are their
    ABROCA, ascending. ``intercept_gap`` is the difference of calibration in the large (logit): above 0 the event happens
    more often in the focal group than it is predicted, compared with the reference.
    """

    auc_gap: float
    auc_gap_se: float
    abroca: float
    p_abroca: float
    exchanged: Floats
    intercept_gap: float
    intercept_gap_se: float
    p_intercept: float
    reason: str | None = None


@dataclass(frozen=True)
class JudgedGap:
    """The verdicts on a gap of ranking and one of calibration among all comparisons that were made together.

    ``least_*`` are found with a probability of 80 %; ``power_*`` are for twice the size that counts as a gap.
    """

    p_abroca: float
    least_abroca: float
    power_abroca: float
    ranking: GapVerdict
    p_intercept: float
    least_intercept: float
    power_intercept: float
    calibration: GapVerdict


def abroca(score: ArrayLike, outcome: ArrayLike, *, is_focal: ArrayLike) -> float:
    """Area between the ROC curves of two groups, exact for curves of straight pieces; equal scores are one piece.

    NaN where a group has no event or no non-event.

    Raises:
        ValueError: for missing or infinite scores, outcomes or groups other than 0 and 1, or unequal lengths.
    """
    s = numbers(score, "score")
    y = flags(outcome, "outcome", length=len(s))
    focal = flags(is_focal, "is_focal", length=len(s))
    curves = [_roc(s[rows], y[rows]) for rows in (focal, ~focal)]
    if any(curve is None for curve in curves):
        return float("nan")
    (x_f, y_f), (x_r, y_r) = (curve for curve in curves if curve is not None)
    edges = np.unique(np.concatenate([x_f, x_r]))
    left, right = _at(x_f, y_f, edges=edges)
    other_left, other_right = _at(x_r, y_r, edges=edges)
    return float(_area(left - other_left, right - other_right, width=np.diff(edges)).sum())


def _roc(score: Floats, outcome: NDArray[np.bool_]) -> tuple[Floats, Floats] | None:
    """Corners of a ROC curve: false and true positive rate."""
    events, others = int(outcome.sum()), int((~outcome).sum())
    if not events or not others:
        return None
    order = np.argsort(-score, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    hits = np.cumsum(outcome[order])[last]
    return np.r_[0.0, (last + 1 - hits) / others], np.r_[0.0, hits / events]


def _at(x: Floats, y: Floats, *, edges: Floats) -> tuple[Floats, Floats]:
    """Heights of a curve at the left and at the right end of each interval between edges."""
    piece = np.searchsorted(x, (edges[:-1] + edges[1:]) / 2.0) - 1
    slope = (y[piece + 1] - y[piece]) / (x[piece + 1] - x[piece])
    return y[piece] + slope * (edges[:-1] - x[piece]), y[piece] + slope * (edges[1:] - x[piece])


def _area(left: Floats, right: Floats, *, width: Floats | float) -> Floats:
    """Area under the absolute value of lines from ``left`` to ``right``."""
    a, b = np.abs(left), np.abs(right)
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = np.where(a + b > 0, (a**2 + b**2) / (a + b), 0.0)
    return np.asarray(width * np.where(left * right < 0, crossing, a + b) / 2.0)


def compare_group(
    probability: ArrayLike,
    outcome: ArrayLike,
    *,
    is_focal: ArrayLike,
    clusters: ArrayLike,
    n_exchanges: int = 999,
    seed: int = 0,
) -> GroupGap:
    """Compare the predictions of a focal group with those of the others.

    Args:
        probability: (n,) within 0..1.
        outcome: (n,) 0 or 1.
        is_focal: (n,) whether the row's student is in the focal group; the same for all rows of a student.
        clusters: (n,) students.
        n_exchanges: of the randomisation test.
        seed: of the randomisation test.

    Raises:
        ValueError: for odd values, unequal lengths, or a student in both groups.
    """
    p = numbers(probability, "probability", low=0.0, high=1.0).astype(np.float64)
    y = flags(outcome, "outcome", length=len(p))
    focal = flags(is_focal, "is_focal", length=len(p))
    student, n_students = codes(clusters, "cluster", length=len(p))
    count(n_exchanges, "n_exchanges", low=19, high=100_000)
    count(seed, "seed")
    focal_of = np.bincount(student, weights=focal, minlength=n_students) / np.bincount(student, minlength=n_students)
    if ((focal_of > 0) & (focal_of < 1)).any():
        raise ValueError("a student is in both groups; give each student one group")
    in_focal = focal_of == 1
    reason = _too_little(y, focal=focal, in_focal=in_focal)
    if reason is not None:
        nan = float("nan")
        return GroupGap(nan, nan, nan, nan, np.zeros(0), nan, nan, nan, reason=reason)
    areas_of = [clustered_auc(p[rows], y[rows], clusters=student[rows]) for rows in (focal, ~focal)]
    curves = _Curves.of(p, y, focal=focal, student=student)
    exchanged = curves.exchanged(in_focal, n_exchanges=n_exchanges, seed=seed)
    here = curves.gaps(in_focal[:, None])
    beyond = int((exchanged >= here[0] - 1e-12).sum())
    scores = [score_probabilities(p[rows], y[rows], clusters=student[rows]) for rows in (focal, ~focal)]
    sizes = [int(in_focal.sum()), int((~in_focal).sum())]
    intercept, error, p_intercept = _intercept_gap(scores, sizes)
    return GroupGap(
        areas_of[0][0] - areas_of[1][0],
        float(np.hypot(areas_of[0][1], areas_of[1][1])),
        abroca(p, y, is_focal=focal),
        (beyond + 1) / (n_exchanges + 1),
        np.sort(exchanged),
        intercept,
        error,
        p_intercept,
        reason="all predictions are alike" if np.ptp(p) < 1e-12 else None,
    )


def _too_little(y: NDArray[np.bool_], *, focal: NDArray[np.bool_], in_focal: NDArray[np.bool_]) -> str | None:
    for name, rows, students in (("group", focal, in_focal), ("reference", ~focal, ~in_focal)):
        events, n = int(y[rows].sum()), int(rows.sum())
        if int(students.sum()) < LEAST_STUDENTS:
            return f"the {name} has {int(students.sum())} students; it needs {LEAST_STUDENTS}"
        if min(events, n - events) < LEAST_EVENTS:
            return f"the {name} has {events} events among {n} predictions; it needs {LEAST_EVENTS} of either kind"
    return None


def _intercept_gap(scores: Sequence[ProbabilityScore], sizes: Sequence[int]) -> tuple[float, float, float]:
    """Difference, standard error and p-value. Few students make the sandwich too narrow, so t of the smaller group."""
    from scipy.special import stdtr

    focal, reference = scores
    gap = focal.calibration_intercept - reference.calibration_intercept
    errors = [s.calibration_intercept_se * np.sqrt(n / (n - 1)) for s, n in zip(scores, sizes, strict=True)]
    error = float(np.hypot(*errors))
    return gap, error, float(2.0 * stdtr(min(sizes) - 1, -abs(gap) / max(error, 1e-12)))


@dataclass(frozen=True, eq=False)
class _Curves:
    """Counts of non-events and events by level of u and student, from which the curves of any division follow.

    ``counts`` (2 * levels, students), sparse; ``stratum`` (students,) whether most rows are events.
    """

    counts: object
    stratum: NDArray[np.int64]

    @classmethod
    def of(cls, p: Floats, y: NDArray[np.bool_], *, focal: NDArray[np.bool_], student: NDArray[np.int32]) -> _Curves:
        from scipy import sparse

        u = np.empty(len(p))
        for rows in (focal, ~focal):
            others = np.sort(p[rows & ~y])
            below, up_to = (np.searchsorted(others, p[rows], side=side) for side in ("left", "right"))
            u[rows] = 1.0 - (below + up_to) / (2.0 * len(others))
        level = np.minimum((u * _LEVELS).astype(np.int64), _LEVELS - 1)
        shape = (2 * _LEVELS, int(student.max()) + 1)
        counts = sparse.csr_matrix((np.ones(len(p)), (level + _LEVELS * y, student)), shape=shape)
        share = np.bincount(student, weights=y) / np.bincount(student)
        return cls(counts, stratum=(share > _MANY_EVENTS).astype(np.int64))

    def gaps(self, is_focal: NDArray[np.bool_]) -> Floats:
        """(n,) ABROCA of divisions (students, n)."""
        focal = np.asarray(self.counts @ is_focal.astype(np.float64))  # type: ignore[operator]
        rest = np.asarray(self.counts @ np.ones((len(is_focal), 1))) - focal  # type: ignore[operator]
        with np.errstate(invalid="ignore", divide="ignore"):
            one, other = (np.cumsum(c[_LEVELS:], axis=0) / c[_LEVELS:].sum(axis=0) for c in (focal, rest))
            x, x_other = (np.cumsum(c[:_LEVELS], axis=0) / c[:_LEVELS].sum(axis=0) for c in (focal, rest))
        grid = np.linspace(0.0, 1.0, _LEVELS + 1)
        areas = np.empty(is_focal.shape[1])
        for k in range(is_focal.shape[1]):
            difference = _on(grid, x[:, k], y=one[:, k]) - _on(grid, x_other[:, k], y=other[:, k])
            areas[k] = _area(difference[:-1], difference[1:], width=1.0 / _LEVELS).sum()
        return areas

    def exchanged(self, in_focal: NDArray[np.bool_], *, n_exchanges: int, seed: int) -> Floats:
        """(n_exchanges,) ABROCA of divisions in which students of one stratum exchange their groups."""
        random = np.random.default_rng(seed)
        drawn = np.empty((len(in_focal), n_exchanges), dtype=bool)
        for stratum in np.unique(self.stratum):
            rows = np.flatnonzero(self.stratum == stratum)
            drawn[rows] = random.permuted(np.repeat(in_focal[rows, None], n_exchanges, axis=1), axis=0)
        return self.gaps(drawn)


def _on(grid: Floats, x: Floats, *, y: Floats) -> Floats:
    return np.interp(grid, np.r_[0.0, x], np.r_[0.0, y])


def judge_gaps(gaps: Sequence[GroupGap]) -> list[JudgedGap]:
    """Verdicts on all comparisons together: p-values to the false discovery rate, sizes at the strictest level of it.

    A gap has the least size and an adjusted p below 0.05. Without one, ``no_gap_found`` needs the power to find twice that
    size; else the comparison cannot be judged.
    """
    from scipy.special import ndtri

    p = np.array([[g.p_abroca, g.p_intercept] for g in gaps]).reshape(-1, 2)
    adjusted = adjust(p)
    level = ALPHA / max(int(np.isfinite(p).sum()), 1)
    judged = []
    for gap, (p_abroca, p_intercept) in zip(gaps, adjusted.tolist(), strict=True):
        by_chance = float(np.quantile(gap.exchanged, 1.0 - level)) if len(gap.exchanged) else float("nan")
        least, power = _power(by_chance, gap.auc_gap_se, size=ABROCA_GAP)
        least_i, power_i = _power(-ndtri(level / 2.0) * gap.intercept_gap_se, gap.intercept_gap_se, size=INTERCEPT_GAP)
        # Equal predictions have an ABROCA of 0 that says nothing.
        power = 0.0 if gap.reason is not None else power
        judged.append(
            JudgedGap(
                p_abroca,
                least,
                power,
                _verdict(p_abroca, gap.abroca, power=power, size=ABROCA_GAP),
                p_intercept,
                least_i,
                power_i,
                _verdict(p_intercept, abs(gap.intercept_gap), power=power_i, size=INTERCEPT_GAP),
            )
        )
    return judged


def _power(by_chance: float, se: float, *, size: float) -> tuple[float, float]:
    """The gap that is found with 80 %, and the power for a severe one, if an estimate has the error ``se``."""
    from scipy.special import ndtr, ndtri

    cut = max(size, by_chance)
    if not np.isfinite(cut + se) or not np.isfinite(by_chance):
        return float("nan"), 0.0
    return float(cut + ndtri(ENOUGH_POWER) * se), float(ndtr((SEVERE * size - cut) / max(se, 1e-12)))


def _verdict(p_adjusted: float, found: float, *, power: float, size: float) -> GapVerdict:
    if p_adjusted < ALPHA and found >= size:
        return "gap"
    return "no_gap_found" if power >= ENOUGH_POWER else "cannot_be_judged"
