"""The compiled numbering of pairs, such as a student's topics and items, by first appearance."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit


@njit(cache=True, nogil=True)
def find_slots(first, second, keys, table, n_known) -> Any:
    """Slot of each pair (first, second), in the order of first appearance; ``keys`` and ``table`` are filled in place.

    ``table`` is open addressing of a size that is a power of two, with -1 for free places; ``keys[slot]`` is the pair.
    """
    slots = np.empty(len(first), dtype=np.int32)
    mask = np.uint64(len(table) - 1)
    for r in range(len(first)):
        key = (np.int64(first[r]) << np.int64(32)) | np.int64(second[r])
        place = _hash(key) & mask
        while True:
            slot = table[place]
            if slot < 0:
                table[place] = n_known
                keys[n_known] = key
                slot = n_known
                n_known += 1
                break
            if keys[slot] == key:
                break
            place = (place + np.uint64(1)) & mask
        slots[r] = slot
    return slots, n_known


@njit(cache=True, nogil=True)
def _hash(key) -> Any:
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@njit(cache=True, nogil=True)
def fill_table(keys, n_known, table) -> None:
    """Enter the known pairs into an empty table."""
    mask = np.uint64(len(table) - 1)
    for slot in range(n_known):
        place = _hash(keys[slot]) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = slot


@njit(cache=True, nogil=True)
def earlier_counts(slots, counts) -> Any:
    """(n,) how often each row's slot occurred before; ``counts`` goes on in place."""
    before = np.empty(len(slots), dtype=np.int32)
    for r in range(len(slots)):
        before[r] = counts[slots[r]]
        counts[slots[r]] += 1
    return before
