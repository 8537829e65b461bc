"""The look-back of the growth models: calendar weeks that end with the week of the fit."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from seedtest_analytics.partitions import WEEK, Week, instant_of


def first_monday_of(week: Week, lookback_weeks: int) -> dt.date:
    """Monday of the first of ``lookback_weeks`` calendar weeks that end with ``week``."""
    return week.start - (lookback_weeks - 1) * WEEK


def lookback_parameters(week: Week, lookback_weeks: int) -> dict[str, object]:
    """Parameters of the statements that read a look-back."""
    first = first_monday_of(week, lookback_weeks)
    return {
        "from_at": instant_of(first, ZoneInfo(week.timezone)),
        "as_of": week.as_of,
        "first_monday": first,
        "timezone": week.timezone,
    }
