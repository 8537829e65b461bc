"""The one place where assets read the clock: which partitions a run is about and as of when."""

from __future__ import annotations

import datetime as dt

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions
from seedtest_analytics.partitions import PLATFORM, Week, week_at
from seedtest_analytics.settings import SettingsError, load_settings


def now(options: RunOptions | None = None) -> dt.datetime:
    """The run's instant: ``as_of`` of the run configuration, else the clock. UTC."""
    if options is None or options.as_of is None:
        return dt.datetime.now(dt.UTC)
    try:
        instant = dt.datetime.fromisoformat(options.as_of)
    except ValueError:
        raise SettingsError(
            f"run configuration field as_of = {options.as_of!r} is not allowed: it must be an ISO 8601 instant"
        ) from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=PLATFORM.zone)).astimezone(dt.UTC)


def weeks(context: dg.AssetExecutionContext, options: RunOptions) -> list[Week]:
    """The weekly partitions of the run, oldest first."""
    instant = now(options)
    return [week_at(dt.date.fromisoformat(key), instant, platform=PLATFORM) for key in sorted(context.partition_keys)]


def days(context: dg.AssetExecutionContext) -> tuple[dt.date, dt.date]:
    """First and last daily partition of the run; Dagster hands a run one contiguous range."""
    keys = sorted(context.partition_keys)
    return dt.date.fromisoformat(keys[0]), dt.date.fromisoformat(keys[-1])


def is_dry_run(options: RunOptions) -> bool:
    """``dry_run`` of the run configuration, else DRY_RUN."""
    return load_settings().platform.dry_run if options.dry_run is None else options.dry_run
