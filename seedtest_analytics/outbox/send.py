"""Sends what is due: one message at a time, at a bounded rate, by one sender at a time.

The lock is a matter of order, not of safety: without it two senders would still hand over each message once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import Engine

from seedtest_analytics.database.sessions import lock_held
from seedtest_analytics.outbox.queue import Message, Queue

LOCK = "message_outbox"
_FAILURES_IN_A_ROW = 3


class SenderError(RuntimeError):
    """A channel cannot be used; the message says what to do and has no address and no secret."""


Outcome = Literal["sent", "refused", "blocked", "later", "again", "unclear", "not_claimed"]
"""What became of a message.

``refused``: for good; ``blocked``: its address, for good; ``later``: certainly not accepted; ``again``: perhaps accepted,
and the receiver knows the key; ``unclear``: perhaps accepted, and an operator decides; ``not_claimed``: it was cancelled, or
consent was withdrawn, in the meantime.
"""


@dataclass(frozen=True)
class Delivery:
    """An outcome with its reason, a short code without an address."""

    outcome: Outcome
    reason: str = ""
    is_claimed: bool = True
    is_broken: bool = False
    """The fault is not the message's: the connection broke, or the receiver does not work."""


class Sender(Protocol):
    """A channel. ``deliver`` calls ``claim`` immediately before the step that cannot be taken back, and stops if it says no."""

    channel: str
    resends: bool

    def deliver(self, message: Message, claim: Callable[[], bool]) -> Delivery:
        """Hand a message over. Raises :class:`SenderError` if no message can be handed over."""

    def close(self) -> None:
        """End the connection."""


def send_due(
    engine: Engine, queue: Queue, *, sender: Sender, per_minute: float, limit: int | None = None
) -> Counter[Outcome]:
    """Send what is due, at most ``limit`` messages; return how many had which outcome.

    Raises:
        SenderError: the channel cannot be used, or does not take three messages in a row. What was sent stays sent.
    """
    done: Counter[Outcome] = Counter()
    failures = 0
    pace = _Pace(per_minute)
    try:
        with lock_held(engine, LOCK):
            queue.expire()
            while (limit is None or done.total() < limit) and (message := queue.next()) is not None:
                pace.wait()
                delivery = sender.deliver(message, lambda key=message.key: queue.claim(key))  # type: ignore[misc]
                _settle(queue, message, delivery=delivery)
                done[delivery.outcome] += 1
                failures = failures + 1 if delivery.is_broken else 0
                if failures == _FAILURES_IN_A_ROW:
                    raise SenderError(
                        f"the {sender.channel} receiver did not take {failures} messages in a row ({delivery.reason}); they "
                        "are tried again later"
                    )
    finally:
        sender.close()
    return done


def _settle(queue: Queue, message: Message, *, delivery: Delivery) -> None:
    match delivery.outcome:
        case "sent":
            queue.sent(message.key)
        case "refused":
            queue.refused(message.key, delivery.reason)
        case "blocked":
            queue.refused(message.key, delivery.reason)
            queue.block_address(message.key)
        case "later":
            queue.later(message, delivery.reason, is_claimed=delivery.is_claimed)
        case "again":
            queue.again(message, delivery.reason)
        case "unclear" | "not_claimed":
            pass


class _Pace:
    """Waits so that no more than ``per_minute`` messages start in a minute."""

    def __init__(self, per_minute: float) -> None:
        self._seconds, self._next_at = 60.0 / per_minute, time.monotonic()

    def wait(self) -> None:
        delay = self._next_at - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        self._next_at = max(self._next_at, time.monotonic()) + self._seconds
