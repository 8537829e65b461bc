"""A failed run is told: in the log always, by webhook where one is configured."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.request

import dagster as dg

from seedtest_analytics.settings import load_settings

_TIMEOUT_SECONDS = 10
_log = logging.getLogger(__name__)


def alert_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """What an operator needs first: job, run, partition, the failed steps and the first line of each error."""
    run = context.dagster_run
    steps = [
        f"{event.step_key}: {first_line(event.step_failure_data.error_display_string)}"
        for event in context.get_step_failure_events()
        if event.step_key
    ]
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start") or ""
    return {
        "job": run.job_name,
        "run_id": run.run_id,
        "partition": partition,
        "steps": "; ".join(steps),
        "text": f"{run.job_name} failed (run {run.run_id[:8]}{', ' + partition if partition else ''}): "
        + ("; ".join(steps) or first_line(context.failure_event.message or "no step ran")),
    }


def first_line(message: str) -> str:
    """The first line that is not empty, cut to 300 characters."""
    return next((line.strip() for line in message.splitlines() if line.strip()), "")[:300]


def post_alert(url: str, message: dict[str, str]) -> None:
    """POST the message as JSON. Raises OSError when the address does not answer with success."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("SEEDTEST_ALERT_WEBHOOK_URL must be an http or https address")
    request = urllib.request.Request(  # noqa: S310 (scheme checked above)
        url, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
        return


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs every failed run and posts it to SEEDTEST_ALERT_WEBHOOK_URL where that is set.",
)
def alert_on_run_failure(context: dg.RunFailureSensorContext) -> None:
    """Tell of the failure; a webhook that does not answer is itself logged and does not hide the failure."""
    message = alert_message(context)
    _log.error("%s", message["text"])
    url = load_settings().platform.alert_webhook_url
    if url is None:
        return
    try:
        post_alert(url.get_secret_value(), message)
    except (OSError, ValueError, http.client.HTTPException) as error:  # the last: what answers speaks no HTTP
        _log.error("the alert could not be delivered: %s", type(error).__name__)
