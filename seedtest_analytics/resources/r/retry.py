"""Trying again, with growing waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
GROWTH = 2.0


def growing_waits(n_tries: int, first_wait_seconds: float, *, growth: float = GROWTH) -> tuple[float, ...]:
    """Seconds between ``n_tries`` tries: the first wait, then each ``growth`` times the one before.

    >>> growing_waits(4, 5.0)
    (5.0, 10.0, 20.0)
    """
    if n_tries < 1:
        raise ValueError(f"there must be at least one try, not {n_tries}")
    if first_wait_seconds < 0 or growth < 1:
        raise ValueError(f"waits cannot be negative or shrink: first {first_wait_seconds} s, growth {growth}")
    return tuple(first_wait_seconds * growth**i for i in range(n_tries - 1))


def try_repeatedly(
    work: Callable[[], T],
    waits_seconds: tuple[float, ...],
    *,
    retried: tuple[type[Exception], ...],
    logger: logging.Logger,
    what: str,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What ``work`` returns, tried again after each wait where it raises one of ``retried``; the last error
    is raised.

    Each try is logged with its number.
    """
    n_tries = len(waits_seconds) + 1
    for number, wait_seconds in enumerate(waits_seconds, start=1):
        logger.info("%s: try %d of %d", what, number, n_tries)
        try:
            return work()
        except retried as error:
            failure = f"{what}: try {number} of {n_tries} failed, next in {wait_seconds:g} s: {error}"
            logger.warning("%s", failure)
            sleep(wait_seconds)
    logger.info("%s: try %d of %d", what, n_tries, n_tries)
    return work()
