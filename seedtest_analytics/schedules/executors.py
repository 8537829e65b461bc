"""Where the steps of a launched run execute: in its process, in their own processes, or in their own pods.

Every choice is fixed here, so that a run's configuration cannot choose an image, a secret or a command.
`seedtest materialize` and `seedtest demo` run their steps in their own process with any setting.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from seedtest_analytics.settings import ExecutionSettings

PRELOADED = ["seedtest_analytics.schedules.step_process", "seedtest_analytics.definitions"]
"""What the fork server of a run imports once for the processes of all its steps."""


def chosen_executor(settings: ExecutionSettings) -> dg.ExecutorDefinition:
    """The executor of SEEDTEST_EXECUTOR, or that of the environment."""
    if settings.chosen == "in_process":
        return _fixed(dg.in_process_executor, {}, name="in_process")
    if settings.chosen == "multiprocess":
        return _fixed(dg.multiprocess_executor, multiprocess_config(settings), name="multiprocess")
    from dagster_k8s import k8s_job_executor  # Imports the client of Kubernetes.

    return _fixed(k8s_job_executor, k8s_config(settings), name="k8s")


def _fixed(executor: Any, config: dict[str, Any], *, name: str) -> dg.ExecutorDefinition:
    fixed: dg.ExecutorDefinition = executor.configured(lambda _: config, name, config_schema={})
    return fixed


def multiprocess_config(settings: ExecutionSettings) -> dict[str, Any]:
    """A step's process is a fork of one that has loaded the definitions, which saves most of its start-up."""
    config: dict[str, Any] = {"start_method": {"forkserver": {"preload_modules": PRELOADED}}}
    return config | ({"max_concurrent": settings.max_steps} if settings.max_steps else {})


def k8s_config(settings: ExecutionSettings) -> dict[str, Any]:
    """Image, environment, volumes and rights are those of the run's pod, except that a step may not ask Kubernetes.

    A step's size comes from its tag (:mod:`seedtest_analytics.assets.framework.sizes`) unless the settings change it.
    """
    config: dict[str, Any] = {
        # The pods of steps are deleted with the pod of their run.
        "enable_owner_references": True,
        "step_k8s_config": {"pod_spec_config": {"automount_service_account_token": False}},
        "per_step_k8s_config": {
            step: {"container_config": {"resources": resources}}
            for step, resources in settings.resources_by_step.items()
        },
    }
    if settings.step_service_account:
        config["service_account_name"] = settings.step_service_account
    if settings.max_steps:
        config["max_concurrent"] = settings.max_steps
    return config
