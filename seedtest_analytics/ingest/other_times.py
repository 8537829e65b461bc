"""Times that are not ISO 8601, as ISO 8601: spreadsheet dates, counts since 1970, Korean and English forms.

A form is read only if it has one meaning. 03/04/2026 has two, unless the order of day and month is given.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from seedtest_analytics.ingest.value_rules import DateOrder

_CLOCK = (
    r"(?:[\sT,]*(?P<before>오전|오후|AM|PM)?\s*(?P<hour>\d{1,2})\s*[:시]\s*(?P<minute>\d{1,2})\s*(?:[:분]\s*"
    r"(?P<second>\d{1,2}(?:[.,]\d{1,9})?)?\s*초?)?\s*(?P<after>AM|PM)?\s*(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?"
)
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})\s*[-/.년]\s*(?P<month>\d{{1,2}})\s*[-/.월]\s*(?P<day>\d{{1,2}})\s*[.일]?{_CLOCK}\s*"
)
_YEAR_LAST = re.compile(rf"(?P<first>\d{{1,2}})[-/.](?P<other>\d{{1,2}})[-/.](?P<year>\d{{4}}){_CLOCK}\s*")
_COMPACT = re.compile(
    r"(?P<year>(?:19|20|21)\d\d)(?P<month>\d\d)(?P<day>\d\d)(?:T?(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?(?P<zone>Z)?)?"
)
_COUNT = re.compile(r"(\d{10}|\d{13}|\d{16})(?:\.(\d+))?")
_MICROS_EACH = {10: 10**6, 13: 10**3, 16: 1}
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?")
_SERIALS = (20_000.0, 80_000.0)
"""Days of a spreadsheet from 1954 to 2118. Serial 0 is 30 December 1899."""
_EPOCH, _SERIAL_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(1899, 12, 30)  # noqa: DTZ001 (local time)
_HAS_NAME = re.compile(r"[a-z]{3}", re.IGNORECASE)
_IS_YEAR_FIRST = re.compile(r"\D*\d{4}\D")
_HAS_YEAR = re.compile(r"\b\d{4}\b")
_ZONES = {
    **{"UTC": 0, "GMT": 0, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "HKT": 8, "SGT": 8, "KST": 9, "JST": 9},
    **{"AEST": 10, "AEDT": 11, "EDT": -4, "EST": -5, "PDT": -7, "PST": -8},
}
"""Hours east of UTC of names that mean one zone. CST and IST mean several, so a time with such a name is rejected."""
_FROM_UTC = re.compile(r"\s*(?:UTC|GMT)\s*([+-])(\d{1,2})(?::?(\d\d))?(?!\d)", re.IGNORECASE)
_ZONE = re.compile(rf"(?<=[\d\s])\(?({'|'.join(_ZONES)})\b\)?", re.IGNORECASE)
_NAMED_AGAIN = re.compile(r"(Z|[+-]\d\d(?::?\d\d)?)\s*[(\[][^()\[\]]*[)\]]$", re.IGNORECASE)


def as_iso(texts: pa.Array, order: DateOrder | None) -> pa.Array:
    """ISO 8601 for each text; NULL for what is not a time. Each distinct text is read once."""
    coded = pc.dictionary_encode(texts)
    found = [None if text is None else iso_time(text, order) for text in coded.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(coded.indices)


def iso_time(text: str, order: DateOrder | None) -> str | None:
    """One text as ISO 8601, or None."""
    stripped = _with_offset(text.strip())
    for read in (_year_first, _count, _compact, _serial, _year_last(order), _named(order)):
        try:
            found = read(stripped)
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return found
    return None


def has_two_meanings(text: str) -> bool:
    """Whether the day and the month of a date could change places."""
    found = _YEAR_LAST.fullmatch(_with_offset(text.strip().upper()))
    return (
        found is not None
        and int(found["first"]) <= 12
        and int(found["other"]) <= 12
        and found["first"] != found["other"]
    )


def order_of(texts: list[str]) -> DateOrder | None:
    """The order that dates beyond the twelfth show; None if they show none or both."""
    found = [match for match in (_YEAR_LAST.fullmatch(_with_offset(text.strip().upper())) for text in texts) if match]
    is_dmy = any(int(match["first"]) > 12 for match in found)
    is_mdy = any(int(match["other"]) > 12 for match in found)
    return None if is_dmy == is_mdy else "dmy" if is_dmy else "mdy"


def _year_first(text: str) -> str | None:
    found = _YEAR_FIRST.fullmatch(text.upper())
    return None if found is None else _joined(found, month=int(found["month"]), day=int(found["day"]))


def _compact(text: str) -> str | None:
    found = _COMPACT.fullmatch(text.upper())
    if found is None:
        return None
    date = f"{found['year']}-{found['month']}-{found['day']}"
    if found["hour"] is None:
        return date
    return f"{date}T{found['hour']}:{found['minute']}:{found['second'] or '00'}{found['zone'] or ''}"


def _count(text: str) -> str | None:
    found = _COUNT.fullmatch(text)
    if found is None:
        return None
    each = _MICROS_EACH[len(found[1])]
    below = (found[2] or "").ljust(9, "0")[: len(str(each)) - 1]
    return (_EPOCH + dt.timedelta(microseconds=int(found[1]) * each + int(below or 0))).isoformat()


def _serial(text: str) -> str | None:
    if not _SERIAL.fullmatch(text) or not _SERIALS[0] <= float(text) < _SERIALS[1]:
        return None
    # A spreadsheet stores days as binary fractions; its own precision is a millisecond.
    millis = round(float(text) * 86_400_000)
    return (_SERIAL_EPOCH + dt.timedelta(milliseconds=millis)).isoformat()


def _year_last(order: DateOrder | None) -> Callable[[str], str | None]:
    def read(text: str) -> str | None:
        found = _YEAR_LAST.fullmatch(text.upper())
        if found is None:
            return None
        first, other = int(found["first"]), int(found["other"])
        if order is None and first <= 12 and other <= 12 and first != other:
            return None
        is_day_first = first > 12 if order is None else order == "dmy"
        month, day = (other, first) if is_day_first else (first, other)
        return _joined(found, month=month, day=day)

    return read


def _named(order: DateOrder | None) -> Callable[[str], str | None]:
    def read(text: str) -> str | None:
        if not _HAS_NAME.search(text) or not _HAS_YEAR.search(text) or len(text) > 60:
            return None
        from dateutil import parser

        orders = (False,) if _IS_YEAR_FIRST.match(text) else (False, True) if order is None else (order == "dmy",)
        # Two defaults that differ in the day: a text without a day gives two results, as do days that may be months.
        found = {
            parser.parse(
                text,
                dayfirst=is_day_first,
                default=dt.datetime(2000, 1, day),  # noqa: DTZ001 (local time)
                tzinfos=_offset_of,
            ).isoformat()
            for is_day_first in orders
            for day in (1, 2)
        }
        return found.pop() if len(found) == 1 else None

    return read


def _offset_of(name: str | None, offset: int | None) -> int | None:
    """Seconds east of UTC. The parser itself ignores a name that it does not know."""
    if name not in (None, "UTC"):  # the parser's own name of Z and of +00:00
        raise ValueError(f"{name} is not a zone with one meaning")
    return offset


def _with_offset(text: str) -> str:
    """The text with a number in place of its zone: GMT+0900 (KST), UTC+9, KST and +09:00[Asia/Seoul] are +09:00."""
    text = _FROM_UTC.sub(lambda found: f"{found[1]}{found[2]:0>2}:{found[3] or '00'}", text)
    text = _NAMED_AGAIN.sub(r"\1", text)
    return _ZONE.sub(lambda found: f"{_ZONES[found[1].upper()]:+03}:00", text)


def _joined(found: re.Match[str], *, month: int, day: int) -> str | None:
    date = f"{found['year']}-{month:02}-{day:02}"
    if found["hour"] is None:
        return date
    hour, half = int(found["hour"]), found["before"] or found["after"]
    if half is not None and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half in ("오후", "PM") else 0)
    whole, _, fraction = (found["second"] or "0").replace(",", ".").partition(".")
    second = f"{int(whole):02}" + (f".{fraction}" if fraction else "")
    return f"{date}T{hour:02}:{int(found['minute']):02}:{second}{found['zone'] or ''}"
