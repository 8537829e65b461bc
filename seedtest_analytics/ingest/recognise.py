"""What a file is like, from its beginning: encoding, columns, unit of times, order of dates, kind of item ids.

All that is guessed is a proposal: the command shows it and asks once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seedtest_analytics.ingest.columns import OPTIONAL, REQUIRED, propose_mapping
from seedtest_analytics.ingest.convert import NULL_WORDS, convert_batch, numbers_of
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.other_times import has_two_meanings, order_of
from seedtest_analytics.ingest.sources import column_names, csv_encoding, is_parquet, open_logs, read_batches
from seedtest_analytics.ingest.text_rule import as_text
from seedtest_analytics.ingest.value_rules import DateOrder, TimeUnit, ValueRules

SAMPLE_ROWS = 5_000
SHOWN_ROWS = 5
TEXT_SHARE = 0.1
"""Item ids are texts if more than this share of the sample is not a whole number."""
POINTS_SHARE = 0.01
"""A guessed column of right and wrong is refused if more than this share of the sample is another number than 0 and 1."""
_POINTS = re.compile(r"-?\d{1,9}([.,]\d{1,9})?")
SECONDS_BELOW, MILLISECONDS_FROM = 300.0, 1000.0
"""A median response time below 300 cannot be milliseconds, and from 1,000 on hardly seconds (17 minutes)."""


@dataclass(frozen=True)
class Given:
    """What the user has said; None is recognised."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    time_unit: TimeUnit | None = None
    date_order: DateOrder | None = None
    has_text_items: bool | None = None


@dataclass(frozen=True)
class Proposal:
    """How the files are read. ``guesses`` need the user's word; ``facts`` are only told. ``sample`` shows first rows.

    Without an ``encoding``, that of each file is guessed.
    """

    mapping: dict[str, str]
    encoding: str | None
    rules: ValueRules
    guesses: tuple[str, ...]
    facts: tuple[str, ...]
    sample: tuple[Mapping[str, str], ...] = ()
    file_columns: Mapping[str, str] = field(default_factory=dict)


def recognise(
    paths: Sequence[Path],
    given: Given,
    *,
    names: Mapping[Path, str],
    zone: ZoneInfo,
    origins: Mapping[Path, Path] | None = None,
    shown_rows: int = SHOWN_ROWS,
) -> Proposal:
    """Look into the first file; the others are read in the same way.

    Raises :class:`LoadError` if a required column is not found, if dates have two meanings, if a guessed column of right
    and wrong has points, or if a file names optional columns otherwise than the first.
    """
    first = paths[0]
    encoding = given.encoding
    facts = [] if encoding is not None else list(_encodings(paths, names))
    found = column_names(first, encoding=encoding, name=names[first])
    mapping = propose_mapping(found, given.mapping)
    if not all(name in mapping or name in [n.strip() for n in found] for name in REQUIRED):
        open_logs(
            [first], dict(given.mapping), encoding=encoding, names=names, origins=origins
        )  # raises, with the command
    for path in paths[1:]:
        _refuse_other_names(path, mapping, given=given, names=names)
    guesses = [f"{name} is the column {column!r}" for name, column in mapping.items() if name not in given.mapping]
    log = open_logs([first], mapping, encoding=encoding, names=names, origins=origins)[0]
    batch = next(iter(read_batches(log)), None)
    columns = {} if batch is None else {name: array.slice(0, SAMPLE_ROWS) for name, array in batch.columns.items()}
    if "correct" in mapping and "correct" not in given.mapping:
        _refuse_points(columns.get("correct"), mapping["correct"], name=names[first])
    rules, guessed, told = _rules(columns, given, source=mapping)
    return Proposal(
        mapping,
        encoding,
        rules,
        guesses=(*guesses, *guessed),
        facts=(*facts, *told),
        sample=_sample(columns, rules, zone=zone, rows=shown_rows),
        file_columns={name: mapping.get(name, name) for name in columns},
    )


def _refuse_other_names(path: Path, mapping: Mapping[str, str], *, given: Given, names: Mapping[Path, str]) -> None:
    """Optional columns that the first file names otherwise would be lost without a word."""
    found = column_names(path, encoding=given.encoding, name=names[path])
    likely = propose_mapping(found, given.mapping)
    known = {column.strip() for column in found}
    for name, column in likely.items():
        if name in OPTIONAL and mapping.get(name, name) not in known:
            raise LoadError(
                f"{names[path]}: {column!r} seems to be {name}, which the first file does not have by this name; "
                "load the file in another command"
            )


def _refuse_points(array: pa.Array | None, column: str, *, name: str) -> None:
    """A guess is wrong if the column has points or shares: 0 would be wrong, and all others but 1 rejected."""
    texts = [text.strip() for text in as_text(array)[0].to_pylist() if text] if array is not None else []
    points = [text for text in texts if _POINTS.fullmatch(text) and float(text.replace(",", ".")) not in (0.0, 1.0)]
    if len(points) > POINTS_SHARE * len(texts):
        examples = ", ".join(dict.fromkeys(points[:20]))
        raise LoadError(
            f"{name}: {column!r} has points ({examples}), not right and wrong; export 1 and 0, or name a column with "
            "--map correct=COLUMN"
        )


def _encodings(paths: Sequence[Path], names: Mapping[Path, str]) -> Iterator[str]:
    """What is said about files whose encoding was guessed: the first name for each."""
    found: dict[str, list[str]] = {}
    for path in paths:
        if not is_parquet(path):
            found.setdefault(csv_encoding(path, None, name=names[path]), []).append(names[path])
    for encoding in (encoding for encoding in found if encoding not in ("utf-8", "utf-16")):
        first, *others = found[encoding]
        yield f"{first}{f' and {len(others):,} more' if others else ''}: read as {encoding}"


def _rules(
    columns: Mapping[str, pa.Array], given: Given, *, source: Mapping[str, str]
) -> tuple[ValueRules, list[str], list[str]]:
    rules, guesses, facts = ValueRules(), [], []
    has_text = given.has_text_items
    if has_text is None and "item_id" in columns:
        has_text = _share_of_texts(columns["item_id"]) > TEXT_SHARE
        if has_text:
            facts.append("item ids are texts: each gets a number, and the table item_number has both")
    rules = replace(rules, has_text_items=bool(has_text))
    unit, is_guessed = given.time_unit, False
    if unit is None and "response_time_ms" in columns:
        unit, is_guessed = _unit(columns["response_time_ms"], source.get("response_time_ms", "response_time_ms"))
    if is_guessed:
        guesses.append(f"response times are in {'seconds' if unit == 's' else 'milliseconds'} (--time-unit)")
    rules = replace(rules, time_unit=unit or "ms")
    order = given.date_order
    if order is None and "completed_at" in columns:
        texts = [text for text in as_text(columns["completed_at"])[0].to_pylist() if text]
        doubtful = [text for text in texts if has_two_meanings(text)]
        order = order_of(texts)
        if doubtful and order is None:
            raise LoadError(
                f"completed_at: {doubtful[0]!r} has two meanings; add --dates dmy (day first) or --dates mdy (month first)"
            )
        if doubtful:
            facts.append(f"dates have the {'day' if order == 'dmy' else 'month'} first")
    return replace(rules, date_order=order), guesses, facts


def _share_of_texts(array: pa.Array) -> float:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(as_text(array)[0]))
    present = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=pa.array(NULL_WORDS))))
    known = words.filter(present)
    is_text = pc.invert(pc.match_substring_regex(known, r"^[+-]?\d{1,18}(\.0+)?$"))
    return float(pc.mean(pc.cast(is_text, pa.int8())).as_py() or 0.0) if len(known) else 0.0


def _unit(array: pa.Array, column: str) -> tuple[TimeUnit, bool]:
    """The unit by the column's name, else by the median; whether it is a guess. Arrow's durations have their own."""
    if pa.types.is_duration(array.type):
        return "ms", False
    plain = column.lower()
    if re.search(r"(^|[^a-z])ms([^a-z]|$)|milli|밀리", plain):
        return "ms", False
    if re.search(r"sec|초", plain):
        return "s", False
    numbers, bad = numbers_of(array)
    positive = numbers[(numbers > 0) & ~bad]
    if not len(positive):
        return "ms", False
    median = float(np.median(positive))
    if SECONDS_BELOW <= median < MILLISECONDS_FROM:
        raise LoadError(
            f"{column}: a median of {median:,.0f} may be seconds or milliseconds; add --time-unit s or --time-unit ms"
        )
    return ("s" if median < SECONDS_BELOW else "ms"), True


def _sample(
    columns: Mapping[str, pa.Array], rules: ValueRules, *, zone: ZoneInfo, rows: int
) -> tuple[Mapping[str, str], ...]:
    """The first rows as they will be stored; a value that cannot be read is shown with a question mark."""
    first = {name: array.slice(0, rows) for name, array in columns.items()}
    converted = convert_batch(first, zone, rules=rules)
    shown: list[dict[str, str]] = []
    for row in range(min(rows, len(next(iter(first.values()), [])))):
        values = {}
        for name, column in converted.items():
            is_bad = any(mask[row] for mask in (*column.problems.values(), *column.gaps.values()))
            raw = as_text(first[name])[0][row].as_py()
            values[name] = f"{raw} ?" if is_bad else _shown(column.values[row].as_py(), name)
        shown.append(values)
    return tuple(shown)


def _shown(value: Any, name: str) -> str:
    if value is None:
        return "–"
    if name == "response_time_ms":
        return f"{value:g} s"
    return str(value)
