"""What one answer says about its logit, by quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.kernels import FASTMATH


def _gauss_hermite(n: int) -> tuple[Any, Any]:
    """Nodes from 0 up, of an odd number, and their weights; each node above 0 stands for the one below it too."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    half = slice(n // 2, None)
    return np.ascontiguousarray(nodes[half]), np.ascontiguousarray(weights[half] / weights.sum())


_NODES, _WEIGHTS = _gauss_hermite(9)
_WIDE_NODES, _WIDE_WEIGHTS = _gauss_hermite(17)
_WIDE_ABOVE = 3.0
"""Above this variance 9 points leave an error of more than 0.001."""


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def answer_update(mean, variance, is_right) -> tuple[Any, Any, Any]:
    """P(right), g = d log Z / d mean and h = -d² log Z / d mean² with Z = E P(answer | η), η ~ N(mean, variance).

    The posterior of η has mean + variance · g and variance - variance² · h (Gauss-Hermite).
    """
    sign = 1.0 if is_right == 1 else -1.0
    if variance < 1e-8:
        p = 1.0 / (1.0 + math.exp(-mean))
        return p, (1.0 - p if is_right == 1 else -p), p * (1.0 - p)
    sd = math.sqrt(variance)
    odds = math.exp(-sign * mean)
    first, second = 0.0, 0.0
    nodes, weights = _NODES, _WEIGHTS
    if variance >= _WIDE_ABOVE:
        nodes, weights = _WIDE_NODES, _WIDE_WEIGHTS
    z = weights[0] / (1.0 + odds)
    # Nodes are symmetric about 0, and exp(-x) = 1 / exp(x): one exponential serves two of them.
    for q in range(1, len(nodes)):
        x = nodes[q]
        factor = math.exp(sd * x)
        above = weights[q] * factor / (factor + odds)
        below = weights[q] / (1.0 + odds * factor)
        z += above + below
        first += (above - below) * x
        second += (above + below) * x * x
    shift = sign * first / z
    return (z if is_right == 1 else 1.0 - z), shift / sd, (1.0 - (second / z - shift * shift)) / variance
