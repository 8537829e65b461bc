"""The only module that imports Dagster's private modules: each name here may move with any Dagster release."""

from __future__ import annotations

import time

from dagster._config import process_config, resolve_to_config_type
from dagster._core.definitions.observe import observe
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    WILL_RETRY_TAG,
)
from dagster._utils.schedules import cron_string_iterator

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "AUTO_RETRY_RUN_ID_TAG",
    "WILL_RETRY_TAG",
    "CheckRunHealthResult",
    "DefaultRunLauncher",
    "EngineEventData",
    "InstanceConcurrencyContext",
    "LaunchRunContext",
    "WorkerStatus",
    "cron_string_iterator",
    "observe",
    "process_config",
    "resolve_to_config_type",
    "set_defs_state_storage",
    "sleep_between_claims",
]

_LONGEST_SLEEP_SECONDS = 1.0


def sleep_between_claims() -> None:
    """Let a run in this process sleep while it waits for a slot of a pool.

    Dagster 1.13 takes the smallest of zero and the times until the next claim, which is never positive: it does not sleep
    and uses a whole core.
    """

    def seconds_to_next_claim(self: InstanceConcurrencyContext) -> float:
        now = time.time()
        waits = [self._pending_timeouts.get(step, now) - now for step in self._pending_claims]
        return min(max(0.0, min(waits, default=0.0)), _LONGEST_SLEEP_SECONDS)

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = seconds_to_next_claim  # type: ignore[method-assign]
