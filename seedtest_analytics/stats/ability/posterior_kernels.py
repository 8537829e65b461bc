"""The compiled posterior of one student's levels, slopes and topic deviations given all of the answers.

A knot is a week with answers; θ_w, δ_w, e_w are level, slope and form at the mean time of its answers, u_c the deviation of a
topic in a week with answers to it (a cell). Answers know L_w = θ_w + e_w. With form, L takes the place of θ until the end,
where θ follows from L by their joint prior. Prior: Gaussian chains. Answers: the Gaussian with

    mean        Σ x (y - E logistic(η)) = prior precision · (mean - prior mean)
    precision   prior precision + Σ a² x xᵀ E logistic'(η),     expectations under the Gaussian itself

(the Gaussian variational posterior). Topics depend on each other only through the levels, so they are eliminated topic by
topic, and one matrix of the size of the knots remains.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.ability.filter_kernels import (
    FORM_DAYS,
    FORM_VARIANCE,
    GROWTH_DAYS,
    LEVEL_MEAN,
    LEVEL_VARIANCE,
    LEVEL_WALK,
    SLOPE_MEAN,
    SLOPE_VARIANCE,
    SLOPE_WALK,
    TOPIC_SPREAD,
    TOPIC_WALK,
)
from seedtest_analytics.stats.ability.matrix_kernels import invert, multiply
from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.kernels import FASTMATH

PROBIT = math.pi / 8.0
_MAX_ITERATIONS = 25
_TOLERANCE = 1e-3
"""Largest next step of a level, a deviation or a variance, in logits, that is left out."""
_MAX_STEP = 1.5
_FIRST_SHARE = 0.6
"""Share of the prior's variance at which the search begins: answers leave about as much."""
_FLOOR = 1e-7
"""Least variance of a step between knots, in logits²: keeps matrices invertible where a walk is off."""
_SLOPE_FLOOR = 1e-6
_LEAST_SLOPE_VARIANCE = 1e-9
"""Below this SD of 0.01 logits a year slopes do not differ, and the level has no slopes of its own."""
SLOPE_DAYS = 91.0
"""A slope holds for a quarter: it changes slowly, and each slope costs as much work as a week."""


@njit(cache=True, nogil=True)
def pace(day, first_day) -> Any:
    """Position of the slope that holds at ``day``: a student has one slope per quarter."""
    return int(max(day - first_day, 0.0) / SLOPE_DAYS)


@njit(cache=True, nogil=True)
def _lasting_prior(knot_day, h, n_slopes, covariance) -> None:
    """Prior covariance of θ (W,) and, behind them, of slopes in units of their prior SD (n_slopes,)."""
    n = len(knot_day)
    unit = math.sqrt(h[SLOPE_VARIANCE])
    step = max(h[SLOPE_WALK] * SLOPE_DAYS / h[SLOPE_VARIANCE], _SLOPE_FLOOR) if n_slopes > 1 else 0.0
    for d in range(n_slopes):
        for e in range(n_slopes):
            covariance[n + d, n + e] = 1.0 + step * min(d, e)
        covariance[0, n + d] = covariance[n + d, 0] = 0.0
    covariance[0, 0] = h[LEVEL_VARIANCE]
    for w in range(1, n):
        days = knot_day[w] - knot_day[w - 1]
        g = min(days, h[GROWTH_DAYS]) * unit
        d = n + pace(knot_day[w - 1], knot_day[0])
        # θ_w = θ_(w-1) + g δ_d + a step, so its covariances follow from those of θ_(w-1) and δ_d.
        for j in range(w):
            covariance[w, j] = covariance[w - 1, j] + (g * covariance[d, j] if n_slopes > 0 else 0.0)
            covariance[j, w] = covariance[w, j]
        for e in range(n, n + n_slopes):
            covariance[w, e] = covariance[w - 1, e] + g * covariance[d, e]
            covariance[e, w] = covariance[w, e]
        of_growth = g * covariance[w, d] if n_slopes > 0 else 0.0
        covariance[w, w] = covariance[w, w - 1] + of_growth + max(h[LEVEL_WALK] * days, _FLOOR)


@njit(cache=True, nogil=True)
def _prior_precision(knot_day, h, lasting, precision, work) -> None:
    """Prior precision of (L, δ), from the covariance ``lasting`` of (θ, δ)."""
    n, size = len(knot_day), len(lasting)
    for i in range(size):
        for j in range(size):
            precision[i, j] = lasting[i, j]
    form = work
    for i in range(n):
        faded = math.exp((knot_day[i - 1] - knot_day[i]) / h[FORM_DAYS]) if i > 0 else 0.0
        for j in range(i):
            form[j] *= faded
            precision[i, j] += form[j]
            precision[j, i] = precision[i, j]
        form[i] = h[FORM_VARIANCE]
        precision[i, i] += form[i]
    invert(precision, size, work)


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _leave_form(lasting, precision, x, covariance, cell_start, cell_knot, D, inverses, inverse_start, u_level) -> None:
    """Turn the posterior of (L, δ) into that of (θ, δ), in place: θ = G L + a rest that the answers do not know.

    G = ``lasting`` · ``precision``, with the prior covariance of (θ, δ) and the prior precision of (L, δ).
    """
    size = len(x)
    gain, across = np.zeros((size, size)), np.zeros((size, size))
    multiply(lasting, precision, gain)
    multiply(gain, covariance, across)
    moved = np.empty(size)
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += gain[i, j] * x[j]
        moved[i] = total
    for i in range(size):
        x[i] = moved[i]
    for k in range(len(cell_start) - 1):
        first, length = cell_start[k], cell_start[k + 1] - cell_start[k]
        block = inverses[inverse_start[k] : inverse_start[k + 1]]
        for c in range(length):
            total = 0.0
            for e in range(length):
                total -= block[c * length + e] * D[first + e] * across[cell_knot[first + c], cell_knot[first + e]]
            u_level[first + c] = total
    for i in range(size):
        for j in range(size):
            across[i, j] -= lasting[i, j]
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for k in range(size):
                total += gain[i, k] * across[j, k]
            covariance[i, j] = lasting[i, j] + total
            covariance[j, i] = covariance[i, j]


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def student_posterior(knot_day, cell_start, cell_knot, answer_start, correct, slope, location, h):
    """Posterior of one student. By answer in the order of topics: ``correct``, and P = logistic(slope · (θ + u) - location).

    Returns the mean (d,) and covariance (d, d) of levels (W,) and of slopes in logits a day, one per quarter,
    and by cell: mean of u, its variance, its covariance with the level of its knot; and the number of iterations.
    """
    n_knots, n_cells, n_topics = len(knot_day), len(cell_knot), len(cell_start) - 1
    n_slopes = pace(knot_day[n_knots - 1], knot_day[0]) + 1 if h[SLOPE_VARIANCE] > _LEAST_SLOPE_VARIANCE else 0
    size = n_knots + n_slopes
    longest = 0
    for k in range(n_topics):
        longest = max(longest, cell_start[k + 1] - cell_start[k])
    prior, covariance, work = np.empty((size, size)), np.zeros((size, size)), np.empty(size)
    lasting = np.empty((size, size))
    _lasting_prior(knot_day, h, n_slopes, lasting)
    _prior_precision(knot_day, h, lasting, prior, work)
    base = np.zeros(size)
    base[0] = h[LEVEL_MEAN]
    for w in range(n_knots - 1):
        base[w + 1] = base[w] + h[SLOPE_MEAN] * min(knot_day[w + 1] - knot_day[w], h[GROWTH_DAYS])
    x, u = np.zeros(size), np.zeros(n_cells)
    cell_variance = np.full(n_cells, _FIRST_SHARE * (h[LEVEL_VARIANCE] + h[TOPIC_SPREAD]))
    u_variance, u_level = np.empty(n_cells), np.empty(n_cells)
    D, g = np.empty(n_cells), np.empty(n_cells)
    inverse_start = np.zeros(n_topics + 1, dtype=np.int64)
    for k in range(n_topics):
        length = cell_start[k + 1] - cell_start[k]
        inverse_start[k + 1] = inverse_start[k] + length * length
    inverses = np.empty(inverse_start[n_topics])
    T, small_work = np.empty((longest, longest)), np.empty(longest)
    right, weighted = np.empty(size), np.empty(longest)
    iterations, step_before = 0, 1e-12
    for _ in range(_MAX_ITERATIONS):
        iterations += 1
        for c in range(n_cells):
            total_g, total_d = 0.0, 0.0
            level = base[cell_knot[c]] + x[cell_knot[c]] + u[c]
            for r in range(answer_start[c], answer_start[c + 1]):
                a = slope[r]
                narrow = 1.0 / math.sqrt(1.0 + PROBIT * a * a * cell_variance[c])
                p = 1.0 / (1.0 + math.exp(-narrow * (a * level - location[r])))
                total_g += a * (correct[r] - p)
                total_d += a * a * narrow * p * (1.0 - p)
            g[c], D[c] = total_g, total_d
        # A sum and a store share no loop: such a loop adds in another order where arrays happen to lie close together.
        for i in range(size):
            for j in range(size):
                covariance[i, j] = prior[i, j]
        for i in range(size):
            total = 0.0
            for j in range(size):
                total -= prior[i, j] * x[j]
            right[i] = total
        for k in range(n_topics):
            first, length = cell_start[k], cell_start[k + 1] - cell_start[k]
            if length == 1:
                # Most topics of a student have one cell. The general case below gives the same, more slowly.
                w, precision = cell_knot[first], 1.0 / max(h[TOPIC_SPREAD], _FLOOR)
                right[w] += g[first]
                g[first] -= precision * u[first]
                inverse = 1.0 / (precision + D[first])
                inverses[inverse_start[k]] = inverse
                covariance[w, w] += D[first] * (1.0 - inverse * D[first])
                right[w] -= D[first] * inverse * g[first]
                continue
            T[:length, :length] = 0.0
            T[0, 0] = 1.0 / max(h[TOPIC_SPREAD], _FLOOR)
            for c in range(length - 1):
                days = knot_day[cell_knot[first + c + 1]] - knot_day[cell_knot[first + c]]
                p = 1.0 / max(h[TOPIC_WALK] * days, _FLOOR)
                T[c, c] += p
                T[c + 1, c + 1] += p
                T[c, c + 1] -= p
                T[c + 1, c] -= p
            # The gradient in u, kept in g: likelihood minus prior. The level's gradient needs the likelihood alone.
            for c in range(length):
                right[cell_knot[first + c]] += g[first + c]
            for c in range(length):
                total = 0.0
                for e in range(length):
                    total += T[c, e] * u[first + e]
                g[first + c] -= total
            for c in range(length):
                T[c, c] += D[first + c]
            invert(T, length, small_work)
            for c in range(length):
                w = cell_knot[first + c]
                covariance[w, w] += D[first + c]
                for e in range(length):
                    inverses[inverse_start[k] + c * length + e] = T[c, e]
                    covariance[w, cell_knot[first + e]] -= D[first + c] * T[c, e] * D[first + e]
                    right[w] -= D[first + c] * T[c, e] * g[first + e]
        invert(covariance, size, work)
        largest = 0.0
        for i in range(size):
            total = 0.0
            for j in range(size):
                total += covariance[i, j] * right[j]
            work[i] = total
        for i in range(size):
            largest = max(largest, abs(work[i]))
        damping = min(1.0, _MAX_STEP / max(largest, 1e-12))
        for i in range(size):
            x[i] += damping * work[i]
        for k in range(n_topics):
            first, length = cell_start[k], cell_start[k + 1] - cell_start[k]
            if length == 1:
                w, inverse = cell_knot[first], inverses[inverse_start[k]]
                step = inverse * (g[first] - D[first] * work[w])
                u[first] += damping * step
                gain = inverse * D[first]
                u_level[first] = -gain * covariance[w, w]
                u_variance[first] = inverse - gain * u_level[first]
                total = covariance[w, w] + 2.0 * u_level[first] + u_variance[first]
                largest = max(largest, abs(step), abs(total - cell_variance[first]))
                cell_variance[first] = total
                continue
            block = inverses[inverse_start[k] : inverse_start[k + 1]]
            for c in range(length):
                weighted[c] = g[first + c] - D[first + c] * work[cell_knot[first + c]]
            for c in range(length):
                total = 0.0
                for e in range(length):
                    total += block[c * length + e] * weighted[e]
                u[first + c] += damping * total
                largest = max(largest, abs(total))
            for c in range(length):
                w = cell_knot[first + c]
                across, own = 0.0, 0.0
                for e in range(length):
                    gain = block[c * length + e] * D[first + e]
                    v = cell_knot[first + e]
                    across -= gain * covariance[v, w]
                    for f in range(length):
                        own += gain * covariance[v, cell_knot[first + f]] * D[first + f] * block[f * length + c]
                u_variance[first + c] = block[c * length + c] + own
                u_level[first + c] = across
                total = covariance[w, w] + 2.0 * across + u_variance[first + c]
                largest = max(largest, abs(total - cell_variance[first + c]))
                cell_variance[first + c] = total
        # Steps shrink at least as fast as the last one did, so the next step is at most this large.
        if largest * min(largest / step_before, 1.0) < _TOLERANCE:
            break
        step_before = largest
    if h[FORM_VARIANCE] > 0.0:
        _leave_form(lasting, prior, x, covariance, cell_start, cell_knot, D, inverses, inverse_start, u_level)
    unit = math.sqrt(h[SLOPE_VARIANCE])
    for w in range(n_knots):
        x[w] += base[w]
    for d in range(n_knots, size):
        x[d] = h[SLOPE_MEAN] + unit * x[d]
        for i in range(size):
            covariance[d, i] *= unit
        for i in range(size):
            covariance[i, d] *= unit
    return x, covariance, u, u_variance, u_level, iterations
