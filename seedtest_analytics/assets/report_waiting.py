"""Stores and records the reports that wait on disk, without rendering them again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine

from seedtest_analytics.assets.framework.run_time import now
from seedtest_analytics.assets.report_index import index_file
from seedtest_analytics.assets.report_store import record
from seedtest_analytics.database.engine import locked_transaction
from seedtest_analytics.partitions import PLATFORM, week_at
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.uploads import Delivery, deliver_waiting, stored
from seedtest_analytics.resources.store.waiting import WaitingReports
from seedtest_analytics.settings import ReportSettings


@dataclass(frozen=True)
class Delivered:
    """What a delivery of waiting reports did; ``refusal`` is the first reason for a report that still waits."""

    stored: int
    still_waiting: int
    refusal: ObjectStoreError | None


def deliver(
    engine: Engine, store: ObjectStore, *, waiting: WaitingReports, patience_seconds: float, settings: ReportSettings
) -> Delivered:
    """Store and record the reports that wait on disk, and list them."""

    def record_one(delivery: Delivery) -> None:
        with locked_transaction(engine, f"report_artifacts:{delivery.key.week_start}") as connection:
            record(connection, [delivery], store=store)

    deliveries = list(deliver_waiting(store, waiting, record=record_one, patience_seconds=patience_seconds))
    weeks = sorted({delivery.key.week_start for delivery in deliveries if delivery.is_stored})
    outcomes = [d.refusal for d in deliveries] + [
        _list(engine, store, week_start=week, settings=settings) for week in weeks
    ]
    refusals = [refusal for refusal in outcomes if refusal is not None]
    return Delivered(
        stored=sum(delivery.is_stored for delivery in deliveries),
        still_waiting=len(waiting.names()),
        refusal=refusals[0] if refusals else None,
    )


def _list(
    engine: Engine, store: ObjectStore, *, week_start: dt.date, settings: ReportSettings
) -> ObjectStoreError | None:
    """Make the list of a week again; the reason if the store does not take it."""
    week = week_at(week_start, now(), platform=PLATFORM)
    with engine.connect() as connection:
        file = index_file(connection, week, store=store, settings=settings)
    if file is None:
        return None
    try:
        store.put(file.key, file.content, language=file.language)
    except ObjectStoreError as error:
        return error
    with locked_transaction(engine, f"report_artifacts:{week.key}") as connection:
        record(connection, [stored(file)], store=store)
    return None
