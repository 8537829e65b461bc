"""The reason codes of ``load_rejects.reason``, their remedies, and their counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seedtest_analytics.ingest.text_rule import TEXT_REMEDY, Shown, shown

MAX_SHOWN_CHARACTERS = 2000
"""A longer value of a rejected row is cut."""

REMEDIES = {
    "row_malformed": "the row has more or fewer fields than the header; quote fields that contain the delimiter",
    "row_quote_unbalanced": 'close the quotation mark that opens a value; write a mark within a quoted value twice: ""',
    "user_id_missing": "give every row its user",
    "user_id_absurd": TEXT_REMEDY,
    "session_id_absurd": TEXT_REMEDY,
    "item_id_missing": "give every row its item",
    "item_id_not_integer": "item ids are whole numbers of at most 18 digits; number the items",
    "topic_id_absurd": TEXT_REMEDY,
    "correct_not_boolean": "true/false, 1/0, yes/no, t/f, y/n, on/off; empty if unanswered",
    "response_time_ms_not_number": "milliseconds as a number with a decimal point; empty if not recorded",
    "response_time_ms_negative": "milliseconds from 0; empty if not recorded",
    "hints_used_not_whole_number": "a whole number; empty if not recorded",
    "hints_used_negative": "a whole number from 0; empty if not recorded",
    "completed_at_missing": "give every row its time",
    "completed_at_not_time": "ISO 8601, e.g. 2026-03-02T09:30:00+09:00; convert counts of seconds and other formats",
    "completed_at_implausible": "a time from 1900 to 2199",
    "rescored_at_not_time": "ISO 8601, e.g. 2026-03-02T09:30:00+09:00; empty if never re-scored",
    "rescored_at_implausible": "a time from 1900 to 2199",
}


@dataclass(frozen=True)
class Reject:
    """One problem of one row; a row with two problems has two rejects.

    ``is_excluded``: the row is left out; otherwise its answer is loaded with the malformed field as not recorded.
    """

    file_name: str
    row_number: int
    reason: str
    raw_row: str
    is_excluded: bool


@dataclass(frozen=True)
class RejectCount:
    """The number of rows with one reason, how many answers were kept, the first rows as ``file:row``, and the remedy."""

    reason: str
    rows: int
    kept: int
    examples: tuple[str, ...]
    remedy: str


class RejectTally:
    """Counts rejects as they stream by; keeps the first three places of each reason."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reject: Reject) -> None:
        """Count a reject."""
        self._rows[reject.reason] += 1
        self._kept[reject.reason] += not reject.is_excluded
        examples = self._examples.setdefault(reject.reason, [])
        if len(examples) < 3:
            examples.append(f"{reject.file_name}:{reject.row_number}")

    def counts(self) -> tuple[RejectCount, ...]:
        """Most frequent reason first."""
        return tuple(
            RejectCount(
                reason, rows, kept=self._kept[reason], examples=tuple(self._examples[reason]), remedy=REMEDIES[reason]
            )
            for reason, rows in sorted(self._rows.items(), key=lambda item: (-item[1], item[0]))
        )


def raw_rows(columns: Mapping[str, pa.Array], rows: np.ndarray) -> list[str]:
    """Some rows as JSON that PostgreSQL can store: jsonb has neither NUL characters nor NaN."""
    values = {name: shown(array.take(pa.array(rows))) for name, array in columns.items()}
    return [raw_row({name: column[row] for name, column in values.items()}) for row in range(len(rows))]


def raw_row(row: Mapping[str, Shown]) -> str:
    """One row as JSON that PostgreSQL can store."""
    return json.dumps({name: _storable(value) for name, value in row.items()}, ensure_ascii=False)


def _storable(value: Shown) -> Shown:
    if not isinstance(value, str):
        return value
    return value[:MAX_SHOWN_CHARACTERS].replace("\x00", "\ufffd")
