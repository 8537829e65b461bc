"""PSLC DataShop: student-step and transaction exports, and the KDD Cup 2010 files of the same make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seedtest_analytics.ingest.formats.format import (
    Format,
    Row,
    Source,
    attempt,
    by_topic,
    each,
    first_of,
    milliseconds,
    names,
)

_OUTCOMES = {"correct": True, "ok": True, "incorrect": False, "error": False, "bug": False, "hint": False}


def _topics(row: Mapping[str, Any]) -> list[str]:
    """Knowledge components of the first model that the file has; several are joined by ``~~``."""
    model = next((name for name in row if name.startswith("KC") and "Category" not in name), None)
    return [part for part in str(row.get(model) or "").split("~~") if part] if model else []


def _step(row: Mapping[str, Any]) -> str:
    """A step is named within its problem. Longer names than the rule for texts allows keep their end."""
    return f"{row['Problem Name']} / {row['Step Name']}"[-200:]


def steps(source: Source) -> Iterator[Row]:
    """A row for each student and step, by the first attempt; a hint first is wrong."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        first = first_of(row, "Correct First Attempt", "First Attempt")
        right = _OUTCOMES.get(str(first).lower(), None if first is None else str(first) == "1")
        values = {
            "completed_at": first_of(row, "First Transaction Time", "Step End Time", "Step Start Time"),
            "response_time_ms": milliseconds(row.get("Step Duration (sec)") or ""),
            "hints_used": row.get("Hints"),
        }
        yield from by_topic(attempt(row["Anon Student Id"], _step(row), correct=right, **values), _topics(row))

    yield from each(source.rows, convert)


def transactions(source: Source) -> Iterator[Row]:
    """A row for each action; hints alone are not answers."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        outcome = str(row["Outcome"] or "").lower()
        if outcome in ("", "hint") or outcome not in _OUTCOMES:
            return
        values = {
            "completed_at": row["Time"],
            "session_id": row.get("Session Id"),
            "response_time_ms": milliseconds(row.get("Duration (sec)") or ""),
        }
        right = _OUTCOMES[outcome]
        yield from by_topic(attempt(row["Anon Student Id"], _step(row), correct=right, **values), _topics(row))

    yield from each(source.rows, convert)


DATASHOP = (
    Format(
        "KDD Cup 2010",
        "table",
        names("Anon Student Id|Problem Name|Step Name|Correct First Attempt|First Transaction Time"),
        "an item is a step of a problem; knowledge components are topics",
        steps,
    ),
    Format(
        "DataShop student-step export",
        "table",
        names("Anon Student Id|Problem Name|Step Name|First Attempt|First Transaction Time"),
        "an item is a step of a problem; the first attempt counts, and a hint first is wrong",
        steps,
    ),
    Format(
        "DataShop transactions",
        "table",
        names("Anon Student Id|Time|Problem Name|Step Name|Outcome"),
        "an item is a step of a problem; hints are left out",
        transactions,
    ),
)
