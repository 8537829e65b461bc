"""Daily and weekly (ISO) partitions in the platform's time zone, and the instants at which they end.

The key of a week is its Monday. The current day and week are partitions too (``end_offset=1``), because daily schedules
compute them up to the start of the current day.
"""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg

from seedtest_analytics.settings import PlatformSettings, load_settings

DAY = dt.timedelta(days=1)
WEEK = dt.timedelta(days=7)


def weeks_back(weeks: int) -> dg.TimeWindowPartitionMapping:
    """A week reads its own week of an upstream and the ``weeks`` before it, as far as they exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the pins hold the minor version
        return dg.TimeWindowPartitionMapping(
            start_offset=-weeks, end_offset=0, allow_nonexistent_upstream_partitions=True
        )


def monday_of(day: dt.date) -> dt.date:
    """Monday of the ISO week of ``day``."""
    return day - dt.timedelta(days=day.weekday())


def daily_partitions(platform: PlatformSettings) -> dg.DailyPartitionsDefinition:
    """One partition per day from the Monday of the start date's week to today."""
    start = monday_of(platform.start_date)
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone=platform.timezone, end_offset=1)


def weekly_partitions(platform: PlatformSettings) -> dg.WeeklyPartitionsDefinition:
    """One partition per ISO week from the week of the start date to the current week."""
    start = monday_of(platform.start_date)
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(), day_offset=1, timezone=platform.timezone, end_offset=1
    )


def instant_of(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """First instant of a day in ``zone``, in UTC."""
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


@dataclass(frozen=True)
class Week:
    """An ISO week; its numbers use only data from before the instant ``as_of``."""

    start: dt.date
    as_of: dt.datetime
    timezone: str

    @property
    def key(self) -> str:
        """Partition key."""
        return self.start.isoformat()

    @property
    def iso_label(self) -> str:
        """ISO year and week, e.g. ``2026-W46``."""
        year, number, _ = self.start.isocalendar()
        return f"{year}-W{number:02d}"

    @property
    def is_running(self) -> bool:
        """The week had not ended at ``as_of``."""
        return self.as_of < instant_of(self.start + WEEK, ZoneInfo(self.timezone))

    def days_before(self, days: int) -> dt.datetime:
        """The instant ``days`` local days before ``as_of``; a day of 23 or 25 hours counts as one."""
        zone = ZoneInfo(self.timezone)
        local = self.as_of.astimezone(zone)
        return (local.replace(tzinfo=None) - dt.timedelta(days=days)).replace(tzinfo=zone).astimezone(dt.UTC)


def week_at(start: dt.date, now: dt.datetime, *, platform: PlatformSettings) -> Week:
    """The week from ``start``. ``as_of`` is the end of a closed week, and the start of today in the current week."""
    today = instant_of(now.astimezone(platform.zone).date(), platform.zone)
    return Week(start, min(instant_of(start + WEEK, platform.zone), today), timezone=platform.timezone)


def oldest_week_within(now: dt.datetime, days: int) -> dt.date:
    """Monday of the oldest week that ended at most ``days`` before ``now``, or has not ended."""
    return monday_of((now - days * DAY).astimezone(PLATFORM.zone).date())


PLATFORM = load_settings().platform
"""The time zone and start date, read once when the definitions load."""

DAILY = daily_partitions(PLATFORM)
WEEKLY = weekly_partitions(PLATFORM)

PAST_WEEKS = weeks_back(load_settings().backtest.lookback_weeks)
"""The outcomes of these weeks decide about the predictions of a week (BACKTEST_LOOKBACK_WEEKS)."""
