"""Rows of large tables that a kernel asks for before it needs them.

Answers in the order of time jump from student to student. In tables of a million students each jump waits for the memory. A
kernel knows the next rows, so the processor can load them while it works on this one. No number depends on that.
"""

from __future__ import annotations

from seedtest_analytics.stats.compiled import ask_for, njit

AHEAD = 16
"""Answers between the request and the use: enough for a slow memory, and few enough for a small cache."""
_NUMBERS_A_LINE = 8
"""A processor loads 64 bytes at once."""


@njit(cache=True, nogil=True)
def ask_for_row(row) -> None:
    """Load all of a row of float64 in the background."""
    for position in range(0, len(row), _NUMBERS_A_LINE):
        ask_for(row, position)
    ask_for(row, len(row) - 1)
