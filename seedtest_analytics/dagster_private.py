"""The only module that imports Dagster's private modules: each name here may move with any Dagster release."""

from __future__ import annotations

from dagster._config import process_config, resolve_to_config_type
from dagster._core.definitions.observe import observe
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
    "cron_string_iterator",
    "observe",
    "process_config",
    "resolve_to_config_type",
    "set_defs_state_storage",
]
