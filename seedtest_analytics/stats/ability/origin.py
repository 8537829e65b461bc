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
    """The evidence with difficulties moved, in place, so that the mean level of the first week is ``level_mean``.

    Students and items learn from each other in the filter, and it does not know what their errors share. So the origin
    wanders while there are few answers. The smoothed levels tell where it is: where their prior has the right mean, they have
    the same mean. What students gain by practice within the first week counts, because it is known from few answers.
    """
    h, answers = evidence.hyperparameters, evidence.answers
    present = np.flatnonzero(np.diff(evidence.start))
    if len(present) == 0:
        return evidence
    oldest = np.argsort(evidence.order[evidence.start[present]], kind="stable")[:MOST_STUDENTS]
    rows = [evidence.order[evidence.start[s] : evidence.start[s + 1]] for s in present[oldest]]
    start = np.cumsum([0, *(len(own) for own in rows)])
    gain = h.practice * np.mean(
        [np.log1p(np.arange(np.searchsorted(answers.day[own], answers.day[own[0]] + WEEK))).mean() for own in rows]
    )

    def missing(shift: float) -> float:
        """Mean of the smoothed levels before the first answer, less the mean of their prior, which is ``shift`` higher."""
        prior = replace(h, level_mean=h.level_mean + shift)
        levels = levels_before(replace(evidence, hyperparameters=prior, start=start, order=np.concatenate(rows)))
        return float(levels.mean()) - prior.level_mean

    # The mean of the posterior follows that of the prior nearly in a straight line.
    shift = missing(0.0)
    if abs(shift) > 1e-6:
        shift /= min(max(1.0 - missing(shift) / shift, 0.1), 1.0)
    _lower(evidence, shift + float(gain))
    return replace(evidence, hyperparameters=replace(h, level_mean=h.level_mean - float(gain)))


def _lower(evidence: Evidence, shift: float) -> None:
    """Take ``shift`` from the difficulties, and from what the answers say of them."""
    from seedtest_analytics.stats.ability.smoother_kernels import DIFFICULTY

    evidence.items[:, DIFFICULTY] -= shift
    for begin in range(0, len(evidence.item_shift), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        evidence.item_shift[block] -= np.float32(shift) * evidence.item_precision[block]
