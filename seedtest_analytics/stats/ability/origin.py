"""The origin of a scale without calibrated items: the mean level of the first students in their first week."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seedtest_analytics.stats.ability.evidence import Evidence
from seedtest_analytics.stats.ability.smoothing import WEEK, levels_before

MOST_STUDENTS = 1000
"""Students that count, those who answered first. They tell the origin to 0.03 logits, and later students do not move it."""
_BLOCK = 1_000_000


def with_origin(evidence: Evidence) -> Evidence:
    """The evidence on a scale on which the mean level of the first week is ``level_mean``. Its arrays change in place.

    Students and items learn from each other in the filter, and it does not know what their errors share. So the origin
    wanders while there are few answers; the smoothed levels tell where it went. All difficulties and the mean of new students
    move by the same number, and no prediction changes.

    What students gain by practice within the first week counts, because it is known from few answers.
    """
    h, answers = evidence.hyperparameters, evidence.answers
    present = np.flatnonzero(np.diff(evidence.start))
    if len(present) == 0:
        return evidence
    oldest = np.argsort(evidence.order[evidence.start[present]], kind="stable")[:MOST_STUDENTS]
    rows = [evidence.order[evidence.start[s] : evidence.start[s + 1]] for s in present[oldest]]
    chosen = replace(evidence, start=np.cumsum([0, *(len(own) for own in rows)]), order=np.concatenate(rows))
    gain = h.practice * np.mean(
        [np.log1p(np.arange(np.searchsorted(answers.day[own], answers.day[own[0]] + WEEK))).mean() for own in rows]
    )
    shift = float(levels_before(chosen).mean() + gain) - h.level_mean
    _lower(evidence, shift)
    return replace(evidence, hyperparameters=replace(h, level_mean=h.level_mean - shift))


def _lower(evidence: Evidence, shift: float) -> None:
    """Take ``shift`` from the difficulties, and from what the answers say of them."""
    from seedtest_analytics.stats.ability.smoother_kernels import DIFFICULTY

    evidence.items[:, DIFFICULTY] -= shift
    for begin in range(0, len(evidence.item_shift), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        evidence.item_shift[block] -= np.float32(shift) * evidence.item_precision[block]
