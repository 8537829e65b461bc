"""Times of a log: parse ISO 8601 texts, convert local times to instants, and count the weeks of a shift."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ISO = (
    r"^\s*(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?)?\s*$"
)
_MICROS = 1_000_000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Arrow's units of times and durations."""
_QUARTER_HOUR = 900 * _MICROS  # since about 1900 every zone changes its offset at a multiple of it
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 (counts wall-clock time)

Micros = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def parse_iso(texts: pa.Array) -> tuple[Micros, Mask, Mask]:
    """Instants in microseconds, and masks of the local times (without an offset) and of the valid times.

    ``texts`` is an Arrow string array; NULL is not a time. The digits are checked one by one, so 30 February is invalid
    and nothing raises. A date alone means its first instant, and 24:00 is the end of a day. Digits below 1 µs are truncated.
    """
    fields = pc.extract_regex(texts, pattern=_ISO)
    is_time = mask_of(pc.is_valid(fields))

    def number(name: str, default: int = 0) -> Micros:
        field = pc.struct_field(fields, name)
        filled = pc.if_else(pc.equal(field, ""), str(default), field)
        return np.asarray(pc.cast(pc.fill_null(filled, str(default)), pa.int64()).to_numpy(zero_copy_only=False))

    year, month, day = number("year", 1970), number("month", 1), number("day", 1)
    hour, minute, second = number("hour"), number("minute"), number("second")
    is_time &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    fraction = _fractions(pc.struct_field(fields, "fraction"))
    is_midnight = (hour == 24) & (minute == 0) & (second == 0) & (fraction == 0)
    is_time &= ((hour < 24) & (minute < 60) & (second < 60)) | is_midnight
    safe_month = np.where(is_time, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = safe_month.astype("datetime64[D]")
    is_time &= day <= ((safe_month + 1).astype("datetime64[D]") - first).astype(np.int64)
    days = first.astype(np.int64) + day - 1
    micros = ((days * 24 + hour) * 60 + minute) * 60 + second
    micros = micros * _MICROS + fraction
    zone = pc.fill_null(pc.struct_field(fields, "zone"), "")
    offset, is_offset = _offsets(zone)
    is_local = is_time & mask_of(pc.equal(zone, ""))
    return micros - offset * _MICROS, is_local, is_time & is_offset


def _fractions(digits: pa.Array) -> Micros:
    """Microseconds of the digits behind the second."""
    six = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.fill_null(digits, ""), 9, "0"), 0, 6)
    return np.asarray(pc.cast(six, pa.int64()).to_numpy(zero_copy_only=False))


def _offsets(zone: pa.Array) -> tuple[Micros, Mask]:
    """Seconds east of UTC of each zone text, and whether such an offset exists."""
    coded = pc.dictionary_encode(zone)
    seconds, exists = [], []
    for text in coded.dictionary.to_pylist():
        digits = text.lstrip("+-").replace(":", "") if text[:1] in ("+", "-") else ""
        hours, minutes = int(digits[:2] or 0), int(digits[2:] or 0)
        seconds.append((-1 if text.startswith("-") else 1) * (hours * 3600 + minutes * 60))
        exists.append(hours <= 15 and minutes < 60)
    index = coded.indices.to_numpy(zero_copy_only=False)
    return np.array(seconds, np.int64)[index], np.array(exists, bool)[index]


def local_to_instant(micros: Micros, zone: ZoneInfo) -> Micros:
    """Wall-clock times in ``zone`` (µs since 1970 on that clock) to instants.

    A time that occurs twice means its first occurrence. A skipped time moves forward by the skipped hour.
    """
    if zone.key == "UTC" or not len(micros):
        return micros
    slots, index = np.unique(np.floor_divide(micros, _QUARTER_HOUR), return_inverse=True)
    offsets = [_offset_at(int(slot) * 900, zone) for slot in slots]
    return micros - np.array(offsets, np.int64)[index] * _MICROS


def _offset_at(local_seconds: int, zone: ZoneInfo) -> int:
    offset = (_EPOCH + dt.timedelta(seconds=local_seconds)).replace(tzinfo=zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def whole_weeks_to(last: dt.datetime, shift_to: dt.date, *, zone: ZoneInfo) -> int:
    """Weeks by which to move a log whose last attempt is at ``last``; negative moves it back.

    The last attempt then falls in the last ISO week of ``zone`` whose Sunday is on or before ``shift_to``.
    """
    last_sunday = shift_to - dt.timedelta(days=shift_to.isoweekday() % 7)
    target_monday = last_sunday - dt.timedelta(days=6)
    last_date = last.astimezone(zone).date()
    last_monday = last_date - dt.timedelta(days=last_date.weekday())
    return (target_monday - last_monday).days // 7


def mask_of(array: pa.Array | pa.ChunkedArray) -> Mask:
    """A boolean Arrow array as a mask; NULL is false."""
    return np.asarray(pc.fill_null(array, fill_value=False).to_numpy(zero_copy_only=False), dtype=bool)
