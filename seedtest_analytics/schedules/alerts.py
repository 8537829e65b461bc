"""Alerts of failed runs, always in the log and once for each cause by the configured channels; and of stale assets.

A cause is the first error of a run without its numbers, names of runs and dates. Runs that fail for the same cause,
such as a database that does not answer, are one alert. It comes again when the job that alerted or the job that fails
has succeeded in between, or after SEEDTEST_ALERT_REPEAT_HOURS. Tags of the runs hold what is known, so a restarted
daemon repeats nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence
from itertools import takewhile

import dagster as dg

from seedtest_analytics.assets.health.state import health_of
from seedtest_analytics.dagster_private import WILL_RETRY_TAG
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.schedules.alert_channels import channels, deliver, post
from seedtest_analytics.schedules.jobs import FINISHED
from seedtest_analytics.settings import AlertSettings, Settings, load_settings

ALERTED_TAG = "seedtest/alerted"
"""Tag of a failed run whose alert has been delivered: the digest of its cause."""

HEARTBEAT_SECONDS = 300
LOOK_SECONDS = 3600
"""Between two looks for stale assets, which have had a day and a half."""
_CHANGING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|\d+", re.IGNORECASE)
_FAILURE = re.compile(r"^dagster[\w.]*\.Failure: ")
_LOOKED_AT = 50
"""Runs that a question reads at most."""
_log = logging.getLogger(__name__)


def alert_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """What an operator needs first: job, run and its link, partition, failed steps, first error, owner."""
    run = context.dagster_run
    errors = [
        f"{event.step_key}: {first_line(event.step_failure_data.error_display_string)}"
        for event in context.get_step_failure_events()
        if event.step_key
    ]
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start") or ""
    cause = errors[0] if errors else first_line(context.failure_event.message or "no step ran")
    ui_url = load_settings().ui.url
    return {
        "job": run.job_name,
        "run_id": run.run_id,
        "url": f"{ui_url.rstrip('/')}/runs/{run.run_id}" if ui_url else "",
        "partition": partition,
        "owner": PLATFORM.owner,
        "cause": cause,
        "steps": "; ".join(errors),
        "text": f"{run.job_name} failed (run {run.run_id[:8]}{', ' + partition if partition else ''}): "
        + ("; ".join(errors) or cause),
    }


def first_line(message: str) -> str:
    """The first non-empty line without the name of Dagster's exception, cut to 300 characters."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return _FAILURE.sub("", line)[:300]


def cause_digest(cause: str) -> str:
    """The same for two errors that differ in the step, numbers, dates and ids only."""
    error = cause.split(": ", 1)[-1]
    return hashlib.sha256(_CHANGING.sub("#", error).encode()).hexdigest()[:16]


def silence(instance: dg.DagsterInstance, run: dg.DagsterRun, *, cause: str, settings: AlertSettings) -> str | None:
    """Why a failure does not alert; None if it does."""
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return "the run is tried again"
    ended = instance.get_runs(dg.RunsFilter(job_name=run.job_name, statuses=FINISHED), limit=_LOOKED_AT)
    in_a_row = list(takewhile(lambda earlier: earlier.status != dg.DagsterRunStatus.SUCCESS, ended))
    failures = [earlier for earlier in in_a_row if earlier.status == dg.DagsterRunStatus.FAILURE]
    if len(failures) < settings.after_failures:
        return f"{len(failures)} failures in a row, SEEDTEST_ALERT_AFTER is {settings.after_failures}"
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=settings.repeat_hours)
    alerted = dg.RunsFilter(tags={ALERTED_TAG: cause_digest(cause)}, created_after=since)
    for told in instance.get_run_records(alerted, limit=_LOOKED_AT):
        names = {told.dagster_run.job_name, run.job_name}
        if not any(_has_succeeded_since(instance, name, when=_end(told)) for name in names):
            return f"run {told.dagster_run.run_id[:8]} of {told.dagster_run.job_name} has alerted the same cause"
    return None


def _has_succeeded_since(instance: dg.DagsterInstance, job_name: str, *, when: dt.datetime) -> bool:
    succeeded = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=when)
    return any(_end(record) > when for record in instance.get_run_records(succeeded, limit=_LOOKED_AT))


def _end(record: dg.RunRecord) -> dt.datetime:
    # A tag that a run gets later updates its record, and does not end the run again.
    return dt.datetime.fromtimestamp(record.end_time, dt.UTC) if record.end_time else record.update_timestamp


@dg.run_failure_sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs every failed run. Posts each cause once, by webhook, Slack or mail where these are configured.",
)
def alert_on_run_failure(context: dg.RunFailureSensorContext) -> None:
    """Log the failure and send it unless its cause is known. A failed delivery is logged too, and tried with the next."""
    message, run, settings = alert_message(context), context.dagster_run, load_settings()
    _log.error("%s", message["text"])
    reason = silence(context.instance, run, cause=message["cause"], settings=settings.alerts)
    if reason is not None:
        _log.info("no alert of run %s: %s", run.run_id, reason)
    elif deliver(message, settings):
        context.instance.add_run_tags(run.run_id, {ALERTED_TAG: cause_digest(message["cause"])})


@dg.sensor(
    minimum_interval_seconds=HEARTBEAT_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A request to SEEDTEST_HEARTBEAT_URL: daemon and code location live. When the requests stop, the service "
    "behind that address raises the alarm.",
    tags={"domain": "automation"},
)
def heartbeat(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Send a sign of life."""
    url = load_settings().alerts.heartbeat_url
    if url is None:
        return dg.SkipReason("SEEDTEST_HEARTBEAT_URL is not set")
    try:
        post(url.get_secret_value(), {"text": "seedtest_analytics is alive"})
    except (OSError, ValueError) as error:  # Only the type: the text of the error has the address.
        return dg.SkipReason(f"the sign of life was not accepted: {type(error).__name__}")
    return dg.SkipReason("the sign of life was accepted")


@dg.sensor(
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="One alert when assets are stale although none of their runs failed: a schedule is off, or runs wait.",
    tags={"domain": "automation"},
)
def alert_on_stale_assets(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Send the names of stale assets, once until none is stale; the cursor is the instant of the alert."""
    settings, now = load_settings(), _now()
    if context.repository_def is None:
        raise dg.DagsterInvariantViolationError("a sensor of a code location knows its repository")
    found = health_of(context.instance, context.repository_def, now=now)
    stale = [one.asset for one in found if one.state == "stale"]
    if not stale:
        context.update_cursor("")
        return dg.SkipReason("no asset is stale")
    repeat = dt.timedelta(hours=settings.alerts.repeat_hours)
    if context.cursor and now - dt.datetime.fromisoformat(context.cursor) < repeat:
        return dg.SkipReason(f"an alert has told that assets are stale; {len(stale)} are now")
    if deliver(stale_message(stale), settings):
        context.update_cursor(now.isoformat())
    return dg.SkipReason(f"{len(stale)} assets are stale")


def stale_message(stale: Sequence[str]) -> dict[str, str]:
    """The fields of an alert, for assets without a recent success."""
    cause = f"{len(stale)} assets are stale: {', '.join(stale)}"
    text = f"{cause}. `seedtest health` prints the commands that renew them."
    fields = dict.fromkeys(("run_id", "url", "partition", "steps"), "")
    return {"job": "judge_health", "owner": PLATFORM.owner, "cause": cause, "text": text} | fields


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors of alerts; two only where they have an address, because an idle sensor costs too."""
    late = [alert_on_stale_assets] if channels({}, settings) else []
    return [alert_on_run_failure, *late, *([heartbeat] if settings.alerts.heartbeat_url else [])]
