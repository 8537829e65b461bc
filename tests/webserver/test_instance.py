"""Every webserver of the platform's instance is guarded, and `seedtest up` notices one that is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_webserver.webserver import DagsterWebserver

from seedtest_analytics.dev_server import DevServer
from seedtest_analytics.instance_home import PROJECT_FOLDER
from seedtest_analytics.settings import SettingsError
from seedtest_analytics.webserver.guard import Guard
from seedtest_analytics.webserver.instance import GuardedInstance

INSTANCE_CLASS = yaml.safe_load((PROJECT_FOLDER / "dagster.yaml").read_text())["instance_class"]


@pytest.fixture(autouse=True)
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("build_middleware", "_make_request_context"):
        monkeypatch.setattr(DagsterWebserver, name, getattr(DagsterWebserver, name))


def guards() -> list[object]:
    return [m.cls for m in DagsterWebserver.build_middleware(DagsterWebserver.__new__(DagsterWebserver))]


def test_the_instance_of_dagster_yaml_puts_the_guard_before_the_webserver() -> None:
    with dg.instance_for_test(overrides={"instance_class": INSTANCE_CLASS}) as instance:
        assert isinstance(instance, GuardedInstance)
        # As it reaches the webserver of `dagster dev`: by its reference.
        with dg.DagsterInstance.from_ref(instance.get_ref()) as passed:
            assert isinstance(passed, GuardedInstance)
            assert Guard not in guards()
            passed.optimize_for_webserver(statement_timeout=1, pool_recycle=1, max_overflow=1)
    assert guards()[0] is Guard


def test_a_wrong_account_ends_the_webserver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDTEST_UI_AUTH", "ada")
    with (
        dg.instance_for_test(overrides={"instance_class": INSTANCE_CLASS}) as instance,
        pytest.raises(SettingsError, match="SEEDTEST_UI_AUTH"),
    ):
        instance.optimize_for_webserver(statement_timeout=1, pool_recycle=1, max_overflow=1)
    assert Guard not in guards()


@pytest.fixture
def unguarded() -> Iterator[str]:
    """The address of a server that answers to every name."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_operators_own_instance_without_the_guard_is_named(unguarded: str, tmp_path: Path) -> None:
    problem = DevServer(tmp_path)._guard_problem(unguarded)
    assert problem == f"has no guard; copy `instance_class` of {PROJECT_FOLDER}/dagster.yaml into that of {tmp_path}"
