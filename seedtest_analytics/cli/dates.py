"""Dates on the command line, and what to do about attempts from before SEEDTEST_START_DATE."""

from __future__ import annotations

import datetime as dt
import shlex

import typer

from seedtest_analytics.settings.group import iso_day
from seedtest_analytics.settings.platform import FIRST_DAY, LAST_DAY


def day_of(value: str, option: str) -> dt.date:
    """An ISO date within the days that options may name. Raises ValueError with a message that names the option."""
    try:
        day = iso_day(value)
    except ValueError:
        raise ValueError(f"{option} {value!r} is not a date; use YYYY-MM-DD, e.g. {option} 2026-03-01") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{option} {value} is out of range; use a day from {FIRST_DAY} to {LAST_DAY}")
    return day


def parse_day(value: str | None, option: str) -> dt.date | None:
    """Like :func:`day_of`; None stays None. Raises typer.BadParameter."""
    try:
        return day_of(value, option) if value else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def first_partition(start: dt.date) -> dt.date:
    """Monday of the week of SEEDTEST_START_DATE."""
    return start - dt.timedelta(days=start.weekday())


def remedies(first: dt.date, *, today: dt.date, files: tuple[str, ...] = ()) -> str:
    """The two ways to compute attempts from ``first`` on: move the log, or start the partitions earlier."""
    named = " ".join(shlex.quote(file) for file in files) or "FILE"
    return (
        f"Either load the log again with `seedtest load {named} --shift-to {today}`, or set "
        f"SEEDTEST_START_DATE={first} (now: `seedtest --set SEEDTEST_START_DATE={first} materialize`; for good: in the "
        "environment or in settings.env of the home)."
    )
