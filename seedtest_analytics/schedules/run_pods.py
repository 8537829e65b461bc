"""The launcher of runs on Kubernetes: nothing of a run that has ended from outside stays behind.

Dagster's own launcher marks such a run as failed or cancelled and leaves its Jobs: a pod that could not start may still
start beside the retried run, and the pods of steps go on. This one deletes them and frees the run's slots of pools.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import dagster as dg
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id
from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from seedtest_analytics.dagster_private import CheckRunHealthResult, WorkerStatus
from seedtest_analytics.schedules.run_processes import free_slots

RUN_LABEL = "dagster/run-id"
"""Label of every Job and pod of a run, those of its steps included."""

_log = logging.getLogger(__name__)
_PASSING = {429, 500, 502, 503, 504}
"""Answers of an API server that is overloaded or restarts."""
_WAITS_SECONDS = (1.0, 2.0, 4.0)
_NOT_FOUND = 404
_T = TypeVar("_T")


class PlatformK8sRunLauncher(K8sRunLauncher):
    """Dagster's launcher of a Job for each run, which cleans up after runs that cannot do so themselves."""

    def terminate(self, run_id: str) -> bool:
        """Cancel a run: its pod gets SIGTERM, ends its steps, and is killed after its grace period.

        Dagster's own method orphans the pod unless a second request deletes it too. A run that has not ended after
        `cancel_timeout_seconds` is released.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        name: str = get_job_name_from_run_id(run_id)  # type: ignore[no-untyped-call]
        namespace = self._namespace(run)
        try:
            _patiently(
                lambda: self._api_client.batch_api.delete_namespaced_job(
                    name, namespace, propagation_policy="Background"
                )
            )
        except ApiException as error:
            if error.status != _NOT_FOUND:
                self._report_run_termination_error(run)
                return False
        self._report_run_terminated(run)
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the pod of a run has died. Then nothing of the run is left when this returns.

        Dagster fails a run whose state is unknown. An API server that does not answer knows nothing about the run, so
        the run counts as living until it answers.
        """
        result: CheckRunHealthResult = super().check_run_worker_health(run)
        if result.status == WorkerStatus.UNKNOWN and "could not be found" not in (result.msg or ""):
            _log.warning("Kubernetes does not say how run %s is; it counts as running", run.run_id)
            return CheckRunHealthResult(WorkerStatus.RUNNING, result.msg)
        if result.status in (WorkerStatus.FAILED, WorkerStatus.UNKNOWN, WorkerStatus.NOT_FOUND):
            newest = self._instance.get_run_by_id(run.run_id)
            if newest is not None and not newest.is_finished:
                self.release(run)
        return result

    def release(self, run: dg.DagsterRun) -> None:
        """Delete every Job of a run, those of its steps too, and free its slots of pools.

        While a pod of the run still ends, it keeps its slots; `free_slots_after_run_end_seconds` frees them.
        """
        of_run, namespace = f"{RUN_LABEL}={run.run_id}", self._namespace(run)
        _patiently(
            lambda: self._api_client.batch_api.delete_collection_namespaced_job(
                namespace, label_selector=of_run, propagation_policy="Background"
            )
        )
        pods = _patiently(lambda: self._api_client.core_api.list_namespaced_pod(namespace, label_selector=of_run))
        if not any(pod.status.phase == "Running" for pod in pods.items):
            free_slots(self._instance, run.run_id)

    def _namespace(self, run: dg.DagsterRun) -> str:
        return str(self.get_container_context_for_run(run).namespace)


def _patiently(ask: Callable[[], _T]) -> _T:
    """Ask again, a little later each time, while the API server is overloaded, restarts or cannot be reached."""
    for wait in _WAITS_SECONDS:
        try:
            return ask()
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status not in _PASSING:
                raise
            time.sleep(wait)
    return ask()
