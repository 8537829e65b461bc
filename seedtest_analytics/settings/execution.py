"""Where the steps of a run execute."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_WEEKS, SettingsGroup, variable

ExecutorName = Literal["in_process", "multiprocess", "k8s"]
_QUANTITIES = {"cpu": re.compile(r"\d+(\.\d+)?|\d+m"), "memory": re.compile(r"\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?")}


class ExecutionSettings(SettingsGroup):
    """Executor of runs that the daemon or the UI launches."""

    executor: ExecutorName | None = variable(
        None,
        "SEEDTEST_EXECUTOR",
        description="Where the steps of a launched run execute: 'in_process' in the run's own process, 'multiprocess' each "
        "in its own process, 'k8s' each in its own pod; if unset, 'k8s' in a pod and 'multiprocess' elsewhere.",
    )
    kubernetes_service_host: str | None = variable(
        None, "KUBERNETES_SERVICE_HOST", description="Set by Kubernetes in every pod: the platform runs on a cluster."
    )
    max_steps: int | None = variable(
        None,
        "SEEDTEST_MAX_STEPS",
        ge=1,
        le=1000,
        description="Steps of one run that execute at the same time; if unset, the number of cores, or no limit with 'k8s'. "
        "Pools limit them further.",
    )
    shards: int = variable(
        1,
        "SEEDTEST_SHARDS",
        ge=1,
        le=64,
        description="Steps over which the students of a week are spread in reports and messages. With 1 each of them is one "
        "step. Processes that load the definitions must agree.",
    )
    weeks_per_run: int | None = variable(
        None,
        "SEEDTEST_BACKFILL_WEEKS",
        ge=1,
        le=MOST_WEEKS,
        description="Weeks of one run in a back-fill of reports or messages, whose weeks do not need each other; the runs go "
        "on at the same time. If unset, one run computes all weeks in their order.",
    )
    step_service_account: str | None = variable(
        None,
        "SEEDTEST_STEP_SERVICE_ACCOUNT",
        description="Service account of the pods of steps, which need no access to Kubernetes; if unset, that of the run.",
    )
    step_resources: str = variable(
        "{}",
        "SEEDTEST_STEP_RESOURCES",
        description="JSON of the pod sizes to change, by step, such as "
        '{"bayesian_growth": {"limits": {"memory": "8Gi"}}}.',
    )

    @property
    def chosen(self) -> ExecutorName:
        """The executor of this environment."""
        return self.executor or ("k8s" if self.kubernetes_service_host else "multiprocess")

    @property
    def resources_by_step(self) -> dict[str, dict[str, dict[str, str]]]:
        """Requests and limits to change, by name of the step."""
        found: dict[str, dict[str, dict[str, str]]] = json.loads(self.step_resources)
        return found

    @field_validator("step_resources")
    @classmethod
    def _quantities(cls, value: str) -> str:
        try:
            steps = json.loads(value)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
        for step, resources in _pairs(steps, "steps"):
            for kind, amounts in _pairs(resources, step):
                if kind not in ("requests", "limits"):
                    raise ValueError(f"{step} has {kind!r} in place of 'requests' or 'limits'")
                for name, amount in _pairs(amounts, f"{step}.{kind}"):
                    if name not in _QUANTITIES or not _QUANTITIES[name].fullmatch(str(amount)):
                        raise ValueError(f"{step}.{kind} has {name}: {amount!r}; write cpu as 500m or 2, memory as 4Gi")
        return value


def _pairs(value: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a JSON object")
    return list(value.items())
