"""Numbers and dates as text in the reader's language. The locale of the machine does not matter."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal

from seedtest_analytics.reporting.language import current, say, say_n

MINUS = "−"
POINTS_AT_ZERO, POINTS_PER_LOGIT = 500, 100


@lru_cache(maxsize=4096)
def _skeleton(pattern: str, date: dt.date, *, locale: Locale) -> str:
    shown: str = format_skeleton(pattern, date, locale=locale)
    return shown.replace(",", "") if locale.language == "en" else shown


def day(date: dt.date, *, year: bool = False, weekday: bool = False) -> str:
    """``3 Nov``, with the weekday ``Mon 3 Nov``, with the year ``3 Nov 2025``; Korean ``11월 3일 (월)``."""
    pattern = f"{'y' if year else ''}MMM{'E' if weekday else ''}d"
    return _skeleton(pattern, date, locale=current().locale)


def day_and_month(date: dt.date) -> str:
    """``3 November``; Korean ``11월 3일``."""
    return _skeleton("MMMMd", date, locale=current().locale)


def week(start: dt.date) -> str:
    """``Mon 3 Nov – Sun 9 Nov 2025``; both years where the week crosses New Year. Korean has the year first."""
    end = start + dt.timedelta(days=6)
    crosses = start.year != end.year
    is_year_first = current().locale.language != "en"
    first = day(start, weekday=True, year=crosses or is_year_first)
    return f"{first} – {day(end, weekday=True, year=crosses or not is_year_first)}"


def weekday(date: dt.date) -> str:
    """``Mon``, ``월``."""
    shown: str = format_date(date, "ccc", locale=current().locale)
    return shown


def month_day(date: dt.date) -> str:
    """``3/11`` or ``11/3``, for the cells of a calendar."""
    return _skeleton("Md", date, locale=current().locale).rstrip(".").replace(". ", "/")


def whole(number: float) -> str:
    """``1,234``."""
    shown: str = format_decimal(round(number), format="#,##0", locale=current().locale)
    return shown.replace("-", MINUS)


def percent(share: float) -> str:
    """``62%``; a share just above 0 or just below 1 is never rounded to 0% or 100%."""
    if 0 < share < 0.01:
        return say("under {percent}", percent="1%")
    if 0.99 < share < 1:
        return say("over {percent}", percent="99%")
    return f"{round(100 * share)}%"


def points_of_hundred(share: float) -> str:
    """``57 of 100``."""
    return say("{value} of 100", value=round(100 * share))


def score(theta: float) -> str:
    """An ability in logits on the points scale: 500 points at 0, 100 points a logit."""
    return whole(score_points(theta))


def score_points(theta: float) -> int:
    """The same as a number, for charts."""
    return round(POINTS_AT_ZERO + POINTS_PER_LOGIT * theta)


def decimal(value: float, digits: int = 2) -> str:
    """``−0.21`` with a true minus and no negative zero."""
    rounded = round(value, digits) + 0.0
    pattern = "0" if digits == 0 else f"0.{'0' * digits}"
    shown: str = format_decimal(rounded, format=pattern, locale=current().locale, decimal_quantization=True)
    return shown.replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """``+0.21``, ``−0.21``, ``0.00``."""
    shown = decimal(value, digits)
    return f"+{shown}" if round(value, digits) > 0 else shown


def answers(n: int) -> str:
    """``1 answer``, ``1,234 answers``."""
    return say_n("{n} answer", "{n} answers", n)


def questions(n: int) -> str:
    """``1 question``."""
    return say_n("{n} question", "{n} questions", n)


def days(n: int) -> str:
    """``1 day``."""
    return say_n("{n} day", "{n} days", n)


def weeks(n: int) -> str:
    """``1 week``."""
    return say_n("{n} week", "{n} weeks", n)


def sessions(n: int) -> str:
    """``1 session``."""
    return say_n("{n} session", "{n} sessions", n)


def topics(n: int) -> str:
    """``1 topic``."""
    return say_n("{n} topic", "{n} topics", n)


def part_of(part: int, total: int) -> str:
    """``7 of 9`` for a sentence: questions answered right of all."""
    return say("{part} of {whole}", part=whole(part), whole=whole(total))


def interval(low: float, high: float, *, digits: int = 2) -> str:
    """``−0.10 to 0.52``."""
    return say("{low} to {high}", low=decimal(low, digits), high=decimal(high, digits))


def percent_interval(low: float, high: float) -> str:
    """``14 to 61%``; both ends with words where one would round to 0 or 100, and one end where they are equal."""
    shown = percent(low), percent(high)
    if shown[0] == shown[1]:
        return shown[0]
    if any(not 0.01 <= limit <= 0.99 and 0 < limit < 1 for limit in (low, high)):
        return say("{low} to {high}", low=shown[0], high=shown[1])
    return say("{low} to {high}", low=round(100 * low), high=shown[1])


def seconds(milliseconds: float) -> str:
    """``3.4 s``, ``34 s`` or ``2 min 05 s``."""
    n = round(milliseconds / 1000)
    if n < 10:
        return say("{seconds}\u00a0s", seconds=decimal(milliseconds / 1000, 1))
    return (
        say("{seconds}\u00a0s", seconds=n)
        if n < 100
        else say("{minutes}\u00a0min {seconds}\u00a0s", minutes=n // 60, seconds=f"{n % 60:02d}")
    )
