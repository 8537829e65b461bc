"""Compiled inverse and product of small square matrices."""

from __future__ import annotations

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.kernels import FASTMATH


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def invert(matrix, n, row) -> None:
    """Replace the leading (n, n) of a symmetric positive definite matrix by its inverse (Gauss-Jordan, in place).

    ``row`` (n,) is scratch. Such a matrix needs no pivots. Inner loops run along whole rows: only those fill vector registers.
    """
    for k in range(n):
        inverse = 1.0 / max(matrix[k, k], 1e-300)
        for j in range(n):
            row[j] = matrix[k, j] * inverse
        row[k] = inverse
        for i in range(n):
            if i != k:
                factor = matrix[i, k]
                matrix[i, k] = 0.0
                for j in range(n):
                    matrix[i, j] -= factor * row[j]
        for j in range(n):
            matrix[k, j] = row[j]


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def multiply(left, right, product) -> None:
    """Add ``left`` · ``right`` to ``product``. A library call would take longer than the sums of so small a matrix."""
    n = len(product)
    for i in range(n):
        for k in range(n):
            factor = left[i, k]
            for j in range(n):
                product[i, j] += factor * right[k, j]
