"""Waiting for a condition, as long as a machine under load may need."""

import time
from collections.abc import Callable

LIMIT_SECONDS = 1800


def wait_until(is_so: Callable[[], object], *, tell: Callable[[], object] = lambda: "") -> None:
    """Return when the condition holds; fail the test if it never does, with what ``tell`` then says."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"the condition never held {tell()}"
        time.sleep(0.05)
