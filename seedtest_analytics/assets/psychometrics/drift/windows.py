"""The two windows of answers that the drift monitor compares, and the result of a comparison."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from seedtest_analytics.partitions import Week, instant_of
from seedtest_analytics.settings import DriftSettings
from seedtest_analytics.stats.irt.drift import DriftResult
from seedtest_analytics.stats.irt.drift_in_topic import DriftInTopic
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.selection import SelectionGaps
from seedtest_analytics.stats.no_result import NoResult

BASELINE_DAYS_BEFORE = (120, 90)


@dataclass(frozen=True)
class Window:
    """Answers with start_at <= completed_at < end_at.

    ``id``: the last day as YYYYMMDD, then the number of days in four digits.
    """

    id: int
    start_at: dt.datetime
    end_at: dt.datetime


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two calibrated windows, each on its own scale, and their differences.

    ``run_id`` identifies windows, settings and answers. ``selection`` is about the recent window, and ``in_topic`` compares
    each item with the others of its topic.
    """

    run_id: str
    baseline: Window
    recent: Window
    calibrations: tuple[Calibration, Calibration]
    drift: DriftResult
    selection: SelectionGaps | NoResult
    in_topic: DriftInTopic | NoResult


def windows_of(week: Week, settings: DriftSettings) -> tuple[Window, Window]:
    """Baseline and recent window as of the week."""
    zone = ZoneInfo(week.timezone)
    start, end = (week.days_before(days) for days in BASELINE_DAYS_BEFORE)
    if settings.baseline_from is not None:
        start = instant_of(settings.baseline_from, zone)
    if settings.baseline_to is not None:
        end = min(instant_of(settings.baseline_to, zone), week.as_of)
    return (_window(start, end, zone=zone), _window(week.days_before(settings.lookback_days), week.as_of, zone=zone))


def _window(start: dt.datetime, end: dt.datetime, *, zone: ZoneInfo) -> Window:
    first, after = start.astimezone(zone).date(), end.astimezone(zone).date()
    last = after - dt.timedelta(days=1)
    return Window(int(f"{last:%Y%m%d}{max((after - first).days, 0):04d}"), start, end_at=end)
