"""The compiled loop that compares each answer with its prediction from the row's other answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.grid_tables import BLOCK
from seedtest_analytics.stats.irt.kernels import FASTMATH, row_posterior


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def residual_sums(
    first_row,
    last_row,
    row_start,
    answer_code,
    row_group,
    table,
    shift,
    slope,
    intercept,
    nodes,
    log_prior,
    inverse_probability,
    bin_edges,
) -> Any:
    """(items, bins, 4) sums over answers of 1, answer, prediction p and p (1 − p), by the ability without the answer.

    With w(θ) ∝ the posterior of all answers, the posterior of the others is ∝ w(θ) / P(x | θ). So the prediction of x is
    Σ w / Σ (w / P), and the others' posterior mean is Σ (w θ / P) / Σ (w / P). ``inverse_probability``: 1 / P by answer
    code, (2 · items, blocks, BLOCK).
    """
    n_blocks = table.shape[1]
    sums = np.zeros((len(slope), len(bin_edges) + 1, 4))
    total = np.empty((n_blocks, BLOCK), dtype=table.dtype)
    weight = np.empty((n_blocks, BLOCK))
    for r in range(first_row, last_row):
        codes = answer_code[row_start[r] : row_start[r + 1]]
        if len(codes) < 2:
            continue
        mass, _ = row_posterior(codes, table, shift, slope, intercept, nodes, log_prior[row_group[r]], total, weight)
        for code in codes:
            without, first_moment = 0.0, 0.0
            for b in range(n_blocks):
                for q in range(BLOCK):
                    share = weight[b, q] * inverse_probability[code, b, q]
                    without += share
                    first_moment += share * nodes[b, q]
            answer = code & 1
            p = mass / without if answer else 1.0 - mass / without
            place = np.searchsorted(bin_edges, first_moment / without)
            cell = sums[code >> 1, place]
            cell[0] += 1.0
            cell[1] += answer
            cell[2] += p
            cell[3] += p * (1.0 - p)
    return sums
