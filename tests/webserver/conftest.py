"""Dagster's own webserver over an instance without runs, guarded with the settings of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from seedtest_analytics import dagster_private
from seedtest_analytics.settings import load_settings
from seedtest_analytics.webserver.guard import Guard
from seedtest_analytics.webserver.log_in import LogIn, is_read_only
from tests.webserver._webserver import NewClient


@pytest.fixture(scope="module")
def workspace() -> Iterator[Any]:
    with dg.instance_for_test() as instance, dagster_private.empty_workspace(instance) as context:
        yield context


@pytest.fixture
def webserver(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> NewClient:
    """Makes Dagster's webserver over an instance without runs, guarded with the settings of an environment."""
    from dagster_webserver.webserver import DagsterWebserver

    for run in workspace.instance.get_runs():
        workspace.instance.delete_run(run.run_id)
    for name in ("build_middleware", "_make_request_context"):
        monkeypatch.setattr(DagsterWebserver, name, getattr(DagsterWebserver, name))

    def make(**environment: str) -> TestClient:
        settings = load_settings(environment).ui
        dagster_private.put_before_webserver(
            Middleware(Guard, settings=settings),
            is_read_only=lambda c: is_read_only(c, settings),
            inner=[Middleware(LogIn, settings=settings)],
        )
        client = TestClient(DagsterWebserver(workspace).create_asgi_app(), base_url="http://localhost:3000")
        client.instance = workspace.instance  # type: ignore[attr-defined]
        return client

    return make
