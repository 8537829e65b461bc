"""Mantel–Haenszel statistics of differential item functioning (DIF) between two groups, matched on ability.

In stratum s with A_s right and B_s wrong answers of the reference group, C_s right and D_s wrong of the focal group and
N_s in all: α = Σ A_s D_s / N_s ÷ Σ B_s C_s / N_s, Δ = −2.35 ln α (Holland & Thayer 1988), with the variance of ln α by
Robins, Breslow & Greenland (1986), and χ² = (|Σ A_s − E A_s| − ½)² / Σ Var A_s. Δ < 0: harder for the focal group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.data import ResponseData, row_blocks

Floats = NDArray[np.float64]

_ETS_FACTOR = -2.35
_MODERATE, _LARGE = 1.0, 1.5
_BLOCK = 2_000_000
"""Answers counted at a time: their cells take eight bytes each."""


def stratum_counts(
    data: ResponseData, theta: Floats, *, group: NDArray[np.int64], n_groups: int, n_strata: int
) -> Floats:
    """(n_items, 2, n_strata, n_groups) number of wrong and right answers by stratum of ability and by group.

    Rows with NaN ability or group -1 are left out. Each stratum has the same number of the other rows.
    """
    is_matched = np.isfinite(theta) & (group >= 0)
    edges = np.quantile(theta[is_matched], np.arange(1, n_strata) / n_strata)
    cell = np.where(is_matched, np.searchsorted(edges, theta) * n_groups + group, -1)
    n_cells = n_strata * n_groups
    counts = np.zeros(2 * data.n_items * n_cells, dtype=np.int64)
    for rows in row_blocks(data.row_start, _BLOCK):
        code = data.answer_code[data.row_start[rows.start] : data.row_start[rows.stop]].astype(np.int64)
        by_answer = np.repeat(cell[rows], data.n_answers_by_row[rows])
        used = by_answer >= 0
        counts += np.bincount(code[used] * n_cells + by_answer[used], minlength=len(counts))
    return counts.reshape(data.n_items, 2, n_strata, n_groups).astype(np.float64)


@dataclass(frozen=True, eq=False)
class MantelHaenszel:
    """Δ with its SE, χ² with its p, and answers of each group. All (n_items,); NaN where a group has too few answers."""

    delta: Floats
    se: Floats
    chi_square: Floats
    p: Floats
    n_reference: NDArray[np.int64]
    n_focal: NDArray[np.int64]


def compare_counts(reference: Floats, focal: Floats, *, min_responses: int) -> MantelHaenszel:
    """The test, from (n_items, 2, n_strata) counts of wrong and right answers of each group."""
    from scipy.special import ndtr

    right_r, wrong_r = reference[:, 1], reference[:, 0]
    right_f, wrong_f = focal[:, 1], focal[:, 0]
    log_odds, variance, chi_square = _combine(right_r, wrong_r, right_f=right_f, wrong_f=wrong_f)
    # A group that is always right or always wrong has no odds, but the largest DIF. Half an answer in every cell of its
    # strata gives it odds (Haldane 1956). The test uses the counts as they are.
    bare = ~np.isfinite(log_odds) & np.isfinite(chi_square)
    if bare.any():
        met = 0.5 * ((reference + focal).sum(axis=1) > 0)[bare]
        cells = {"right_f": right_f[bare] + met, "wrong_f": wrong_f[bare] + met}
        log_odds[bare], variance[bare], _ = _combine(right_r[bare] + met, wrong_r[bare] + met, **cells)
    n_reference = (right_r + wrong_r).sum(axis=1).astype(np.int64)
    n_focal = (right_f + wrong_f).sum(axis=1).astype(np.int64)
    fine = (np.minimum(n_reference, n_focal) >= min_responses) & np.isfinite(log_odds) & np.isfinite(variance)
    log_odds, chi_square = np.where(fine, log_odds, np.nan), np.where(fine, chi_square, np.nan)
    se = np.where(fine, np.sqrt(variance), np.nan) * abs(_ETS_FACTOR)
    p = np.asarray(2.0 * ndtr(-np.sqrt(chi_square)))
    return MantelHaenszel(
        _ETS_FACTOR * log_odds, se, chi_square=chi_square, p=p, n_reference=n_reference, n_focal=n_focal
    )


def _combine(right_r: Floats, wrong_r: Floats, *, right_f: Floats, wrong_f: Floats) -> tuple[Floats, Floats, Floats]:
    """(n_items,) ln α (reference to focal), its variance and χ²."""
    n = right_r + wrong_r + right_f + wrong_f
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, 1.0 / n, 0.0)
        agree, disagree = right_r * wrong_f * share, wrong_r * right_f * share
        same, other = (right_r + wrong_f) * share, (wrong_r + right_f) * share
        r, s = agree.sum(axis=1), disagree.sum(axis=1)
        log_odds = np.log(r / s)
        variance = (
            (same * agree).sum(axis=1) / (2 * r**2)
            + (same * disagree + other * agree).sum(axis=1) / (2 * r * s)
            + (other * disagree).sum(axis=1) / (2 * s**2)
        )
        n_r, n_f, right, wrong = right_r + wrong_r, right_f + wrong_f, right_r + right_f, wrong_r + wrong_f
        expected = n_r * right * share
        spread = n_r * n_f * right * wrong * share**2 * np.where(n > 1, 1.0 / (n - 1), 0.0)
        excess = np.maximum(np.abs((right_r - expected).sum(axis=1)) - 0.5, 0.0)
        chi_square = excess**2 / spread.sum(axis=1)
    return log_odds, variance, chi_square


def ets_classes(delta: Floats, se: Floats, *, p_adjusted: Floats, alpha: float) -> NDArray[np.object_]:
    """ETS classes (Zieky 1993) of significant Δ: B from |Δ| = 1, C from |Δ| = 1.5 if significantly above 1; else A."""
    classes = np.full(delta.shape, "", dtype=object)
    given = np.isfinite(delta)
    size = np.abs(np.nan_to_num(delta))
    significant = np.nan_to_num(p_adjusted, nan=1.0) < alpha
    classes[given] = "A"
    classes[given & significant & (size >= _MODERATE)] = "B"
    above = size - 1.645 * np.nan_to_num(se) > _MODERATE
    classes[given & significant & (size >= _LARGE) & above] = "C"
    return classes
