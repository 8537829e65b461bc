"""One cause, one alert; by Slack and by mail; and the sign of life."""

import datetime as dt
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from seedtest_analytics.assets.framework.declare import freshness
from seedtest_analytics.build import build_definitions
from seedtest_analytics.dagster_private import WILL_RETRY_TAG
from seedtest_analytics.schedules import alerts
from seedtest_analytics.schedules.alerts import (
    ALERTED_TAG,
    alert_on_run_failure,
    alert_on_stale_assets,
    cause_digest,
    heartbeat,
    sensors,
)
from seedtest_analytics.settings import SettingsError, load_settings
from tests.schedules.test_alerts import SECRET, Webhook, closed_port


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as found:
        monkeypatch.setenv("SEEDTEST_ALERT_SLACK_URL", found.url)
        yield found


def fail(instance: dg.DagsterInstance, job_name: str, error: str, tags: dict[str, str] | None = None) -> str:
    """Run a job that fails, let the sensor see it, and return the run's id."""

    @dg.op
    def breaks() -> None:
        raise dg.Failure(error)

    @dg.job(name=job_name)
    def job() -> None:
        breaks()

    result = job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    event = next(e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
    run = instance.get_run_by_id(result.run_id)
    context = dg.build_run_status_sensor_context(
        "alert_on_run_failure", dagster_event=event, dagster_instance=instance, dagster_run=run
    )
    alert_on_run_failure(context.for_run_failure())
    return result.run_id


def succeed(instance: dg.DagsterInstance, job_name: str) -> None:
    """Run a job that succeeds."""

    @dg.op
    def works() -> None:
        return

    @dg.job(name=job_name)
    def job() -> None:
        works()

    job.execute_in_process(instance=instance)


def texts(slack: Webhook) -> list[str]:
    return [message["text"] for _, _, message in slack.received]


def test_jobs_that_fail_for_one_cause_are_one_alert(instance: dg.DagsterInstance, slack: Webhook) -> None:
    first = fail(instance, "calibrate_irt", "connection 17 to 10.0.0.5 refused")
    fail(instance, "compute_daily_kpis", "connection 18 to 10.0.0.5 refused")
    fail(instance, "calibrate_irt", "connection 19 to 10.0.0.5 refused")
    assert len(texts(slack)) == 1
    fail(instance, "compute_daily_kpis", "the disk is full")
    assert len(texts(slack)) == 2
    run = instance.get_run_by_id(first)
    assert run is not None
    assert run.tags[ALERTED_TAG] == cause_digest("breaks: connection 17 to 10.0.0.5 refused")


def test_a_cause_that_returns_after_a_success_is_alerted_again(instance: dg.DagsterInstance, slack: Webhook) -> None:
    fail(instance, "calibrate_irt", "the disk is full")
    succeed(instance, "calibrate_irt")
    fail(instance, "calibrate_irt", "the disk is full")
    assert len(texts(slack)) == 2


def test_a_second_outage_is_alerted_whichever_job_meets_it_first(instance: dg.DagsterInstance, slack: Webhook) -> None:
    fail(instance, "calibrate_irt", "the disk is full")
    fail(instance, "compute_daily_kpis", "the disk is full")
    assert len(texts(slack)) == 1
    for job_name in ("calibrate_irt", "compute_daily_kpis"):
        succeed(instance, job_name)
    fail(instance, "compute_daily_kpis", "the disk is full")
    assert len(texts(slack)) == 2
    fail(instance, "calibrate_irt", "the disk is full")
    assert len(texts(slack)) == 2


@pytest.mark.parametrize("recovered", ["calibrate_irt", "compute_daily_kpis"])
def test_a_success_of_the_alerting_job_or_of_the_failing_one_ends_an_outage(
    instance: dg.DagsterInstance, slack: Webhook, recovered: str
) -> None:
    fail(instance, "calibrate_irt", "the disk is full")
    succeed(instance, recovered)
    fail(instance, "compute_daily_kpis", "the disk is full")
    assert len(texts(slack)) == 2


def test_the_alert_of_a_job_that_never_recovered_silences_it_while_others_come_and_go(
    instance: dg.DagsterInstance, slack: Webhook
) -> None:
    fail(instance, "calibrate_irt", "the disk is full")
    for _ in range(2):
        succeed(instance, "compute_daily_kpis")
        fail(instance, "compute_daily_kpis", "the disk is full")
    assert len(texts(slack)) == 3
    succeed(instance, "compute_daily_kpis")
    fail(instance, "calibrate_irt", "the disk is full")
    assert len(texts(slack)) == 3


def test_an_alert_comes_after_as_many_failures_as_the_setting_says(
    instance: dg.DagsterInstance, slack: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_ALERT_AFTER", "3")
    for expected in (0, 0, 1, 1):
        fail(instance, "calibrate_irt", "the disk is full")
        assert len(texts(slack)) == expected
    succeed(instance, "calibrate_irt")
    fail(instance, "calibrate_irt", "the disk is full")
    assert len(texts(slack)) == 1


def test_a_run_that_is_tried_again_is_no_alert(instance: dg.DagsterInstance, slack: Webhook) -> None:
    fail(instance, "calibrate_irt", "the worker died", tags={WILL_RETRY_TAG: "true"})
    assert texts(slack) == []


def test_an_alert_that_nobody_took_is_sent_with_the_next_failure(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_ALERT_SLACK_URL", f"http://127.0.0.1:{closed_port()}/{SECRET}")
    run = instance.get_run_by_id(fail(instance, "calibrate_irt", "the disk is full"))
    assert run is not None
    assert ALERTED_TAG not in run.tags
    with Webhook() as slack:
        monkeypatch.setenv("SEEDTEST_ALERT_SLACK_URL", slack.url)
        fail(instance, "calibrate_irt", "the disk is full")
        assert len(texts(slack)) == 1


def test_slack_gets_owner_link_and_error_as_text(
    instance: dg.DagsterInstance, slack: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_UI_URL", "https://seedtest.example.com/")
    run_id = fail(instance, "calibrate_irt", "<!channel> & <https://theirs|click>")
    (text,) = texts(slack)
    assert "&lt;!channel&gt; &amp; &lt;https://theirs|click&gt;" in text
    assert f"<https://seedtest.example.com/runs/{run_id}|run {run_id[:8]}>" in text
    assert "owner: team:learning-analytics" in text


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """A server that takes one mail at a time without encryption; yields its port and the mails."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                if line.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part.decode())
                    mails.append("".join(lines))
                self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1], mails
        server.shutdown()


def test_a_mail_has_every_field(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, mails):
        monkeypatch.setenv("SEEDTEST_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("SEEDTEST_ALERT_EMAIL_TO", "ada@example.com, bob@example.com")
        run_id = fail(instance, "calibrate_irt", "the disk is full\r\nBcc: theirs@example.com")
    (mail,) = mails
    headers, body = mail.replace("\r\n", "\n").split("\n\n", 1)
    assert "To: ada@example.com, bob@example.com" in headers
    assert "Subject: calibrate_irt failed: breaks: " in headers
    assert "Bcc" not in headers
    assert f"run_id: {run_id}" in body
    assert "owner: team:learning-analytics" in body


def test_a_mail_server_that_does_not_encrypt_gets_nothing_from_another_machine(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as (port, mails), caplog.at_level(logging.ERROR):
        monkeypatch.setattr("seedtest_analytics.settings.alerts.is_this_machine", lambda host: False)
        monkeypatch.setenv("SEEDTEST_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("SEEDTEST_ALERT_EMAIL_TO", "ada@example.com")
        fail(instance, "calibrate_irt", "the disk is full")
    assert mails == []
    assert "could not be delivered by mail: SMTPNotSupportedError" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEEDTEST_ALERT_SLACK_URL", "http://hooks.example.com/x"),
        ("SEEDTEST_HEARTBEAT_URL", "http://hc.example.com/x"),
        ("SEEDTEST_SMTP_URL", "mail.example.com"),
        ("SEEDTEST_ALERT_AFTER", "0"),
    ],
)
def test_an_address_that_would_not_be_private_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_the_sign_of_life_is_sent_where_it_has_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heartbeat not in sensors(load_settings({}))
    with Webhook() as service:
        monkeypatch.setenv("SEEDTEST_HEARTBEAT_URL", service.url)
        assert heartbeat.name in {sensor.name for sensor in build_definitions().sensors or ()}
        skipped = heartbeat(dg.build_sensor_context())
        assert isinstance(skipped, dg.SkipReason)
        assert skipped.skip_message == "the sign of life was accepted"
        assert len(service.received) == 1
    monkeypatch.setenv("SEEDTEST_HEARTBEAT_URL", f"http://127.0.0.1:{closed_port()}/{SECRET}")
    refused = heartbeat(dg.build_sensor_context())
    assert isinstance(refused, dg.SkipReason)
    assert SECRET not in (refused.skip_message or "")
    assert "ConnectionError" in (refused.skip_message or "")


@dg.asset(freshness_policy=freshness(None))
def late() -> None:
    """Due each day."""


def test_stale_assets_are_one_alert_until_all_are_fresh_again(
    instance: dg.DagsterInstance, slack: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run fails when none is launched, so nothing else tells."""
    repository = dg.Definitions([late]).get_repository_def()
    dg.materialize([late], instance=instance)
    cursor: str | None = None

    def look(days_later: float) -> int:
        nonlocal cursor
        monkeypatch.setattr(alerts, "_now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=days_later))
        context = dg.build_sensor_context(instance, cursor=cursor, repository_def=repository)
        alert_on_stale_assets(context)
        cursor = context.cursor
        return len(texts(slack))

    assert look(1) == 0
    assert look(3) == 1
    assert "late" in texts(slack)[0]
    assert "seedtest health" in texts(slack)[0]
    assert look(3.5) == 1
    assert look(4.5) == 2, "after SEEDTEST_ALERT_REPEAT_HOURS"
    assert look(0) == 2
    assert look(4.6) == 3, "late again"


def test_an_alert_of_stale_assets_that_nobody_took_is_sent_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_ALERT_SLACK_URL", f"http://127.0.0.1:{closed_port()}/{SECRET}")
    monkeypatch.setattr(alerts, "_now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=3))
    dg.materialize([late], instance=instance)
    context = dg.build_sensor_context(instance, repository_def=dg.Definitions([late]).get_repository_def())
    alert_on_stale_assets(context)
    assert not context.cursor


def test_stale_assets_are_looked_for_where_a_channel_is_set() -> None:
    assert alert_on_stale_assets not in sensors(load_settings({}))
    for name in ("SEEDTEST_ALERT_SLACK_URL", "SEEDTEST_ALERT_WEBHOOK_URL"):
        assert alert_on_stale_assets in sensors(load_settings({name: "https://hooks.example.com/x"}))


def test_a_cause_is_an_error_without_step_numbers_and_dates() -> None:
    assert cause_digest("a: run 12 of 2026-03-02 failed") == cause_digest("b: run 7 of 2025-01-30 failed")
    assert cause_digest("a: the disk is full") != cause_digest("a: no memory")
