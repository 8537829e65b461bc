"""Runs in a test's instance."""

import uuid
from collections.abc import Mapping

import dagster as dg


def add_run(
    instance: dg.DagsterInstance, job_name: str, *, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None
) -> dg.DagsterRun:
    """Store a run without launching it."""
    return instance.add_run(dg.DagsterRun(job_name, run_id=str(uuid.uuid4()), tags=tags or {}, status=status))
