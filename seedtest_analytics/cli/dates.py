"""Dates on the command line, and what to do about attempts from before SEEDTEST_START_DATE."""

from __future__ import annotations

import datetime as dt
import shlex

import typer


def parse_day(value: str | None, option: str) -> dt.date | None:
    """An ISO date; None stays None. Raises typer.BadParameter that names the option."""
    try:
        return dt.date.fromisoformat(value) if value else None
    except ValueError:
        raise typer.BadParameter(not_a_date(value or "", option)) from None


def not_a_date(value: str, option: str) -> str:
    """What to tell the user about a value that is not a date."""
    return f"{option} {value!r} is not a date; use YYYY-MM-DD, e.g. {option} 2026-03-01"


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
