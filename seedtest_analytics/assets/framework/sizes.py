"""What the pod of a step asks for and may use on Kubernetes, by the group of its assets.

The sizes are those of the legacy CronJobs (contract, section 6). Where a CronJob had less than a Python process with
the platform's libraries needs, the step has more. SEEDTEST_STEP_RESOURCES changes the size of single steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

K8S_CONFIG_TAG = "dagster-k8s/config"


@dataclass(frozen=True)
class Size:
    """Processors and memory in Kubernetes' notation: the guaranteed part and the limit."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """The ``resources`` of a container."""
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory},
            "limits": {"cpu": self.cpu_limit, "memory": self.memory_limit},
        }

    @property
    def op_tags(self) -> dict[str, Any]:
        """Tags of a step that give its pod this size. Tags of a job would not reach steps that other jobs select."""
        return {K8S_CONFIG_TAG: {"container_config": {"resources": self.resources}}}


SMALL = Size("200m", "512Mi", cpu_limit="1", memory_limit="1Gi")

SIZE_OF_GROUP = {
    "psychometrics": Size("500m", "1Gi", cpu_limit="2", memory_limit="2Gi"),
    "growth": Size("1", "2Gi", cpu_limit="4", memory_limit="4Gi"),
    "churn": Size("500m", "1Gi", cpu_limit="2", memory_limit="2Gi"),
    "forecasts": Size("500m", "1Gi", cpu_limit="2", memory_limit="2Gi"),
    "segments": Size("500m", "1Gi", cpu_limit="2", memory_limit="4Gi"),
    "backtest": Size("500m", "1Gi", cpu_limit="2", memory_limit="2Gi"),
    "drift": Size("1", "2Gi", cpu_limit="2", memory_limit="4Gi"),
    "reports": Size("2", "4Gi", cpu_limit="4", memory_limit="8Gi"),
}
"""Groups with more than :data:`SMALL`."""


def size_of(group: str) -> Size:
    """The size of the steps of a group."""
    return SIZE_OF_GROUP.get(group, SMALL)


def resized(op_tags: dict[str, Any], changes: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Tags of a step whose pod has other requests or limits than its group; what is not changed stays."""
    given = op_tags[K8S_CONFIG_TAG]["container_config"]["resources"]
    resources = {kind: {**amounts, **changes.get(kind, {})} for kind, amounts in given.items()}
    return {**op_tags, K8S_CONFIG_TAG: {"container_config": {"resources": resources}}}
