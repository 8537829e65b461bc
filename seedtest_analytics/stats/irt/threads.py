"""Lanes of work on threads. The compiled loops release the interpreter lock, so plain threads suffice.

Numba's parallel loops do not replace this: their default threading layer ends the process when two Python threads
enter it together, and they triple the compilation time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def usable_cores() -> int:
    """Cores that this process may use: the CPU set of the container, not all cores of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_lanes(work: Callable[[int], T], n_lanes: int, *, threads: int | None = None) -> Sequence[T]:
    """``work(lane)`` for each lane. Results are in the order of lanes for any number of threads."""
    threads = min(usable_cores() if threads is None else threads, n_lanes)
    if threads <= 1:
        return [work(lane) for lane in range(n_lanes)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(n_lanes)))


def balanced_rows(row_start: NDArray[np.int64], n_lanes: int) -> NDArray[np.int64]:
    """(n_lanes + 1,) row boundaries with about the same number of answers between them."""
    n_rows, n_answers = len(row_start) - 1, int(row_start[-1])
    targets = np.linspace(0, n_answers, n_lanes + 1)
    bounds = np.searchsorted(row_start, targets, side="left")
    bounds[0], bounds[-1] = 0, n_rows
    return np.asarray(np.minimum(bounds, n_rows), dtype=np.int64)
