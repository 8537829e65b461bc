"""Report failed runs: always in the log, and by webhook where one is configured."""

from __future__ import annotations

import logging

import dagster as dg
import requests

from seedtest_analytics.settings import load_settings

_TIMEOUT_SECONDS = 10
_log = logging.getLogger(__name__)
_http_log = logging.getLogger("urllib3")


def alert_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """What an operator needs first: job, run, partition, failed steps and the first line of each error."""
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
    """The first non-empty line, cut to 300 characters."""
    return next((line.strip() for line in message.splitlines() if line.strip()), "")[:300]


def post_alert(url: str, message: dict[str, str]) -> None:
    """POST the message as JSON. Raises OSError or ValueError unless the address answers with success.

    Redirects are refused: the address is a secret, and another server could receive the message.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("SEEDTEST_ALERT_WEBHOOK_URL must be an http or https address")
    _http_log.propagate = False  # urllib3 logs the address: each request at DEBUG, broken headers at WARNING.
    try:
        with requests.post(url, json=message, timeout=_TIMEOUT_SECONDS, allow_redirects=False, stream=True) as response:
            if not 200 <= response.status_code < 300:
                raise requests.HTTPError(f"status {response.status_code}")
    finally:
        _http_log.propagate = True


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs every failed run and posts it to SEEDTEST_ALERT_WEBHOOK_URL where that is set.",
)
def alert_on_run_failure(context: dg.RunFailureSensorContext) -> None:
    """Log the failure and post it. A failed delivery is logged too."""
    message = alert_message(context)
    _log.error("%s", message["text"])
    url = load_settings().platform.alert_webhook_url
    if url is None:
        return
    try:
        post_alert(url.get_secret_value(), message)
    except (OSError, ValueError) as error:  # Only the type: the text of the error has the address.
        _log.error("the alert could not be delivered: %s", type(error).__name__)
