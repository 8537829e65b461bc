"""Lookup tables on the quadrature grid, in the layout that the compiled kernels need. The kernels are in ``*kernels.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]

BLOCK = 64
"""Quadrature points are padded to a multiple of this, the length of the inner loops."""
MASKED_LOG_PRIOR = -1e30
"""Log prior of the padding: no mass, even where thousands of answers make every point of the grid very unlikely."""


def in_blocks(values: NDArray[Any], fill: float = 0.0) -> NDArray[Any]:
    """(..., blocks, BLOCK) from (..., points), padded with ``fill``."""
    n_points = values.shape[-1]
    n_blocks = -(-n_points // BLOCK)
    padded = np.full((*values.shape[:-1], n_blocks * BLOCK), fill, dtype=values.dtype)
    padded[..., :n_points] = values
    return padded.reshape(*values.shape[:-1], n_blocks, BLOCK)


def points(blocks: NDArray[Any], n_points: int) -> NDArray[Any]:
    """(..., n_points) from (..., blocks, BLOCK), without the padding."""
    return blocks.reshape(*blocks.shape[:-2], -1)[..., :n_points]


def answer_tables(
    a: Floats, d: Floats, *, c: Floats, nodes: Floats, dtype: DTypeLike = np.float64
) -> tuple[NDArray[Any], int, Floats, Floats, NDArray[Any]]:
    """Table (rows, blocks, BLOCK), shift, slope (n_items,), intercept (n_items,) and nodes (blocks, BLOCK).

    For an answer with code k = 2 · item + x, log P(x | θ) = table[k >> shift] + x (slope θ + intercept), indexed by item.

    Without guessing, log P(1 | θ) = log P(0 | θ) + a θ + d, so the table has one row per item, log P(0 | θ), and shift
    is 1. With guessing it has two rows per item, shift is 0, and slope and intercept are zero.
    """
    z = a[:, None] * nodes[None, :] + d[:, None]
    table, shift, slope, intercept = -np.logaddexp(0.0, z), 1, a, d
    if bool(np.any(c > 0)):
        log_wrong, shift, slope, intercept = table, 0, np.zeros(len(a)), np.zeros(len(a))
        table = np.empty((2 * len(a), len(nodes)))
        with np.errstate(divide="ignore"):
            table[0::2] = np.log1p(-c)[:, None] + log_wrong
            table[1::2] = np.logaddexp(np.log(c)[:, None], np.log1p(-c)[:, None] + (z + log_wrong))
    return in_blocks(table).astype(dtype, copy=False), shift, slope, intercept, in_blocks(nodes)
