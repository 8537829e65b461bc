"""The compiled loops over answers that lay data out and compute the E-step.

Compiled code is cached on disk: the first call of a new version takes some seconds, later ones none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.grid_tables import BLOCK

FASTMATH = {"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"}

_FLUSH_ROWS = 2048
"""Rows between two transfers of the working counts into float64, so single precision sums at most this many."""
_EXP_FLOOR = -40.0
"""exp(-40) = 4e-18 is below the rounding of the largest term, which is 1."""


@njit(cache=True)
def compress(row_code, item_code, answers, n_rows, n_items) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row pointer and answer codes 2 · item + correct, by two stable counting sorts: by item, then by row."""
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
def select_items(row_start, answer_code, new_position) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row pointer and answer codes without the items whose new position is negative."""
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
def item_components(row_start, answer_code, n_items) -> NDArray[np.int64]:
    """(n_items,) number of each item's connected part, by union-find over items that share a row."""
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


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def row_posterior(codes, table, shift, slope, intercept, nodes, log_prior, total, weight):
    """weight(θ) ∝ prior(θ) Π P(xᵢ | θ) of one row; returns its sum and the log of its scale.

    Σ log P(xᵢ | θ) is a sum of table rows plus a line in θ (see ``answer_tables``). Points are in (blocks, BLOCK):
    only inner loops of a fixed length over an unsigned index fill vector registers, and any other form takes two to
    four times as long.
    """
    n_blocks = table.shape[1]
    line_slope, line_intercept = 0.0, 0.0
    total[:] = 0
    k = 0
    while k + 4 <= len(codes):
        first, second = codes[k] >> shift, codes[k + 1] >> shift
        third, fourth = codes[k + 2] >> shift, codes[k + 3] >> shift
        for b in range(n_blocks):
            for q in range(BLOCK):
                total[b, q] += (table[first, b, q] + table[second, b, q]) + (table[third, b, q] + table[fourth, b, q])
        k += 4
    while k < len(codes):
        row = codes[k] >> shift
        for b in range(n_blocks):
            for q in range(BLOCK):
                total[b, q] += table[row, b, q]
        k += 1
    for code in codes:
        right = code & 1
        line_slope += right * slope[code >> 1]
        line_intercept += right * intercept[code >> 1]
    top = -1e300
    for b in range(n_blocks):
        for q in range(BLOCK):
            weight[b, q] = total[b, q] + log_prior[b, q] + line_slope * nodes[b, q]
            top = max(top, weight[b, q])
    mass = 0.0
    for b in range(n_blocks):
        for q in range(BLOCK):
            # exp by its series at x / 64 and six squarings avoids a call; relative error below 1e-12.
            x = max(weight[b, q] - top, _EXP_FLOOR) * (1.0 / 64)
            p = 1 + x * (1 / 8) * (1 + x * (1 / 9) * (1 + x * (1 / 10) * (1 + x * (1 / 11))))
            p = 1 + x * (1 / 4) * (1 + x * (1 / 5) * (1 + x * (1 / 6) * (1 + x * (1 / 7) * p)))
            p = 1 + x * (1 + x * (1 / 2) * (1 + x * (1 / 3) * p))
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            weight[b, q] = p
            mass += p
    return mass, top + line_intercept


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def expected_counts(
    first_row, last_row, row_start, answer_code, row_weight, row_group, table, shift, slope, intercept, nodes, log_prior
) -> tuple[Any, Any, Any, Any]:
    """The E-step over some rows: log-likelihood Σ wᵣ log ∫ Π P(xᵢ | θ) g(θ) dθ, and its sufficient statistics.

    Returns the log-likelihood; posterior mass of the answers of each table row (table rows, blocks, BLOCK); sum of the
    posterior means over right answers (items,); posterior mass of each population (groups, blocks, BLOCK).
    """
    n_blocks = table.shape[1]
    log_likelihood = 0.0
    counts = np.zeros(table.shape)
    right_mean = np.zeros(len(slope))
    population = np.zeros(log_prior.shape)
    total = np.empty((n_blocks, BLOCK), dtype=table.dtype)
    posterior = np.empty((n_blocks, BLOCK), dtype=table.dtype)
    weight = np.empty((n_blocks, BLOCK))
    working = np.zeros_like(table)
    since_flush = 0
    for r in range(first_row, last_row):
        codes = answer_code[row_start[r] : row_start[r + 1]]
        group = row_group[r]
        mass, scale = row_posterior(codes, table, shift, slope, intercept, nodes, log_prior[group], total, weight)
        case = row_weight[r]
        log_likelihood += case * (scale + np.log(mass))
        normaliser = case / mass
        mean = 0.0
        for b in range(n_blocks):
            for q in range(BLOCK):
                share = weight[b, q] * normaliser
                posterior[b, q] = share
                population[group, b, q] += share
                mean += share * nodes[b, q]
        for code in codes:
            right_mean[code >> 1] += (code & 1) * mean
            row = code >> shift
            for b in range(n_blocks):
                for q in range(BLOCK):
                    working[row, b, q] += posterior[b, q]
        since_flush += 1
        if since_flush == _FLUSH_ROWS:
            counts += working
            working[:] = 0
            since_flush = 0
    counts += working
    return log_likelihood, counts, right_mean, population
