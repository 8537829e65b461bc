"""The loop over answers that compares each with its prediction from the row's other answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from seedtest_analytics.stats.irt.kernels import _FASTMATH, BLOCK, row_posterior


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def residual_sums(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
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
    """(items, bins, 4) sums over answers: 1, answer, prediction p and p (1 - p), by the ability without the answer.

    ``inverse_probability`` (2 · items, blocks, BLOCK) by answer code. With w the posterior of all answers,
    that of the others is w / P(answer): Σ w / P gives the prediction, Σ w θ / P its mean.
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
