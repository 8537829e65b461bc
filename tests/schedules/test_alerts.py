"""Alerts of failed runs: their content, their delivery to a real local server, and failures of the delivery."""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from seedtest_analytics.schedules import alert_channels
from seedtest_analytics.schedules.alerts import alert_message, alert_on_run_failure, first_line

SECRET = "hunter2"


class Webhook:
    """A local server that stores what is posted to it."""

    def __init__(self, status: int = 200, **headers: str) -> None:
        received: list[tuple[str, str, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.received = received
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> "Webhook":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def failure() -> Iterator[dg.RunFailureSensorContext]:
    """A run of a partition with one failed step, in the form that the sensor receives."""

    @dg.op
    def breaks() -> None:
        raise dg.Failure("the disk is full\nfree some space")

    @dg.op
    def works() -> None:
        return

    @dg.job(name="compute_daily_kpis")
    def job() -> None:
        breaks()
        works()

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-03-02"}
        )
        event = next(e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
        yield dg.build_run_status_sensor_context(
            sensor_name="alert_on_run_failure",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()


def alert(failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    monkeypatch.delenv("SEEDTEST_ALERT_WEBHOOK_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("SEEDTEST_ALERT_WEBHOOK_URL", url)
    alert_on_run_failure(failure)


def test_the_message_says_job_partition_step_and_cause(failure: dg.RunFailureSensorContext) -> None:
    message = alert_message(failure)
    assert (message["job"], message["partition"]) == ("compute_daily_kpis", "2026-03-02")
    assert message["run_id"] == failure.dagster_run.run_id
    assert message["steps"].startswith("breaks: ")
    assert "the disk is full" in message["text"]
    assert "works" not in message["steps"]
    assert "2026-03-02" in message["text"]


def test_it_is_logged_always_and_posted_where_configured(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Webhook() as webhook, caplog.at_level(logging.DEBUG):
        alert(failure, monkeypatch, webhook.url)
        assert webhook.received == [(f"/{SECRET}", "application/json", alert_message(failure))]
    assert "compute_daily_kpis failed" in caplog.text
    assert SECRET not in caplog.text


def test_without_an_address_it_is_logged_only(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        alert(failure, monkeypatch, None)
    assert "compute_daily_kpis failed" in caplog.text
    assert "could not be delivered" not in caplog.text


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def server_that_answers(answer: bytes) -> Iterator[str]:
    """Address of a server that sends ``answer``, or nothing for an empty one, and then waits for the client to leave."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/{SECRET}"
    thread.join()
    listening.close()


def assert_delivery_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert "compute_daily_kpis failed" in caplog.text
    assert "the alert could not be delivered" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [404, 500])
def test_an_address_that_refuses_is_logged(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    with Webhook(status) as webhook, caplog.at_level(logging.DEBUG):
        alert(failure, monkeypatch, webhook.url)
    assert_delivery_failure_is_logged(caplog)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    with Webhook() as other, Webhook(status, Location=other.url) as webhook:
        alert(failure, monkeypatch, webhook.url)
        assert (len(webhook.received), other.received) == (1, [])
    assert_delivery_failure_is_logged(caplog)


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/hunter2", "http://127.0.0.1:port/hunter2"])
def test_an_address_that_is_down_or_none_is_logged(
    failure: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        alert(failure, monkeypatch, form.format(closed_port()))
    assert_delivery_failure_is_logged(caplog)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 500 Error\r\n: broken\r\n\r\n", b""])
def test_an_address_that_does_not_speak_http_or_stays_silent_is_logged(
    failure: dg.RunFailureSensorContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
) -> None:
    monkeypatch.setattr(alert_channels, "TIMEOUT_SECONDS", 0.5)
    with server_that_answers(answer) as url, caplog.at_level(logging.DEBUG):
        alert(failure, monkeypatch, url)
    assert_delivery_failure_is_logged(caplog)


@pytest.mark.parametrize(("message", "line"), [("", ""), ("\n  \n a \nb", "a"), ("x" * 1000, "x" * 300)])
def test_the_first_line_of_an_error(message: str, line: str) -> None:
    assert first_line(message) == line


def test_the_sensor_is_on() -> None:
    assert alert_on_run_failure.default_status == dg.DefaultSensorStatus.RUNNING
