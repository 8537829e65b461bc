"""What tests ask the webserver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
from starlette.testclient import TestClient

DELETE = 'mutation { deletePipelineRun(runId: "%s") { __typename } }'

NewClient = Callable[..., TestClient]


def post(client: TestClient, query: str, **headers: str) -> Any:
    return client.post("/graphql", json={"query": query}, headers=headers)


def with_run(client: TestClient) -> str:
    """The id of a run that hostile requests try to delete."""
    return client.instance.add_run(dg.DagsterRun(job_name="victim")).run_id  # type: ignore[attr-defined]


def runs(client: TestClient) -> list[str]:
    return [run.run_id for run in client.instance.get_runs()]  # type: ignore[attr-defined]
