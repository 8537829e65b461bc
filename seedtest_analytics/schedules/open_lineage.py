"""Sends the OpenLineage events of runs that have ended. Nothing of a run waits for it.

The sensor looks once a minute and stops at the first run whose events are not taken. The next look begins with that run,
so an address that is down for a day gets the events of that day. An event may arrive twice, with the same ids.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from seedtest_analytics.database.address import DatabaseError
from seedtest_analytics.database.engine import database_url
from seedtest_analytics.schedules.alert_channels import post
from seedtest_analytics.schedules.ended_runs import EndedRuns
from seedtest_analytics.schedules.lineage_events import Database, Describer, Event, materialisations
from seedtest_analytics.settings import LineageSettings, load_settings

LOOK_SECONDS = 20.0
"""How long one look may take; the daemon waits 60 seconds for an answer."""
TIMEOUT_SECONDS = 5
_REFUSED = frozenset((400, 413, 422))
"""The address has read the event and does not want it: it would never take it."""
_log = logging.getLogger(__name__)


class Undelivered(OSError):  # noqa: N818 (the name says what happened to the event)
    """The address did not take an event; the text has no part of the address."""


def clock() -> dt.datetime:
    """The present instant; tests replace it."""
    return dt.datetime.now(dt.UTC)


def deliver(events: Sequence[Event], settings: LineageSettings) -> None:
    """Send the events in their order. Raises :class:`Undelivered`."""
    if settings.file is not None:
        _append(events, settings.file)
        return
    for event in events:
        _post(event, settings)


def _append(events: Sequence[Event], path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(event)}\n" for event in events)
    except OSError as error:
        raise Undelivered(f"the file could not be written: {error.strerror}") from None


def _post(event: Event, settings: LineageSettings) -> None:
    assert settings.url is not None
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        post(settings.url.get_secret_value(), event, headers=headers, timeout=TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:  # Only type and status: the text has the address.
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in _REFUSED:
            _log.warning("an event of %s was refused with status %s and left out", event["job"]["name"], status)
            return
        raise Undelivered(f"status {status}" if status else type(error).__name__) from None


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends OpenLineage events of the assets of runs that have ended to SEEDTEST_OPENLINEAGE_URL.",
    tags={"domain": "automation"},
)
def lineage_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send the events of as many runs as fit into the time of one look."""
    settings = load_settings()
    seen = EndedRuns.of(context.cursor, clock())
    ends = seen.later(context.instance)
    deadline = time.monotonic() + LOOK_SECONDS
    sent: list[str] = []
    message = ""
    try:
        if ends.runs:
            assert context.repository_def is not None
            database = Database.of(database_url(), settings.platform.database_schema)
            describer = Describer(context.repository_def.asset_graph, database, settings.lineage.namespace)
            for run in ends.runs:
                if time.monotonic() > deadline:
                    break
                done = materialisations(context.instance, run, ended_at=ends.at[run.run_id])
                deliver(describer.events(run, list(done)), settings.lineage)
                sent.append(run.run_id)
    except (Undelivered, DatabaseError) as error:
        message = f"; the next look tries again: {error}"
    text = f"events of {len(sent)} of {len(ends.runs)} runs were sent{message}"
    return dg.SensorResult(skip_reason=text, cursor=seen.with_seen(ends, sent).cursor)


def sensors(settings: LineageSettings) -> list[dg.SensorDefinition]:
    """The sensor where the setting is on: an idle sensor costs too."""
    return [lineage_sensor] if settings.url is not None else []
