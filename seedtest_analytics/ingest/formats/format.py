"""What a known format is, and helpers of several formats."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seedtest_analytics.ingest.columns import PROBLEM, problem
from seedtest_analytics.ingest.errors import LoadError

Row = dict[str, str | None]
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
"""Where logs without times begin: the default of SEEDTEST_START_DATE."""


@dataclass(frozen=True)
class Source:
    """A file of a known format: its rows or objects, its name, and the companions that were found with it.

    ``companions`` maps the name of a companion format to its rows.
    """

    name: str
    rows: Iterable[Mapping[str, Any]]
    companions: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A format: ``needs`` are all columns or keys that it has. ``companion``: it has no attempts but belongs to a log."""

    name: str
    kind: Literal["table", "json"]
    needs: frozenset[str]
    about: str
    attempts: Callable[[Source], Iterator[Row]] | None = None

    def fits(self, names: set[str]) -> bool:
        """Whether a file with these columns or keys has the format."""
        return self.needs <= names

    def uses(self, name: str) -> bool:
        """Whether a column decides an attempt, so that it may not occur twice."""
        return name in self.needs

    @property
    def is_companion(self) -> bool:
        """Whether it has no attempts itself."""
        return self.attempts is None


class UnusableRowError(ValueError):
    """A row has not the form of its format. The message names the column and its value."""


_UNUSABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


def each(rows: Iterable[Mapping[str, Any]], convert: Callable[[Mapping[str, Any]], Iterable[Row]]) -> Iterator[Row]:
    """What each row becomes. A row that cannot be converted becomes a problem, and stops no other."""
    for row in rows:
        if row.get(PROBLEM):
            yield {PROBLEM: str(row[PROBLEM])}
            continue
        try:
            found = list(convert(row))
        except LoadError:
            raise
        except _UNUSABLE as error:
            words = str(error) if isinstance(error, UnusableRowError) else "a value has an unexpected form"
            found = [problem("row_unusable", words, _as_text(row))]
        yield from found


def _as_text(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deep)"


def names(text: str) -> frozenset[str]:
    """Names separated by ``|``."""
    return frozenset(part.strip() for part in text.split("|"))


def attempt(user: Any, item: Any, *, correct: bool | None, **values: Any) -> Row:
    """A row in the loader's columns; missing values are left out."""
    row = {"user_id": user, "item_id": item, "correct": None if correct is None else int(correct), **values}
    return {name: None if value is None or value == "" else str(value) for name, value in row.items()}


def by_topic(row: Row, topics: Iterable[str | None]) -> Iterator[Row]:
    """The row once for each topic, as the loader expects an attempt with several."""
    known: list[str | None] = [topic for topic in dict.fromkeys(topics) if topic]
    for topic in known or [None]:
        yield {**row, "topic_id": topic}


def share_right(value: Any) -> bool | None:
    """A score from 0 to 1 as right or wrong: only the full score is right."""
    text = str(value or "").strip()
    try:
        return None if text == "" else float(text) >= 1.0
    except ValueError:
        return None


def number(row: Mapping[str, Any], name: str) -> float:
    """A finite number. Raises :class:`UnusableRowError` for anything else."""
    try:
        value = float(str(row[name]).strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnusableRowError(f"{name} is {row[name]!r}, which is not a number")
    return value


def milliseconds(seconds: Any) -> str | None:
    """Seconds as milliseconds; None for what is not a number from 0. An infinite number stays, and counts as a gap."""
    try:
        value = 1000 * float(str(seconds).strip())
    except ValueError:
        return None
    if math.isinf(value):
        return str(value)
    return f"{round(value)}" if value >= 0 else None


def of_epoch(count: Any, *, per_second: int = 1) -> str | None:
    """A count since 1970 as ISO 8601."""
    try:
        seconds = float(str(count).strip()) / per_second
        return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def in_order(position: int) -> str:
    """The time of an answer in a log that has an order but no times: a minute after the one before.

    Raises :class:`UnusableRowError` for a place that is too far.
    """
    try:
        return (START + dt.timedelta(minutes=position)).isoformat()
    except OverflowError:
        raise UnusableRowError(f"the place {position} in the order is too large") from None


def first_of(row: Mapping[str, Any], *candidates: str) -> Any:
    """The first value that is there and not empty."""
    return next((row[name] for name in candidates if row.get(name) not in (None, "")), None)
