"""Numbers and dates as text. The locale of the machine does not matter."""

from __future__ import annotations

import datetime as dt

MINUS = "−"
_NBSP = "\u00a0"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def day(date: dt.date, *, year: bool = False, weekday: bool = False) -> str:
    """``3 Nov``, with the weekday ``Mon 3 Nov``, with the year ``3 Nov 2025``."""
    parts = [_DAYS[date.weekday()]] if weekday else []
    parts += [str(date.day), _MONTHS[date.month - 1]]
    return " ".join([*parts, str(date.year)] if year else parts)


def week(start: dt.date) -> str:
    """``Mon 3 Nov – Sun 9 Nov 2025``; both years where the week crosses New Year."""
    end = start + dt.timedelta(days=6)
    return f"{day(start, weekday=True, year=start.year != end.year)} – {day(end, weekday=True, year=True)}"


def weekday(date: dt.date) -> str:
    """``Mon``."""
    return _DAYS[date.weekday()]


def percent(share: float) -> str:
    """``62%``; a share just above 0 or just below 1 is never rounded to 0% or 100%."""
    if 0 < share < 0.01:
        return "under 1%"
    if 0.99 < share < 1:
        return "over 99%"
    return f"{round(100 * share)}%"


def points(share: float) -> str:
    """``57 of 100``."""
    return f"{round(100 * share)} of 100"


def decimal(value: float, digits: int = 2) -> str:
    """``−0.21`` with a true minus and no negative zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """``+0.21``, ``−0.21``, ``0.00``."""
    shown = decimal(value, digits)
    return f"+{shown}" if round(value, digits) > 0 else shown


def count(number: int, singular: str, *, plural: str | None = None) -> str:
    """``1 answer``, ``1,234 answers``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def interval(low: float, high: float, *, digits: int = 2) -> str:
    """``−0.10 to 0.52``."""
    return f"{decimal(low, digits)} to {decimal(high, digits)}"


def percent_interval(low: float, high: float) -> str:
    """``14 to 61%``."""
    return f"{round(100 * low)} to {round(100 * high)}%"


def seconds(milliseconds: float) -> str:
    """``3.4 s``, ``34 s`` or ``2 min 05 s``."""
    whole = round(milliseconds / 1000)
    if whole < 10:
        return f"{milliseconds / 1000:.1f}{_NBSP}s"
    return f"{whole}{_NBSP}s" if whole < 100 else f"{whole // 60}{_NBSP}min {whole % 60:02d}{_NBSP}s"
