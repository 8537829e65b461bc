"""One comparison of two windows: calibrations, link, changes, rows."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.psychometrics.calibration.engine import fit_by
from seedtest_analytics.assets.psychometrics.calibration.week import Answers, load_between
from seedtest_analytics.assets.psychometrics.drift.rows import (
    alert_rows,
    calibration_rows,
    drift_metadata,
    window_rows,
)
from seedtest_analytics.assets.psychometrics.scale.link import Reference, link_onto, method_for
from seedtest_analytics.database.publish import publish, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week, instant_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import CalibrationSettings, DriftSettings
from seedtest_analytics.tables import drift as tables

if TYPE_CHECKING:
    import logging

    from seedtest_analytics.stats.irt.drift import DriftResult
    from seedtest_analytics.stats.irt.result import Calibration

SQL = "psychometrics/drift.sql"
BASELINE_DAYS_BEFORE = (120, 90)
CHECK = "drift_below_threshold"


class ScalesApartError(Exception):
    """Both windows have answers, and no common scale came of them: what drift itself can do."""


@dataclass(frozen=True)
class Window:
    """Answers with start_at <= completed_at < end_at. ``id``: last day as YYYYMMDD, then the days in four digits."""

    id: int
    start_at: dt.datetime
    end_at: dt.datetime


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two calibrated windows and what has changed; ``run_id`` names windows, settings and answers."""

    run_id: str
    baseline: Window
    recent: Window
    calibrations: tuple[Calibration, Calibration]
    drift: DriftResult


def windows_of(week: Week, settings: DriftSettings) -> tuple[Window, Window]:
    """Baseline and recent window as of the week."""
    zone = ZoneInfo(week.timezone)
    start, end = (week.days_before(days) for days in BASELINE_DAYS_BEFORE)
    if settings.baseline_from is not None:
        start = instant_of(settings.baseline_from, zone)
    if settings.baseline_to is not None:
        end = min(instant_of(settings.baseline_to, zone), week.as_of)
    return (
        _window(start, end, zone=zone),
        _window(week.days_before(settings.lookback_days), week.as_of, zone=zone),
    )


def _window(start: dt.datetime, end: dt.datetime, *, zone: ZoneInfo) -> Window:
    first, after = start.astimezone(zone).date(), end.astimezone(zone).date()
    last = after - dt.timedelta(days=1)
    return Window(int(f"{last:%Y%m%d}{max((after - first).days, 0):04d}"), start, end_at=end)


def compare_week(
    postgres: PostgresResource,
    week: Week,
    *,
    calibration: CalibrationSettings,
    settings: DriftSettings,
    dry: bool,
    log: logging.Logger,
) -> Iterator[Outcome]:
    """Compare and publish in one transaction; windows that carry no comparison leave no rows, with the reason."""
    from seedtest_analytics.stats.irt.errors import IrtDataError

    reason, are_apart = "", False
    with postgres.transaction(f"irt_item_drift:{week.key}", is_dry_run=dry) as connection:
        try:
            found = compare(connection, week, calibration=calibration, settings=settings, log=log)
        except (IrtDataError, ScalesApartError) as error:
            found, reason, are_apart = None, str(error), isinstance(error, ScalesApartError)
            log.warning(f"week of {week.key}: no comparison: {error}")
        published = []
        frames = (
            (tables.drift_windows, window_rows(found, calibration), "false"),
            (tables.item_calibration, calibration_rows(found, week), "t.week_start = :week_start"),
            (tables.drift_alerts, alert_rows(found, week), "t.week_start = :week_start"),
        )
        for table, frame, partition in frames:
            staged = f"staged_{table.name}"
            staged_from_frame(connection, staged, table=table, frame=frame)
            if table is tables.drift_alerts:
                connection.execute(statement(SQL, "keep_resolved"), {"week_start": week.start})
            parameters = {} if partition == "false" else {"week_start": week.start}
            published.append(publish(connection, table, staged=staged, partition=partition, parameters=parameters))
    windows, items, alerts = published
    yield Outcome(windows, {}, checks=[], partition=week.key, is_dry_run=dry)
    yield Outcome(items, drift_metadata(found), checks=[], partition=week.key, is_dry_run=dry)
    yield Outcome(
        alerts,
        {"as_of": week.as_of.isoformat()},
        checks=[_check(found, reason, are_apart=are_apart)],
        partition=week.key,
        is_dry_run=dry,
    )


def _check(found: Comparison | None, reason: str, *, are_apart: bool) -> CheckOutcome:
    if found is None:
        return CheckOutcome(
            CHECK,
            not are_apart,
            description=f"{'not compared' if are_apart else 'nothing to compare'}: {reason}",
        )
    drift = found.drift
    moved = {alert.item_id for alert in drift.alerts}
    text = (
        f"{len(moved)} of {len(drift.item_ids)} items moved ({drift.share_with_alert:.0%}), {len(drift.alerts)} alerts"
    )
    return CheckOutcome(CHECK, not moved, description=text)


def compare(
    connection: Connection,
    week: Week,
    *,
    calibration: CalibrationSettings,
    settings: DriftSettings,
    log: logging.Logger,
) -> Comparison:
    """Raises IrtDataError where a window has too few answers, or the windows share too few items; ScalesApartError
    where they have enough and no usable calibration or link came of them.
    """
    from seedtest_analytics.stats.irt.drift import DriftThresholds, item_drift
    from seedtest_analytics.stats.irt.errors import AnchorsDisagreeError, IrtDataError

    baseline, recent = windows_of(week, settings)
    if baseline.end_at > recent.start_at or baseline.start_at >= baseline.end_at:
        raise IrtDataError("the baseline window is empty or overlaps the recent one; check DRIFT_BASELINE_*")
    native = calibration.overridden_by({"backend": "native"})
    fit = fit_by(native, None, log=log)
    answers = [_answers(connection, window, settings=native) for window in (baseline, recent)]
    old, new = (fit(a.data, None).calibration for a in answers)
    for name, fitted in (("baseline", old), ("recent", new)):
        if not fitted.verdict.usable:
            raise ScalesApartError(
                f"the {name} window's calibration is not usable: {'; '.join(fitted.verdict.reasons)}"
            )
    parameters = old.parameters
    rows = np.searchsorted(old.items.item_ids, parameters.item_ids)
    reference = Reference(parameters, old.items.covariance[rows], origin="linked", version=str(baseline.id))
    try:
        link, _ = link_onto(
            new, reference, method=method_for(new.model, "stocking-lord"), min_anchors=native.min_anchors
        )
    except AnchorsDisagreeError as error:
        raise ScalesApartError(str(error)) from None
    thresholds = DriftThresholds(
        delta_a=settings.threshold_delta_a,
        delta_b=settings.threshold_delta_b,
        delta_c=settings.threshold_delta_c,
        min_responses=settings.min_sample,
    )
    drift = item_drift(old.items, new.items, link=link, thresholds=thresholds)
    spec = json.dumps(
        [settings.model_dump(mode="json"), native.model_dump(mode="json"), *(a.fingerprint for a in answers)],
        sort_keys=True,
    )
    run_id = f"drift-{week.iso_label}-{hashlib.sha256(spec.encode()).hexdigest()[:10]}"
    return Comparison(run_id, baseline, recent=recent, calibrations=(old, new), drift=drift)


def _answers(connection: Connection, window: Window, *, settings: CalibrationSettings) -> Answers:
    from seedtest_analytics.stats.irt.errors import IrtDataError

    found = load_between(connection, window.start_at, as_of=window.end_at, settings=settings)
    if found is None:
        raise IrtDataError(f"no answers from {window.start_at.date()} to {window.end_at.date()}")
    return found
