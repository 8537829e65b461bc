"""The compiled loops that score rows: posterior moments on a common grid, and exact estimates row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.grid_tables import BLOCK, MASKED_LOG_PRIOR
from seedtest_analytics.stats.irt.kernels import FASTMATH, row_posterior

_NEWTON_LIMIT = 60
_MODE_TOLERANCE = 1e-9
_LOCAL_POINTS = 81
_LOCAL_HALF_WIDTH_SD = 7.0
_LOCAL_EDGE = 1e-9
_TINY = 1e-12


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def grid_moments(
    first_row, last_row, row_start, answer_code, table, shift, slope, intercept, nodes, n_points, prior_mean, prior_sd
) -> tuple[Any, Any, Any]:
    """(last_row − first_row,) EAP, posterior SD, and share of mass on the outermost points of a common grid."""
    n_rows = last_row - first_row
    shape = (table.shape[1], BLOCK)
    means, sds, edges = np.empty(n_rows), np.empty(n_rows), np.empty(n_rows)
    total = np.empty(shape, dtype=table.dtype)
    weights = np.empty(shape)
    log_priors = np.full(shape, MASKED_LOG_PRIOR)
    weight, log_prior, node = weights.reshape(-1), log_priors.reshape(-1), nodes.reshape(-1)
    for r in range(first_row, last_row):
        inverse_sd = 1.0 / prior_sd[r]
        for q in range(n_points):
            z = (node[q] - prior_mean[r]) * inverse_sd
            log_prior[q] = -0.5 * z * z
        codes = answer_code[row_start[r] : row_start[r + 1]]
        mass, _ = row_posterior(codes, table, shift, slope, intercept, nodes, log_priors, total, weights)
        mean, variance = 0.0, 0.0
        for q in range(n_points):
            mean += weight[q] * node[q]
        mean /= mass
        for q in range(n_points):
            variance += weight[q] * (node[q] - mean) * (node[q] - mean)
        k = r - first_row
        means[k] = mean
        sds[k] = np.sqrt(variance / mass)
        edges[k] = (weight[0] + weight[n_points - 1]) / mass
    return means, sds, edges


@njit(cache=True, nogil=True)
def _derivatives(codes, a, b, c, theta):
    """Log-likelihood ℓ, ℓ′, −ℓ″, information I = Σ P′² / PQ and Warm's J = Σ P′ P″ / PQ of one row at θ."""
    log_likelihood, score, observed, expected, warm = 0.0, 0.0, 0.0, 0.0, 0.0
    for code in codes:
        i = code >> 1
        z = a[i] * (theta - b[i])
        curve = 1.0 / (1.0 + np.exp(-z)) if z >= 0 else np.exp(z) / (1.0 + np.exp(z))
        p = c[i] + (1.0 - c[i]) * curve
        wrong = max((1.0 - c[i]) * (1.0 - curve), 1e-300)
        p = max(p, 1e-300)
        first = (1.0 - c[i]) * a[i] * curve * (1.0 - curve)
        second = first * a[i] * (1.0 - 2.0 * curve)
        if code & 1:
            log_likelihood += np.log(p)
            score += first / p
            observed += (first / p) ** 2 - second / p
        else:
            log_likelihood += np.log(wrong)
            score -= first / wrong
            observed += (first / wrong) ** 2 + second / wrong
        expected += first * first / (p * wrong)
        warm += first * second / (p * wrong)
    return log_likelihood, score, observed, expected, warm


@njit(cache=True, nogil=True)
def _mode(codes, a, b, c, mean, sd, start):
    """argmax of ℓ(θ) − (θ − mean)² / (2 sd²) by Fisher scoring with halved steps, and 1 / √(curvature) there."""
    precision = 1.0 / (sd * sd)
    theta = start
    value, score, _, expected, _ = _derivatives(codes, a, b, c, theta)
    value -= 0.5 * precision * (theta - mean) ** 2
    for _ in range(_NEWTON_LIMIT):
        step = (score - precision * (theta - mean)) / (expected + precision)
        step = min(max(step, -2.0), 2.0)
        if abs(step) < _MODE_TOLERANCE:
            break
        for _halving in range(30):
            proposed = theta + step
            new_value, new_score, _, new_expected, _ = _derivatives(codes, a, b, c, proposed)
            new_value -= 0.5 * precision * (proposed - mean) ** 2
            if new_value >= value - 1e-13 * abs(value):
                break
            step *= 0.5
        theta, value, score, expected = proposed, new_value, new_score, new_expected
    _, _, observed, expected, _ = _derivatives(codes, a, b, c, theta)
    curvature = observed + precision
    if curvature <= 0.0:
        curvature = expected + precision
    return theta, 1.0 / np.sqrt(curvature)


@njit(cache=True, nogil=True)
def modes(rows, row_start, answer_code, a, b, c, prior_mean, prior_sd, start) -> tuple[Any, Any]:
    """(len(rows),) posterior modes and SDs from the curvature."""
    theta, sd = np.empty(len(rows)), np.empty(len(rows))
    for k in range(len(rows)):
        r = rows[k]
        codes = answer_code[row_start[r] : row_start[r + 1]]
        theta[k], sd[k] = _mode(codes, a, b, c, prior_mean[r], prior_sd[r], start[r])
    return theta, sd


@njit(cache=True, nogil=True)
def local_moments(rows, row_start, answer_code, a, b, c, prior_mean, prior_sd, start) -> tuple[Any, Any]:
    """(len(rows),) posterior mean and SD, on a grid around each row's mode."""
    means, sds = np.empty(len(rows)), np.empty(len(rows))
    for k in range(len(rows)):
        r = rows[k]
        codes = answer_code[row_start[r] : row_start[r + 1]]
        centre, sd = _mode(codes, a, b, c, prior_mean[r], prior_sd[r], start[r])
        low, high = centre - _LOCAL_HALF_WIDTH_SD * sd, centre + _LOCAL_HALF_WIDTH_SD * sd
        weight = np.empty(_LOCAL_POINTS)
        for _ in range(12):
            step = (high - low) / (_LOCAL_POINTS - 1)
            top = -1e300
            for q in range(_LOCAL_POINTS):
                theta = low + q * step
                weight[q] = _derivatives(codes, a, b, c, theta)[0]
                weight[q] -= 0.5 * ((theta - prior_mean[r]) / prior_sd[r]) ** 2
                top = max(top, weight[q])
            mass, first = 0.0, 0.0
            for q in range(_LOCAL_POINTS):
                weight[q] = np.exp(weight[q] - top)
                mass += weight[q]
                first += weight[q] * (low + q * step)
            first /= mass
            if weight[0] < _LOCAL_EDGE * mass and weight[-1] < _LOCAL_EDGE * mass:
                break
            # A flat tail (few answers under a wide prior) needs more room on its side.
            if weight[0] >= _LOCAL_EDGE * mass:
                low -= 3.0 * sd
            if weight[-1] >= _LOCAL_EDGE * mass:
                high += 3.0 * sd
        second = 0.0
        for q in range(_LOCAL_POINTS):
            second += weight[q] * (low + q * step - first) ** 2
        means[k] = first
        sds[k] = np.sqrt(second / mass)
    return means, sds


@njit(cache=True, nogil=True)
def _warm_equation(codes, a, b, c, theta):
    _, score, _, expected, warm = _derivatives(codes, a, b, c, theta)
    return score + 0.5 * warm / max(expected, _TINY)


@njit(cache=True, nogil=True)
def warm_estimates(rows, row_start, answer_code, a, b, c, start, bound) -> tuple[Any, Any]:
    """(len(rows),) root of ℓ′(θ) + J(θ) / (2 I(θ)) nearest to the start, and 1 / √I there (Warm 1989, eq. 11)."""
    theta, se = np.empty(len(rows)), np.empty(len(rows))
    for k in range(len(rows)):
        r = rows[k]
        codes = answer_code[row_start[r] : row_start[r + 1]]
        low = high = start[r]
        f_low = f_high = _warm_equation(codes, a, b, c, start[r])
        width = 0.25
        while f_low < 0.0 and low > -bound:
            high, f_high = low, f_low
            low = max(low - width, -bound)
            f_low = _warm_equation(codes, a, b, c, low)
            width *= 1.6
        while f_high > 0.0 and high < bound:
            low, f_low = high, f_high
            high = min(high + width, bound)
            f_high = _warm_equation(codes, a, b, c, high)
            width *= 1.6
        if f_low < 0.0:
            root = low
        elif f_high > 0.0:
            root = high
        else:
            root = low
            for _ in range(80):
                root = 0.5 * (low + high)
                if high - low < 1e-9:
                    break
                if _warm_equation(codes, a, b, c, root) > 0.0:
                    low = root
                else:
                    high = root
        theta[k] = root
        se[k] = 1.0 / np.sqrt(max(_derivatives(codes, a, b, c, root)[3], _TINY))
    return theta, se
