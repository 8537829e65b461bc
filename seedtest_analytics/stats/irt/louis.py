"""The compiled pass that accumulates the missing information of Louis' identity.

Observed information = complete information - Σ_rows Cov(complete score | answers) (Louis 1982). The score of an
answer is a smooth function of θ, and a row's posterior is narrow, so its covariances need only the first few
polynomials that are orthogonal under that posterior: Cov(f, g) = Σ_m <f, p_m> <g, p_m>, m ≥ 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from seedtest_analytics.stats.irt.kernels import _FASTMATH, _row_posterior

N_POLYNOMIALS = 8
"""With posterior SD 0.8 and a = 1.5 the share of a covariance beyond degree 8 is below 1e-5."""
_NEGLIGIBLE_WEIGHT = 1e-11
_DEGENERATE_NORM = 1e-14


@njit(cache=True, fastmath=_FASTMATH)
def _weighted_polynomials(weight, nodes, first, last, out):  # type: ignore[no-untyped-def]
    """Rows m of out: weight · p_(m+1) on nodes[first:last], p orthonormal under weight (Stieltjes recurrence)."""
    n_polynomials = out.shape[0]
    previous = np.zeros(last - first)
    current = np.ones(last - first)
    norm_below = 1.0
    for m in range(n_polynomials):
        centre = 0.0
        for q in range(last - first):
            centre += weight[first + q] * nodes[first + q] * current[q] * current[q]
        norm = 0.0
        for q in range(last - first):
            following = (nodes[first + q] - centre) * current[q] - (norm_below if m > 0 else 0.0) * previous[
                q
            ]
            previous[q] = current[q]
            current[q] = following
            norm += weight[first + q] * following * following
        if norm < _DEGENERATE_NORM:
            out[m:, :] = 0.0
            return
        norm_below = np.sqrt(norm)
        for q in range(last - first):
            current[q] /= norm_below
            out[m, first + q] = current[q] * weight[first + q]


@njit(fastmath=_FASTMATH, parallel=True, cache=True)
def missing_information(  # type: ignore[no-untyped-def]  # noqa: C901
    row_start,
    answer_code,
    row_weight,
    row_group,
    table,
    shift,
    slope,
    intercept,
    nodes,
    log_prior,
    score,
    item_index,
    group_score,
    group_index,
    n_free,
    is_full,
    lane_start,
) -> tuple[Any, Any]:
    """(lanes, n_free, n_free) upper triangle when is_full, else (lanes, items, 3, 3) blocks, summed over rows.

    ``score`` (2 · items, parameters, nodes) by answer code; ``item_index`` (items, parameters) and
    ``group_index`` (groups, 2) place them among the n_free parameters, -1 for fixed ones.
    """
    n_lanes = len(lane_start) - 1
    n_nodes = table.shape[1]
    n_parameters = score.shape[1]
    size = n_free if is_full else 0
    blocks_size = 0 if is_full else len(slope)
    matrix = np.zeros((n_lanes, size, size))
    blocks = np.zeros((n_lanes, blocks_size, 3, 3))
    longest = 0
    for r in range(len(row_start) - 1):
        longest = max(longest, row_start[r + 1] - row_start[r])
    for lane in prange(n_lanes):
        total = np.empty(n_nodes, dtype=table.dtype)
        weight = np.empty(n_nodes)
        polynomials = np.zeros((N_POLYNOMIALS, n_nodes))
        projected = np.empty((longest * n_parameters + 2, N_POLYNOMIALS))
        place = np.empty(longest * n_parameters + 2, dtype=np.int64)
        for r in range(lane_start[lane], lane_start[lane + 1]):
            codes = answer_code[row_start[r] : row_start[r + 1]]
            if len(codes) == 0:
                continue
            group = row_group[r]
            case = row_weight[r]
            mass, _ = _row_posterior(
                codes, table, shift, slope, intercept, nodes, log_prior[group], total, weight
            )
            first, last = n_nodes, 0
            for q in range(n_nodes):
                weight[q] /= mass
                if weight[q] > _NEGLIGIBLE_WEIGHT:
                    first = min(first, q)
                    last = q + 1
            _weighted_polynomials(weight, nodes, first, last, polynomials)
            n = 0
            for code in codes:
                for j in range(n_parameters):
                    if item_index[code >> 1, j] >= 0:
                        place[n] = item_index[code >> 1, j]
                        for m in range(N_POLYNOMIALS):
                            inner = 0.0
                            for q in range(first, last):
                                inner += polynomials[m, q] * score[code, j, q]
                            projected[n, m] = inner
                        if not is_full:
                            for other in range(j + 1):
                                if item_index[code >> 1, other] >= 0:
                                    back = n - (item_index[code >> 1, j] - item_index[code >> 1, other])
                                    inner = 0.0
                                    for m in range(N_POLYNOMIALS):
                                        inner += projected[n, m] * projected[back, m]
                                    blocks[lane, code >> 1, other, j] += case * inner
                        n += 1
            if not is_full:
                continue
            for j in range(2):
                if group_index[group, j] >= 0:
                    place[n] = group_index[group, j]
                    for m in range(N_POLYNOMIALS):
                        inner = 0.0
                        for q in range(first, last):
                            inner += polynomials[m, q] * group_score[group, j, q]
                        projected[n, m] = inner
                    n += 1
            for i in range(n):
                for j in range(i, n):
                    inner = 0.0
                    for m in range(N_POLYNOMIALS):
                        inner += projected[i, m] * projected[j, m]
                    low = min(place[i], place[j])
                    high = max(place[i], place[j])
                    twice = 2.0 if i != j and low == high else 1.0
                    matrix[lane, low, high] += twice * case * inner
    return matrix, blocks
