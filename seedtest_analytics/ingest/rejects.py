"""The reason codes of ``load_rejects.reason``, their remedies, and their counts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

REMEDIES = {
    "row_malformed": "the row has more or fewer fields than the header; quote fields that contain the delimiter",
    "user_id_missing": "give every row its user",
    "user_id_absurd": "at most 200 characters and no control characters, valid UTF-8",
    "session_id_absurd": "at most 200 characters and no control characters, valid UTF-8",
    "item_id_missing": "give every row its item",
    "item_id_not_integer": "item ids are whole numbers of at most 18 digits; number the items",
    "topic_id_absurd": "at most 200 characters and no control characters, valid UTF-8",
    "correct_not_boolean": "true/false, 1/0, yes/no, t/f, y/n, on/off; empty if unanswered",
    "response_time_ms_not_number": "milliseconds as a number; empty if not recorded",
    "response_time_ms_negative": "milliseconds from 0; empty if not recorded",
    "hints_used_not_whole_number": "a whole number; empty if not recorded",
    "hints_used_negative": "a whole number from 0; empty if not recorded",
    "completed_at_missing": "give every row its time",
    "completed_at_not_time": "ISO 8601, e.g. 2026-03-02T09:30:00+09:00",
    "completed_at_implausible": "a time from 1900 to 2199",
    "rescored_at_not_time": "ISO 8601, e.g. 2026-03-02T09:30:00+09:00; empty if never re-scored",
    "rescored_at_implausible": "a time from 1900 to 2199",
}


@dataclass(frozen=True)
class Reject:
    """One problem of one row; a row with two problems has two rejects."""

    file_name: str
    row_number: int
    reason: str
    raw_row: str


@dataclass(frozen=True)
class RejectCount:
    """The number of rows with one reason, the first of them as ``file:row``, and the remedy."""

    reason: str
    rows: int
    examples: tuple[str, ...]
    remedy: str


class RejectTally:
    """Counts rejects as they stream by; keeps the first three places of each reason."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reject: Reject) -> None:
        """Count a reject."""
        self._rows[reject.reason] += 1
        examples = self._examples.setdefault(reject.reason, [])
        if len(examples) < 3:
            examples.append(f"{reject.file_name}:{reject.row_number}")

    def counts(self) -> tuple[RejectCount, ...]:
        """Most frequent reason first."""
        return tuple(
            RejectCount(reason, rows, examples=tuple(self._examples[reason]), remedy=REMEDIES[reason])
            for reason, rows in sorted(self._rows.items(), key=lambda item: (-item[1], item[0]))
        )


def raw_row_json(row: dict[str, Any]) -> str:
    """The row as JSON that PostgreSQL can store: jsonb has neither NUL characters nor NaN."""
    return json.dumps({name: _storable(value) for name, value in row.items()}, ensure_ascii=False)


def _storable(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, bool | int):
        return value
    return str(value).replace("\x00", "\ufffd")
