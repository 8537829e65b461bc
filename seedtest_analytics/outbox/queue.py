"""The outbox in the database: which message is next, and the changes of its state.

A message goes from ``new`` to ``sending`` immediately before the step that cannot be taken back, and by one statement, so
of two senders one gets it. ``sending`` means: handed over, and not known to have arrived. A sender that dies there leaves
the message there. What happens next depends on the channel: a webhook's receiver knows the key and may be asked again;
a mail server does not, so an operator decides.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from seedtest_analytics.database.sql_files import statement

SQL = "messages/queue.sql"
_FIRST_WAIT, _LONGEST_WAIT = dt.timedelta(minutes=2), dt.timedelta(hours=6)


@dataclass(frozen=True)
class Message:
    """A message to send. Its text and its address appear in no representation, so that no log can have them."""

    key: str
    user_id: str = field(repr=False)
    week_start: dt.date
    recipient: str
    language: str
    code: str
    text: str = field(repr=False)
    evidence: dict[str, Any] = field(repr=False)
    tries: int
    address: str | None = field(repr=False)


class Queue:
    """The outbox as one channel sees it. Each change of a state is a transaction."""

    def __init__(self, engine: Engine, channel: str, *, resends: bool, oldest: dt.date, max_tries: int) -> None:
        """``resends``: the channel's receiver ignores a key that it knows. ``oldest``: Monday of the oldest week to send."""
        self._engine, self._channel, self._resends = engine, channel, resends
        self._oldest, self._max_tries = oldest, max_tries

    def next(self) -> Message | None:
        """The oldest message that is due and whose recipient has consented; None if there is none."""
        parameters = {"channel": self._channel, "now": _now(), "resends": self._resends, "oldest": self._oldest}
        with self._engine.connect() as connection:
            row = connection.execute(statement(SQL, "next"), parameters).mappings().one_or_none()
        return None if row is None else Message(**row)

    def claim(self, key: str) -> bool:
        """Take a message for the step that cannot be taken back; False if it is not to be sent any more."""
        return self._change("claim", key=key, channel=self._channel, now=_now(), resends=self._resends)

    def sent(self, key: str) -> bool:
        """The receiver has accepted it."""
        return self._change("settle", key=key, state="sent", reason=None, not_before=None)

    def refused(self, key: str, reason: str) -> bool:
        """The receiver has refused it for good."""
        is_settled = self._change("settle", key=key, state="failed", reason=reason, not_before=None)
        return is_settled or self._change("refuse", key=key, reason=reason, channel=self._channel)

    def later(self, message: Message, reason: str, *, is_claimed: bool) -> None:
        """The receiver has certainly not accepted it: it is new again, or it has failed after the last try."""
        if message.tries + 1 >= self._max_tries:
            self.refused(message.key, f"gave up: {reason}")
        elif is_claimed:
            self._change("settle", key=message.key, state="new", reason=reason, not_before=_after(message.tries))
        else:
            self._change("postpone", key=message.key, reason=reason, not_before=_after(message.tries))

    def again(self, message: Message, reason: str) -> None:
        """Nobody knows whether it was accepted, and the receiver knows its key: it is handed over again later."""
        if message.tries + 1 >= self._max_tries:
            self.refused(message.key, f"gave up: {reason}")
        else:
            self._change("postpone", key=message.key, reason=reason, not_before=_after(message.tries))

    def bounced(self, key: str, reason: str) -> bool:
        """A mail came back for good: it has failed, and nothing is sent to its address any more."""
        is_known = self._change("bounce", key=key, reason=reason)
        if is_known:
            self.block_address(key)
        return is_known

    def block_address(self, key: str) -> None:
        """Send nothing more to the address of a message."""
        self._change("block_address", key=key, channel=self._channel, now=_now())

    def expire(self) -> int:
        """Cancel what is too old to be sent; return how many."""
        with self._engine.begin() as connection:
            return connection.execute(statement(SQL, "expire"), {"oldest": self._oldest}).rowcount

    def resolve(self, key: str, *, is_sent: bool) -> bool:
        """An operator's decision about a message under way: it has arrived, or it is to be sent again."""
        return self._change("resolve", key=key, state="sent" if is_sent else "new")

    def unresolved(self) -> list[tuple[str, str, dt.datetime]]:
        """Key, channel and time of the messages under way."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement(SQL, "unresolved"))]

    def counts(self) -> dict[str, int]:
        """Messages by state, and how many of the new ones this channel may send."""
        parameters = {"channel": self._channel, "now": _now(), "oldest": self._oldest}
        with self._engine.connect() as connection:
            return dict(connection.execute(statement(SQL, "counts"), parameters).mappings().one())

    def _change(self, name: str, **parameters: Any) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(statement(SQL, name), parameters).rowcount == 1


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _after(tries: int) -> dt.datetime:
    return _now() + min(_FIRST_WAIT * int(2**tries), _LONGEST_WAIT)
