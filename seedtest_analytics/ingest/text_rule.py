"""The rule for texts that reach a table, for the loader; ``sql/attempts/text_rule.sql`` has the same rule for the sync."""

from __future__ import annotations

import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seedtest_analytics.ingest.times import PER_SECOND, Mask, mask_of

MAX_TEXT_CHARACTERS = 200
TEXT_REMEDY = "at most 200 characters, no control character or line break, valid UTF-8"
Shown = bool | int | str | None
_FORBIDDEN = r"[\x{0}-\x{1f}\x{7f}-\x{9f}\x{2028}\x{2029}]"
FORBIDDEN_CHARACTERS = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
"""The same for Python's regular expressions."""


def is_plain(texts: pa.Array) -> Mask:
    """Which valid texts pass the rule: at most 200 characters, no control character and no line break."""
    is_short = mask_of(pc.less_equal(pc.utf8_length(texts), MAX_TEXT_CHARACTERS))
    return is_short & ~mask_of(pc.match_substring_regex(texts, _FORBIDDEN))


def as_text(array: pa.Array) -> tuple[pa.Array, Mask]:
    """Any array as text, and a mask of the values that are not valid UTF-8 (they become empty).

    The text of a value does not depend on the values beside it.
    """
    array = _plain_array(array)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return _decoded(array)
    if pa.types.is_floating(array.type):
        return _float_texts(array), np.zeros(len(array), bool)
    if pa.types.is_decimal(array.type):
        return _positional(pc.cast(array, pa.string())), np.zeros(len(array), bool)
    return pc.cast(array, pa.string()), np.zeros(len(array), bool)


def shown(array: pa.Array) -> list[Shown]:
    """Values as a report shows them. Nothing is evaluated, so a value that Python cannot hold raises no error."""
    array = _plain_array(array)
    if pa.types.is_boolean(array.type) or pa.types.is_integer(array.type):
        values: list[Shown] = array.to_pylist()
        return values
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return [None if value is None else value.decode("utf-8", "backslashreplace") for value in array.to_pylist()]
    if pa.types.is_timestamp(array.type):
        return _shown_times(array)
    texts: list[Shown] = pc.cast(array, pa.string()).to_pylist()
    return texts


def _plain_array(array: pa.Array) -> pa.Array:
    """The array without dictionary, views or UUIDs, and its texts as bytes, because no reader has checked them."""
    if isinstance(array, pa.UuidArray):
        values = array.storage.to_pylist()
        array = pa.array([None if value is None else str(uuid.UUID(bytes=value)) for value in values], pa.string())
    elif isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type):
        return pc.cast(array, pa.large_binary())
    if any(
        test(array.type)
        for test in (
            pa.types.is_string,
            pa.types.is_string_view,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    ):
        return pc.cast(array, pa.binary())
    return array


def _shown_times(array: pa.Array) -> list[Shown]:
    """ISO 8601, and the stored number for a time that no calendar of four digits has."""
    counts, unit = pc.cast(array, pa.int64()), array.type.unit
    per_second = PER_SECOND[unit]
    texts = pc.cast(array, pa.string()).to_pylist()
    return [
        text
        if count is None or -62_135_596_800 <= count // per_second < 253_402_300_800
        else f"{count} {unit} since 1970"
        for count, text in zip(counts.to_pylist(), texts, strict=True)
    ]


def _decoded(array: pa.Array) -> tuple[pa.Array, Mask]:
    none = np.zeros(len(array), bool)
    try:
        return pc.cast(array, pa.string()), none
    except pa.ArrowInvalid:  # rare, so decoding value by value is fast enough
        values, bad = [], none
        for row, value in enumerate(array.to_pylist()):
            try:
                values.append(None if value is None else value.decode("utf-8"))
            except UnicodeDecodeError:
                values.append("")
                bad[row] = True
        return pa.array(values, pa.string()), bad


def _float_texts(array: pa.Array) -> pa.Array:
    """Integers with gaps are often stored as floats: 12.0 means 12, and NaN means NULL."""
    numbers = np.asarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False), dtype=float)
    # A float that is larger holds no id exactly. It keeps its exponent, so that no item has such a number.
    is_exact = np.abs(numbers) < 2**53
    is_whole = is_exact & (np.floor(numbers) == numbers)
    whole = pc.cast(pa.array(np.where(is_whole, numbers, 0).astype(np.int64)), pa.string())
    others = pc.if_else(pa.array(is_whole | np.isnan(numbers)), None, pc.cast(array, pa.string()))
    texts = pc.if_else(pa.array(is_whole), whole, _positional(others, ~is_exact))
    return pc.if_else(pc.is_null(array), None, texts)


def _positional(texts: pa.Array, untouched: Mask | None = None) -> pa.Array:
    """Numbers as texts without exponents and without zeros at the end."""
    has_exponent = mask_of(pc.match_substring(texts, "e", ignore_case=True))
    if untouched is not None:
        has_exponent &= ~untouched
    if has_exponent.any():  # rare, so writing value by value is fast enough
        values = texts.to_pylist()
        for row in np.flatnonzero(has_exponent):
            values[row] = format(Decimal(values[row]), "f")
        texts = pa.array(values, pa.string())
    return pc.replace_substring_regex(texts, r"^([+-]?\d+)(?:\.0*|(\.\d*?[1-9])0*)$", r"\1\2")
