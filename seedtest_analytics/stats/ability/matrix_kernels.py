"""Compiled inverse and product of small square matrices."""

from __future__ import annotations

import math

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.kernels import FASTMATH


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def invert(matrix, n, work) -> None:
    """Replace the leading (n, n) of a symmetric positive definite matrix by its inverse (Cholesky, in place).

    Inner loops run along rows: only those fill vector registers.
    """
    if n == 1:
        matrix[0, 0] = 1.0 / matrix[0, 0]
        return
    for j in range(n):
        for i in range(j, n):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = math.sqrt(max(total, 1e-300)) if i == j else total / matrix[j, j]
    for i in range(n):
        inverse = 1.0 / matrix[i, i]
        for j in range(i):
            work[i, j] = 0.0
        for k in range(i):
            factor = matrix[i, k] * inverse
            for j in range(k + 1):
                work[i, j] -= factor * work[k, j]
        work[i, i] = inverse
    for i in range(n):
        for j in range(i + 1):
            matrix[i, j] = 0.0
    for k in range(n):
        for i in range(k + 1):
            factor = work[k, i]
            for j in range(i + 1):
                matrix[i, j] += factor * work[k, j]
    for i in range(n):
        for j in range(i):
            matrix[j, i] = matrix[i, j]


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def multiply(left, right, product) -> None:
    """Add ``left`` · ``right`` to ``product``. A library call would take longer than the sums of so small a matrix."""
    n = len(product)
    for i in range(n):
        for k in range(n):
            factor = left[i, k]
            for j in range(n):
                product[i, j] += factor * right[k, j]
