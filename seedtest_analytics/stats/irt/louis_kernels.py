"""The compiled passes that add up the missing information of Louis' identity.

I_observed = I_complete − Σ_rows Cov(S(θ) | answers), with S the complete-data score (Louis 1982). S is smooth in θ and a
row's posterior is narrow, so the first few polynomials p_m that are orthonormal under that posterior suffice:
Cov(f, g) = Σ_{m ≥ 1} ⟨f, p_m⟩ ⟨g, p_m⟩.

Rows come in chunks. The first pass projects each row's scores on its polynomials. The second adds up products of pairs
item by item, which keeps the matrix row that it writes to in the cache: row by row takes ten times as long.
"""

from __future__ import annotations

import numpy as np

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.grid_tables import BLOCK
from seedtest_analytics.stats.irt.kernels import FASTMATH, row_posterior

POLYNOMIALS = 8
"""The products are unrolled over this many polynomials, so their number must be a multiple of it."""
_NEGLIGIBLE_WEIGHT = 1e-11
_DEGENERATE_NORM = 1e-14


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _weighted_polynomials(weight, nodes, first, last, previous, current, out):
    """out[m] = weight · p_{m+1} on nodes[first:last], with p orthonormal under weight (Stieltjes recurrence)."""
    for q in range(first, last):
        previous[q] = 0.0
        current[q] = 1.0
    norm_below = 0.0
    for m in range(out.shape[0]):
        centre = 0.0
        for q in range(first, last):
            centre += weight[q] * nodes[q] * current[q] * current[q]
        norm = 0.0
        for q in range(first, last):
            following = (nodes[q] - centre) * current[q] - norm_below * previous[q]
            previous[q] = current[q]
            current[q] = following
            norm += weight[q] * following * following
        if norm < _DEGENERATE_NORM:
            out[m:] = 0.0
            return
        norm_below = np.sqrt(norm)
        for q in range(first, last):
            current[q] /= norm_below
            out[m, q] = current[q] * weight[q]


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def project_rows(
    first_row,
    last_row,
    chunk_row,
    row_start,
    answer_code,
    row_group,
    table,
    shift,
    slope,
    intercept,
    nodes,
    log_prior,
    score,
    group_score,
    projected,
    group_projected,
) -> None:
    """Fill ``projected`` and ``group_projected`` (chunk rows, 2, polynomials) for some rows of a chunk.

    ``score`` (2 · items, parameters, blocks, BLOCK) by answer code; ``group_score`` (groups, 2, blocks, BLOCK). The part
    of ``projected`` that belongs to a row of k answers has shape (polynomials, k · parameters).
    """
    n_blocks, n_parameters, n_polynomials = table.shape[1], score.shape[1], group_projected.shape[2]
    total = np.empty((n_blocks, BLOCK), dtype=table.dtype)
    weights = np.empty((n_blocks, BLOCK))
    polynomials = np.zeros((n_polynomials, n_blocks, BLOCK), dtype=np.float32)
    weight, node = weights.reshape(-1), nodes.reshape(-1)
    flat = polynomials.reshape(n_polynomials, -1)
    previous, current = np.empty(len(node)), np.empty(len(node))
    origin = row_start[chunk_row]
    for r in range(first_row, last_row):
        codes = answer_code[row_start[r] : row_start[r + 1]]
        group = row_group[r]
        mass, _ = row_posterior(codes, table, shift, slope, intercept, nodes, log_prior[group], total, weights)
        first, last = len(weight), 0
        for q in range(len(weight)):
            weight[q] /= mass
            if weight[q] > _NEGLIGIBLE_WEIGHT:
                first = min(first, q)
                last = q + 1
        flat[:] = 0.0
        _weighted_polynomials(weight, node, first, last, previous, current, flat)
        width = len(codes) * n_parameters
        base = (row_start[r] - origin) * n_parameters * n_polynomials
        for k in range(len(codes)):
            for j in range(n_parameters):
                for m in range(n_polynomials):
                    inner = np.float32(0.0)
                    for b in range(n_blocks):
                        for q in range(BLOCK):
                            inner += polynomials[m, b, q] * score[codes[k], j, b, q]
                    projected[base + m * width + k * n_parameters + j] = inner
        for j in range(2):
            for m in range(n_polynomials):
                inner = np.float32(0.0)
                for b in range(n_blocks):
                    for q in range(BLOCK):
                        inner += polynomials[m, b, q] * group_score[group, j, b, q]
                group_projected[r - chunk_row, j, m] = inner


@njit(cache=True, nogil=True)
def entries_by_item(chunk_row, last_row, row_start, answer_code, n_items):
    """Item pointer, and the row and position of each answer of a chunk, ordered by item."""
    origin, n = row_start[chunk_row], row_start[last_row] - row_start[chunk_row]
    item_start = np.zeros(n_items + 1, dtype=np.int64)
    for k in range(n):
        item_start[(answer_code[origin + k] >> 1) + 1] += 1
    for i in range(n_items):
        item_start[i + 1] += item_start[i]
    place = item_start[:-1].copy()
    entry_row = np.empty(n, dtype=np.int32)
    entry_answer = np.empty(n, dtype=np.int64)
    for r in range(chunk_row, last_row):
        for k in range(row_start[r], row_start[r + 1]):
            i = answer_code[k] >> 1
            entry_row[place[i]] = r
            entry_answer[place[i]] = k
            place[i] += 1
    return item_start, entry_row, entry_answer


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _products(part, begin, column, case, out):
    """Add case · Σ_m part[m, begin + k] part[m, column] into a cleared out[k]."""
    out[: part.shape[1] - begin] = 0.0
    for m in range(0, part.shape[0], POLYNOMIALS):
        # Unrolled over slices that are contiguous by type, so that the loop over columns fills vector registers.
        p0, p1, p2, p3 = part[m, begin:], part[m + 1, begin:], part[m + 2, begin:], part[m + 3, begin:]
        p4, p5, p6, p7 = part[m + 4, begin:], part[m + 5, begin:], part[m + 6, begin:], part[m + 7, begin:]
        f0, f1, f2, f3 = part[m, column], part[m + 1, column], part[m + 2, column], part[m + 3, column]
        f4, f5, f6, f7 = part[m + 4, column], part[m + 5, column], part[m + 6, column], part[m + 7, column]
        for k in range(len(p0)):
            low = (p0[k] * f0 + p1[k] * f1) + (p2[k] * f2 + p3[k] * f3)
            out[k] += case * (low + (p4[k] * f4 + p5[k] * f5) + (p6[k] * f6 + p7[k] * f7))


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def add_pairs(
    first_item,
    last_item,
    item_start,
    entry_row,
    entry_answer,
    chunk_row,
    row_start,
    answer_code,
    row_weight,
    row_group,
    projected,
    group_projected,
    item_index,
    group_index,
    is_full,
    longest,
    matrix,
    blocks,
) -> None:
    """Add a chunk's covariances of some items' scores with the scores of later items and of the population.

    If is_full, into ``matrix`` (n_free, n_free + 1), whose last column collects the fixed parameters; else into
    ``blocks`` (items, parameters, parameters). The index arrays contain n_free for fixed parameters.
    """
    n_parameters = item_index.shape[1]
    n_free = matrix.shape[0]
    n_polynomials = group_projected.shape[2]
    out = np.empty(longest * n_parameters, dtype=np.float32)
    # Unsigned, because a signed index costs a comparison each time.
    place = np.empty(longest * n_parameters, dtype=np.uintp)
    for i in range(first_item, last_item):
        for entry in range(item_start[i], item_start[i + 1]):
            r, answer = entry_row[entry], entry_answer[entry]
            case = np.float32(row_weight[r])
            start, end = row_start[r], row_start[r + 1]
            width = (end - start) * n_parameters
            base = (start - row_start[chunk_row]) * n_parameters * n_polynomials
            part = projected[base : base + n_polynomials * width].reshape(n_polynomials, width)
            # A repeated answer also pairs with the earlier answers to its item.
            begin = answer
            while begin > start and answer_code[begin - 1] >> 1 == i:
                begin -= 1
            stop = end
            if not is_full:
                stop = answer + 1
                while stop < end and answer_code[stop] >> 1 == i:
                    stop += 1
            n = 0
            for k in range(begin, stop):
                for other in range(n_parameters):
                    place[n] = item_index[answer_code[k] >> 1, other] if is_full else other
                    n += 1
            for j in range(n_parameters):
                own = item_index[i, j]
                if own == n_free and is_full:
                    continue
                column = (answer - start) * n_parameters + j
                _products(part, (begin - start) * n_parameters, column, case, out)
                target = matrix[own] if is_full else blocks[i, j]
                for c in range(n):
                    target[place[c]] += out[c]
                if is_full:
                    for g in range(2):
                        inner = 0.0
                        for m in range(n_polynomials):
                            inner += projected[base + m * width + column] * group_projected[r - chunk_row, g, m]
                        matrix[own, group_index[row_group[r], g]] += inner * case


@njit(cache=True, nogil=True)
def add_population(chunk_row, last_row, row_weight, row_group, group_projected, group_index, matrix):
    """Add a chunk's covariances of the population scores with each other."""
    n_free = matrix.shape[0]
    n_polynomials = group_projected.shape[2]
    for r in range(chunk_row, last_row):
        for g in range(2):
            own = group_index[row_group[r], g]
            if own == n_free:
                continue
            for h in range(2):
                inner = 0.0
                for m in range(n_polynomials):
                    inner += group_projected[r - chunk_row, g, m] * group_projected[r - chunk_row, h, m]
                matrix[own, group_index[row_group[r], h]] += inner * row_weight[r]
