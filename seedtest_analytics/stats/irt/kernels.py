"""The loops over answers, compiled. Everything else is array arithmetic of the size of the item table.

Compiled code is cached on disk, so the first call of a new version takes some seconds and later ones none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

PADDED_POINTS = 16
"""Quadrature points are padded to a multiple of this, so that the inner loops fill vector registers."""
_FLUSH_ROWS = 2048
"""Rows between two transfers of the working counts into float64: single precision never sums more."""
_EXP_FLOOR = -40.0
"""exp(-40) = 4e-18: below the rounding of the largest term, which is 1."""

MASKED_LOG_PRIOR = -1e4
"""Log prior of the padding: no mass."""

_FASTMATH = {"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"}


def padded_nodes(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nodes followed by zeros up to a whole number of vector registers."""
    width = -(-len(nodes) // PADDED_POINTS) * PADDED_POINTS
    return np.concatenate([nodes, np.zeros(width - len(nodes))])


def padded_rows(values: NDArray[np.float64], width: int, fill: float) -> NDArray[np.float64]:
    """(rows, width): the values and then ``fill``."""
    if values.shape[1] == width:
        return values
    padded = np.full((values.shape[0], width), fill)
    padded[:, : values.shape[1]] = values
    return padded


@njit(cache=True)
def compress(  # type: ignore[no-untyped-def]
    row_code, item_code, answers, n_rows, n_items
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Two stable counting sorts, by item and then by row: row pointer and 2 · item + correct."""
    n = len(row_code)
    item_next = np.zeros(n_items + 1, dtype=np.int64)
    row_start = np.zeros(n_rows + 1, dtype=np.int64)
    for k in range(n):
        item_next[item_code[k] + 1] += 1
        row_start[row_code[k] + 1] += 1
    for i in range(n_items):
        item_next[i + 1] += item_next[i]
    for r in range(n_rows):
        row_start[r + 1] += row_start[r]
    by_item_row = np.empty(n, dtype=np.int32)
    by_item_code = np.empty(n, dtype=np.int32)
    for k in range(n):
        position = item_next[item_code[k]]
        item_next[item_code[k]] = position + 1
        by_item_row[position] = row_code[k]
        by_item_code[position] = 2 * item_code[k] + answers[k]
    answer_code = np.empty(n, dtype=np.int32)
    row_next = row_start[:-1].copy()
    for k in range(n):
        row = by_item_row[k]
        answer_code[row_next[row]] = by_item_code[k]
        row_next[row] += 1
    return row_start, answer_code


@njit(cache=True)
def select_items(  # type: ignore[no-untyped-def]
    row_start, answer_code, new_position
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The layout without the items whose new position is negative."""
    n_rows = len(row_start) - 1
    kept_start = np.zeros(n_rows + 1, dtype=np.int64)
    kept_code = np.empty(len(answer_code), dtype=np.int32)
    n = 0
    for r in range(n_rows):
        for k in range(row_start[r], row_start[r + 1]):
            position = new_position[answer_code[k] >> 1]
            if position >= 0:
                kept_code[n] = 2 * position + (answer_code[k] & 1)
                n += 1
        kept_start[r + 1] = n
    return kept_start, kept_code[:n].copy()


@njit(cache=True)
def item_components(row_start, answer_code, n_items) -> NDArray[np.int64]:  # type: ignore[no-untyped-def]
    """Union-find over items that share a row; parts are numbered by their first item."""
    parent = np.arange(n_items)
    for r in range(len(row_start) - 1):
        if row_start[r + 1] - row_start[r] < 2:
            continue
        root = answer_code[row_start[r]] >> 1
        while parent[root] != root:
            root = parent[root]
        for k in range(row_start[r] + 1, row_start[r + 1]):
            other = answer_code[k] >> 1
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if other != root:
                low, high = min(root, other), max(root, other)
                parent[high] = low
                root = low
    number = np.full(n_items, -1)
    found = 0
    component = np.empty(n_items, dtype=np.int64)
    for i in range(n_items):
        root = i
        while parent[root] != root:
            root = parent[root]
        if number[root] < 0:
            number[root] = found
            found += 1
        component[i] = number[root]
    return component


@njit(cache=True, inline="always")
def _row_posterior(  # type: ignore[no-untyped-def]
    codes, table, shift, slope, intercept, nodes, log_prior, total, log_weight
):
    """Unnormalised posterior of one row, its sum and the log of its scale.

    The answers' log-likelihood is the sum of table rows plus a line in θ: for items without guessing the
    table holds log(1 - P) alone, a right answer adding the logit a θ + d.
    """
    n_nodes = table.shape[1]
    total[:] = 0
    line_slope, line_intercept = 0.0, 0.0
    for code in codes:
        item = code >> 1
        right = code & 1
        line_slope += right * slope[item]
        line_intercept += right * intercept[item]
        row = code >> shift
        for q in range(n_nodes):
            total[q] += table[row, q]
    top = -1e300
    for q in range(n_nodes):
        log_weight[q] = total[q] + log_prior[q] + line_slope * nodes[q]
        top = max(top, log_weight[q])
    mass = 0.0
    for q in range(n_nodes):
        # exp by its series at x / 64 and six squarings: no call, so the loop fills vector registers; relative
        # error below 1e-13.
        x = max(log_weight[q] - top, _EXP_FLOOR) * (1.0 / 64)
        p = 1 + x * (1 / 8) * (1 + x * (1 / 9) * (1 + x * (1 / 10) * (1 + x * (1 / 11))))
        p = 1 + x * (1 / 4) * (1 + x * (1 / 5) * (1 + x * (1 / 6) * (1 + x * (1 / 7) * p)))
        p = 1 + x * (1 + x * (1 / 2) * (1 + x * (1 / 3) * p))
        p = p * p
        p = p * p
        p = p * p
        p = p * p
        p = p * p
        p = p * p
        log_weight[q] = p
        mass += p
    return mass, top + line_intercept


@njit(fastmath=_FASTMATH, parallel=True, cache=True)
def expected_counts(  # type: ignore[no-untyped-def]
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
    lane_start,
) -> tuple[Any, Any, Any, Any]:
    """One pass over the answers: log-likelihood and the sums that an M-step and a gradient need.

    Returns, by lane: the log-likelihood; (table rows, nodes) posterior mass of the answers of each table row;
    (items,) sum of the posterior means over right answers; (groups, nodes) posterior mass of each population.
    Lanes are fixed by the data, so the sums do not depend on the number of threads.
    """
    n_lanes = len(lane_start) - 1
    n_table, n_nodes = table.shape
    n_groups = len(log_prior)
    log_likelihood = np.zeros(n_lanes)
    counts = np.zeros((n_lanes, n_table, n_nodes))
    right_mean = np.zeros((n_lanes, len(slope)))
    population = np.zeros((n_lanes, n_groups, n_nodes))
    for lane in prange(n_lanes):
        total = np.empty(n_nodes, dtype=table.dtype)
        posterior = np.empty(n_nodes, dtype=table.dtype)
        weight = np.empty(n_nodes)
        working = np.zeros((n_table, n_nodes), dtype=table.dtype)
        since_flush = 0
        for r in range(lane_start[lane], lane_start[lane + 1]):
            codes = answer_code[row_start[r] : row_start[r + 1]]
            group = row_group[r]
            mass, scale = _row_posterior(
                codes, table, shift, slope, intercept, nodes, log_prior[group], total, weight
            )
            case = row_weight[r]
            log_likelihood[lane] += case * (scale + np.log(mass))
            normaliser = case / mass
            mean = 0.0
            for q in range(n_nodes):
                posterior[q] = weight[q] * normaliser
                mean += weight[q] * normaliser * nodes[q]
                population[lane, group, q] += weight[q] * normaliser
            for code in codes:
                right_mean[lane, code >> 1] += (code & 1) * mean
                row = code >> shift
                for q in range(n_nodes):
                    working[row, q] += posterior[q]
            since_flush += 1
            if since_flush == _FLUSH_ROWS:
                counts[lane] += working
                working[:] = 0
                since_flush = 0
        counts[lane] += working
    return log_likelihood, counts, right_mean, population
