"""What the process is computing, for the server's list of sessions and for messages about waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PREFIX = "seedtest "
NAME_BYTES = 63
"""PostgreSQL cuts longer names."""

WAITING = "waiting for "
"""How every message about waiting begins; the terminal shows these at once."""

logger = logging.getLogger("seedtest_analytics")


@dataclass(frozen=True)
class Work:
    """``name`` is the asset or command and its partition; ``say`` tells the user that it waits."""

    name: str
    say: Callable[[str], None]

    @property
    def application_name(self) -> str:
        """The name of the work's sessions in ``pg_stat_activity``."""
        name = (PREFIX + self.name).encode("ascii", "replace")[:NAME_BYTES]
        return name.decode()


_UNNAMED = Work("analytics", logger.warning)
_current: ContextVar[Work] = ContextVar("work")


def current_work() -> Work:
    """The work of this thread."""
    return _current.get(_UNNAMED)


@contextmanager
def working_on(name: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Name the work of the block. ``say`` stays that of the surrounding work if it is not given."""
    token = _current.set(Work(name, say or current_work().say))
    try:
        yield
    finally:
        _current.reset(token)


def for_process(name: str) -> None:
    """Name the work of the process, such as its command."""
    _current.set(Work(name, current_work().say))
