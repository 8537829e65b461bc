"""Convert one batch of a log to typed columns, and say which rows are rejected and why.

A converter takes an Arrow array of any type and returns typed values and one boolean mask per reason: to reject the row,
or to keep the answer with this field as not recorded. A NULL that no mask marks is a field that was not recorded. The
converters are vectorised. A bad value never raises; a column of a type without a text form does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seedtest_analytics.ingest.item_numbers import MAX_OWN_DIGITS, number_of
from seedtest_analytics.ingest.other_times import as_iso
from seedtest_analytics.ingest.text_rule import as_text, is_plain
from seedtest_analytics.ingest.times import PER_SECOND, Mask, Micros, local_to_instant, mask_of, parse_iso
from seedtest_analytics.ingest.value_rules import DEFAULT_RULES, ValueRules

TRUE_WORDS = (
    *("true", "t", "1", "yes", "y", "on", "correct", "right", "o", "○", "◯", "〇", "✓", "✔"),
    *("정답", "맞음", "정", "예", "참", "맞았음"),
)
FALSE_WORDS = (
    *("false", "f", "0", "no", "n", "off", "incorrect", "wrong", "x", "×", "✗", "✘", "╳"),
    *("오답", "틀림", "오", "아니오", "아니요", "거짓", "틀렸음"),
)
NULL_WORDS = ("", "na", "n/a", "nan", "null", "none", "\\n", "<na>", "nat")
"""How spreadsheets and data frames write a missing number, answer or time. Ids may be such words."""

_DECIMAL_COMMA = r"^[+-]?(0,\d{1,9}|\d{1,18},(\d{1,2}|\d{4,9}))$"
"""12,5 is 12.5. Not so 1,234, which may be a thousand."""
_FIRST = int(np.datetime64("1900-01-01", "us").astype(np.int64))
_END = int(np.datetime64("2200-01-01", "us").astype(np.int64))
_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Converted:
    """Typed values of a column. ``problems`` maps a reason to a mask of rows to reject.

    ``gaps`` maps a reason to a mask of rows whose field counts as not recorded, as in the sync of exam results.
    ``numbered`` has the text ids of items and their numbers.
    """

    values: pa.Array
    problems: dict[str, Mask] = field(default_factory=dict)
    gaps: dict[str, Mask] = field(default_factory=dict)
    local_times: int = 0
    numbered: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """The zone of times without an offset, and what values mean where several readings are possible."""

    zone: ZoneInfo
    rules: ValueRules = DEFAULT_RULES


def convert_batch(
    columns: Mapping[str, pa.Array], zone: ZoneInfo, *, rules: ValueRules = DEFAULT_RULES
) -> dict[str, Converted]:
    """Convert the columns of a batch. Times without an offset are in ``zone``. Reasons start with the column's name."""
    converted, reading = {}, Reading(zone, rules)
    for name, array in columns.items():
        column = CONVERTERS[name](array, reading)
        problems, gaps = (
            {f"{name}_{reason}": mask for reason, mask in found.items()} for found in (column.problems, column.gaps)
        )
        converted[name] = replace(column, problems=problems, gaps=gaps)
    return converted


def _blank(text: pa.Array) -> Mask:
    return ~mask_of(pc.match_substring_regex(text, r"\S"))


def _null_where(array: pa.Array, mask: Mask) -> pa.Array:
    return pc.if_else(pa.array(~mask), array, pa.scalar(None, array.type)) if mask.any() else array


def convert_user(array: pa.Array, reading: Reading) -> Converted:
    """A raw user id, unchanged."""
    text, undecodable = as_text(array)
    missing = _blank(text) & ~undecodable
    return Converted(text, {"missing": missing, "absurd": undecodable | ~(is_plain(text) | missing)})


def convert_label(array: pa.Array, reading: Reading) -> Converted:
    """A session or topic id; blank means not recorded."""
    text, undecodable = as_text(array)
    blank = _blank(text)
    return Converted(_null_where(text, blank), {"absurd": undecodable | ~(is_plain(text) | blank)})


def _words(array: pa.Array) -> tuple[pa.Array, Mask, Mask]:
    """Trimmed lower-case text, and masks of the missing and the undecodable values."""
    text, undecodable = as_text(array)
    words = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    missing = (mask_of(pc.is_in(words, value_set=pa.array(NULL_WORDS))) | mask_of(pc.is_null(words))) & ~undecodable
    return words, missing, undecodable


def convert_item(array: pa.Array, reading: Reading) -> Converted:
    """An item id, a 64-bit integer."""
    if pa.types.is_signed_integer(array.type):
        return Converted(pc.cast(array, pa.int64()), {"missing": mask_of(pc.is_null(array))})
    words, missing, undecodable = _words(array)
    is_integer = mask_of(pc.match_substring_regex(words, r"^[+-]?\d{1,18}(\.0+)?$"))
    digits = pc.replace_substring_regex(_null_where(words, ~is_integer), r"^\+|\.0+$", "")
    if reading.rules.has_text_items:
        return _numbered(array, digits, missing=missing)
    bad = (~is_integer & ~missing) | undecodable
    return Converted(pc.cast(digits, pa.int64()), {"missing": missing, "not_integer": bad})


def _numbered(array: pa.Array, digits: pa.Array, *, missing: Mask) -> Converted:
    """Ids of up to 15 digits as they are, and numbers for all other texts."""
    is_own = mask_of(pc.match_substring_regex(digits, rf"^-?\d{{1,{MAX_OWN_DIGITS}}}$"))
    text, undecodable = as_text(array)
    text = pc.utf8_trim_whitespace(text)
    absurd = (undecodable | ~is_plain(text)) & ~missing
    named = ~is_own & ~missing & ~absurd
    coded = pc.dictionary_encode(_null_where(text, ~named))
    numbers = {source_id: number_of(source_id) for source_id in coded.dictionary.to_pylist()}
    by_name = pa.array(list(numbers.values()), pa.int64()).take(coded.indices)
    own = pc.cast(_null_where(digits, ~is_own), pa.int64())
    return Converted(pc.coalesce(own, by_name), {"missing": missing, "absurd": absurd}, numbered=numbers)


def convert_correct(array: pa.Array, reading: Reading) -> Converted:
    """Right, wrong, or NULL if unanswered."""
    if pa.types.is_boolean(array.type):
        return Converted(array)
    words, missing, _ = _words(array)
    words = pc.replace_substring_regex(words, r"^([01])[.,]0+$", r"\1")
    is_true = mask_of(pc.is_in(words, value_set=pa.array(TRUE_WORDS)))
    is_known = is_true | mask_of(pc.is_in(words, value_set=pa.array(FALSE_WORDS)))
    return Converted(pa.array(is_true, mask=~is_known), {"not_boolean": ~is_known & ~missing})


def numbers_of(array: pa.Array) -> tuple[npt.NDArray[np.float64], Mask]:
    """Numbers (NaN if missing), and a mask of the values that are not finite numbers."""
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        values = np.array(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=float)
        return values, np.isinf(values)
    words, missing, _ = _words(array)
    has_comma = pc.match_substring_regex(words, _DECIMAL_COMMA)
    words = pc.if_else(has_comma, pc.replace_substring(words, ",", "."), words)
    is_number = mask_of(pc.match_substring_regex(words, r"^[+-]?(\d{1,18}(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?$"))
    digits = pc.replace_substring_regex(_null_where(words, ~is_number), r"^\+", "")
    return np.array(pc.cast(digits, pa.float64()).to_numpy(zero_copy_only=False), dtype=float), ~is_number & ~missing


def convert_response_time(array: pa.Array, reading: Reading) -> Converted:
    """Seconds, from the unit of the file, or of Arrow's duration; 0 and very long times are kept."""
    per_second = 1000 if reading.rules.time_unit == "ms" else 1
    if pa.types.is_duration(array.type):
        per_second, array = PER_SECOND[array.type.unit], pc.cast(array, pa.int64())
    counts, bad = numbers_of(array)
    negative = counts < 0
    missing = np.isnan(counts) | bad | negative
    seconds = pa.array(counts / per_second, pa.float64(), mask=missing)
    return Converted(seconds, gaps={"not_number": bad, "negative": negative & ~bad})


def convert_hints(array: pa.Array, reading: Reading) -> Converted:
    """A count of hints."""
    hints, bad = numbers_of(array)
    fractional = bad | (hints != np.floor(hints)) & ~np.isnan(hints) | (hints > np.iinfo(np.int32).max)
    negative = (hints < 0) & ~fractional
    missing = np.isnan(hints) | fractional | negative
    values = pa.array(np.where(missing, 0, hints).astype(np.int32), mask=missing)
    return Converted(values, gaps={"not_whole_number": fractional, "negative": negative})


def convert_time(array: pa.Array, reading: Reading) -> Converted:
    """An instant; local times are in the reading's zone and are counted."""
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        micros, is_local, missing = _stored_times(array)
        bad = np.zeros(len(array), bool)
    else:
        words, missing, _ = _words(array)
        texts = pc.utf8_upper(pc.fill_null(words, ""))
        micros, is_local, is_time = parse_iso(texts)
        odd = np.flatnonzero(~is_time & ~missing)
        if len(odd):
            rewritten = pc.fill_null(as_iso(texts.take(pa.array(odd)), reading.rules.date_order), "")
            micros[odd], is_local[odd], is_time[odd] = parse_iso(pc.utf8_upper(rewritten))
        bad = ~is_time & ~missing
    unusable = missing | bad
    implausible = ~unusable & ((micros < _FIRST) | (micros >= _END))
    local = is_local & ~unusable & ~implausible
    micros = micros.copy()
    micros[local] = local_to_instant(micros[local], reading.zone)
    values = pa.array(micros, pa.int64(), mask=unusable | implausible).cast(_INSTANT)
    problems = {"missing": missing, "not_time": bad, "implausible": implausible}
    return Converted(values, problems, local_times=int(local.sum()))


def convert_optional_time(array: pa.Array, reading: Reading) -> Converted:
    """Like :func:`convert_time`, but a missing time is not a problem."""
    converted = convert_time(array, reading)
    return replace(converted, problems={k: mask for k, mask in converted.problems.items() if k != "missing"})


def _stored_times(array: pa.Array) -> tuple[Micros, Mask, Mask]:
    if pa.types.is_date(array.type):
        array = pc.cast(array, pa.timestamp("ms"))
    missing = mask_of(pc.is_null(array))
    counts = pc.fill_null(pc.cast(array, pa.int64()), 0).to_numpy(zero_copy_only=False)
    per_second = PER_SECOND[array.type.unit]
    if per_second > 10**6:
        micros = counts // 1000
    else:
        limit = _END // 10**6 * per_second * 2  # larger counts could overflow, and they are implausible
        micros = np.clip(counts, -limit, limit) * (10**6 // per_second)
    is_local = np.full(len(array), array.type.tz is None)
    return micros, is_local, missing


CONVERTERS: dict[str, Callable[[pa.Array, Reading], Converted]] = {
    "user_id": convert_user,
    "session_id": convert_label,
    "item_id": convert_item,
    "topic_id": convert_label,
    "correct": convert_correct,
    "response_time_ms": convert_response_time,
    "hints_used": convert_hints,
    "completed_at": convert_time,
    "rescored_at": convert_optional_time,
}
