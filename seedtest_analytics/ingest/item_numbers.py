"""Numbers for items whose ids are texts or UUIDs: the same text has the same number in every log and database.

The number is a hash, so it does not depend on the order of the logs. It has 16 digits and stays below 2^53, so every reader
of JSON keeps it exact. The table `item_number` translates back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from seedtest_analytics.ingest.errors import LoadError

FIRST, END = 10**15, 9 * 10**15
MAX_OWN_DIGITS = 15
"""An id of at most this many digits is a number and keeps it."""


def number_of(source_id: str) -> int:
    """The number of a text id."""
    digest = hashlib.sha256(source_id.encode()).digest()
    return FIRST + int.from_bytes(digest[:8], "big") % (END - FIRST)


def remember_numbers(connection: Connection, numbers: Mapping[str, int]) -> None:
    """Store new entries of the dictionary. Raises :class:`LoadError` if two texts have the same number."""
    if not numbers:
        return
    rows = [{"item_id": number, "source_id": source_id} for source_id, number in numbers.items()]
    connection.execute(
        text(
            "INSERT INTO item_number (item_id, source_id) VALUES (:item_id, :source_id) ON CONFLICT (item_id) DO NOTHING"
        ),
        rows,
    )
    found = connection.execute(
        text("SELECT item_id, source_id FROM item_number WHERE item_id = ANY(:ids)"), {"ids": list(numbers.values())}
    )
    wrong = [source_id for item_id, source_id in found if numbers.get(source_id) != item_id]
    refuse_collisions(wrong)


def refuse_collisions(source_ids: Iterable[str]) -> None:
    """Raise :class:`LoadError` for texts whose number belongs to another text."""
    names = list(source_ids)
    if names:
        raise LoadError(
            f"the item id {names[0]!r} has the same number as another text id; rename one of the two and load again. "
            "Nothing was loaded."
        )
