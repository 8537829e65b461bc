"""Daily and weekly (ISO) partitions in the platform's time zone, and the instants that they stand for.

A weekly partition is keyed by its Monday. The running week and day are partitions too (``end_offset=1``), so that
the daily schedules can compute them up to the start of the current day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg

from seedtest_analytics.settings import PlatformSettings, load_settings

DAY = dt.timedelta(days=1)
WEEK = dt.timedelta(days=7)


def monday_of(day: dt.date) -> dt.date:
    """Monday of the ISO week that ``day`` is in."""
    return day - dt.timedelta(days=day.weekday())


def daily_partitions(platform: PlatformSettings) -> dg.DailyPartitionsDefinition:
    """One partition a day from the start date, the running day included."""
    start = monday_of(platform.start_date)
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone=platform.timezone, end_offset=1)


def weekly_partitions(platform: PlatformSettings) -> dg.WeeklyPartitionsDefinition:
    """One partition an ISO week from the week of the start date, the running week included."""
    start = monday_of(platform.start_date)
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(), day_offset=1, timezone=platform.timezone, end_offset=1
    )


def instant_of(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """First instant of a day in ``zone``, as UTC."""
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


@dataclass(frozen=True)
class Week:
    """One ISO week and the instant ``as_of`` before which its numbers may read (half open)."""

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

    def days_before(self, days: int) -> dt.datetime:
        """The instant ``days`` local days before ``as_of`` (a day of 23 or 25 hours counts as one)."""
        zone = ZoneInfo(self.timezone)
        local = self.as_of.astimezone(zone)
        return (local.replace(tzinfo=None) - dt.timedelta(days=days)).replace(tzinfo=zone).astimezone(dt.UTC)


def week_at(start: dt.date, now: dt.datetime, *, platform: PlatformSettings) -> Week:
    """The week from ``start``: closed weeks are seen from their end, the running week from the start of today."""
    today = instant_of(now.astimezone(platform.zone).date(), platform.zone)
    return Week(start, min(instant_of(start + WEEK, platform.zone), today), timezone=platform.timezone)


PLATFORM = load_settings().platform
"""The settings that cut time; read once, when the definitions load."""

DAILY = daily_partitions(PLATFORM)
WEEKLY = weekly_partitions(PLATFORM)
