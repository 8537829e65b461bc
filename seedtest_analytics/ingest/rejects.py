"""The reason codes of ``load_rejects.reason``, their remedies, and their counts."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seedtest_analytics.ingest.columns import COLUMNS, REQUIRED
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.text_rule import TEXT_REMEDY, Shown, shown

MAX_EXAMPLE_CHARACTERS = 60
MAX_SHOWN_CHARACTERS = 2000
"""A longer value of a rejected row is cut."""

REMEDIES = {
    "row_malformed": "the row has more or fewer fields than the header; quote fields that contain the delimiter",
    "row_quote_unbalanced": 'close the quotation mark that opens a value; write a mark within a quoted value twice: ""',
    "row_not_json": "each line is one JSON object; export the line again",
    "row_unusable": "correct the value that is named, or ask the sender of the log; the row has not the form of its format",
    "statement_invalid": "correct the statement, or ask its sender; the value says which rule of xAPI it breaks",
    "user_id_missing": "give every row its user",
    "user_id_absurd": TEXT_REMEDY,
    "session_id_absurd": TEXT_REMEDY,
    "item_id_missing": "give every row its item",
    "item_id_absurd": TEXT_REMEDY,
    "item_id_not_integer": "whole numbers of at most 18 digits; for texts and UUIDs add --text-items",
    "topic_id_absurd": TEXT_REMEDY,
    "correct_not_boolean": "true/false, 1/0, yes/no, O/X, 정답/오답, correct/wrong; empty if unanswered",
    "response_time_ms_not_number": "milliseconds as a number with a decimal point; empty if not recorded",
    "response_time_ms_negative": "milliseconds from 0; empty if not recorded",
    "hints_used_not_whole_number": "a whole number; empty if not recorded",
    "hints_used_negative": "a whole number from 0; empty if not recorded",
    "completed_at_missing": "give every row its time",
    "completed_at_not_time": "e.g. 2026-03-02T09:30:00+09:00, 2026/3/2 9:30, 2026. 3. 2. 오후 3:04; "
    "for 03/04/2026 add --dates dmy or mdy",
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
    """The number of rows with one reason, how many answers were kept, the first rows as ``file:row``, and the remedy.

    ``values`` are the offending values of the first rows, each once.
    """

    reason: str
    rows: int
    kept: int
    examples: tuple[str, ...]
    remedy: str
    values: tuple[str, ...] = ()


class RejectTally:
    """Counts rejects as they stream by; keeps the first three places of each reason."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._values: dict[str, list[str]] = {}

    def add(self, reject: Reject) -> None:
        """Count a reject."""
        self._rows[reject.reason] += 1
        self._kept[reject.reason] += not reject.is_excluded
        examples = self._examples.setdefault(reject.reason, [])
        if len(examples) < 3:
            examples.append(f"{reject.file_name}:{reject.row_number}")
        values = self._values.setdefault(reject.reason, [])
        if len(values) < 3 and (value := offending_value(reject)) not in values:
            values.append(value)

    def counts(self) -> tuple[RejectCount, ...]:
        """Most frequent reason first."""
        return tuple(
            RejectCount(
                reason,
                rows,
                kept=self._kept[reason],
                examples=tuple(self._examples[reason]),
                remedy=REMEDIES[reason],
                values=tuple(self._values[reason]),
            )
            for reason, rows in sorted(self._rows.items(), key=lambda item: (-item[1], item[0]))
        )


def offending_value(reject: Reject) -> str:
    """The value that a reject is about, cut to 60 characters. Messages quote no user, so ids and whole rows stay out."""
    row = json.loads(reject.raw_row)
    if reject.reason in ("statement_invalid", "row_unusable"):
        return str(row["text"]).partition("\n")[0]
    name = next((name for name in row if reject.reason.startswith(f"{name}_")), None)
    if name is None:
        return "(the whole row)"
    if name == "user_id":
        return "(a user id)"
    value = row[name]
    text = "(nothing)" if value in (None, "") else str(value)
    return text if len(text) <= MAX_EXAMPLE_CHARACTERS else f"{text[:MAX_EXAMPLE_CHARACTERS]}…"


def refuse_overwriting(rejects: Path, logs: Iterable[Path]) -> None:
    """Raise :class:`LoadError` if the file of rejects is one of the logs, also by another name."""
    if rejects.exists() and any(log.exists() and rejects.samefile(log) for log in logs):
        raise LoadError(f"--rejects {rejects}: this is a log that is loaded, and would be lost; name another file")


class RejectFile:
    """Rejected rows as CSV in the loader's columns, each once, with its reasons and its place: repair it and load it.

    Rows that could not be taken apart are in the column ``text``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[tuple[str, int], dict[str, Any]] = {}

    def add(self, reject: Reject) -> None:
        """Add a reject; answers that were kept need no repair."""
        if reject.is_excluded:
            row = self._rows.setdefault((reject.file_name, reject.row_number), json.loads(reject.raw_row))
            row["reasons"] = " ".join(filter(None, (row.get("reasons"), reject.reason)))

    def write(self) -> None:
        """Write the file, also if there is no reject, so that an old one is not taken for the result."""
        names = [name for name in COLUMNS if any(name in row for row in self._rows.values())] or list(REQUIRED)
        fields = [*names, "text", "reasons", "from_file", "from_row"]
        try:
            # It holds answers of students, so only its owner reads it.
            file = os.fdopen(
                os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8-sig", newline=""
            )
        except OSError as error:
            raise LoadError(
                f"{self.path}: cannot be written: {error.strerror}; name another file with --rejects"
            ) from None
        with file:
            writer = csv.DictWriter(file, fields, extrasaction="ignore")
            writer.writeheader()
            for (file_name, number), row in self._rows.items():
                writer.writerow({**row, "from_file": file_name, "from_row": number})


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
