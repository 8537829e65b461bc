"""The only module that imports Dagster's private modules: each name here may move with any Dagster release."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster._config import process_config, resolve_to_config_type
from dagster._config.pythonic_config import conversion_utils
from dagster._core.definitions.observe import observe
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._utils.schedules import cron_string_iterator

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from starlette.middleware import Middleware
    from starlette.requests import HTTPConnection

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "AUTO_RETRY_RUN_ID_TAG",
    "WILL_RETRY_TAG",
    "cron_string_iterator",
    "default_instance_parts",
    "empty_workspace",
    "observe",
    "options_without_environment",
    "process_config",
    "put_before_webserver",
    "resolve_to_config_type",
    "set_defs_state_storage",
]


def options_without_environment() -> None:
    """Give the classes of run options that are defined from now on plain texts, numbers and flags.

    Dagster also lets a run write ``{env: NAME}`` for each of them. Then whoever may launch a run can read every variable
    of the process: a wrong value is quoted in the run's error, and DATABASE_URL is always a wrong value.
    """
    for name, plain in (("StringSource", str), ("IntSource", int), ("BoolSource", bool)):
        setattr(conversion_utils, name, resolve_to_config_type(plain))


def default_instance_parts(base_dir: str) -> Any:
    """Storage, launcher and further parts of an instance in this folder, as Dagster chooses them."""
    return InstanceRef.config_defaults(base_dir)


def put_before_webserver(middleware: Middleware, is_read_only: Callable[[HTTPConnection], bool]) -> None:
    """Put ASGI middleware before every webserver that this process makes from now on.

    ``is_read_only`` says for each request whether Dagster refuses changes and disables their buttons, as with
    `dagster-webserver --read-only`.
    """
    from dagster_webserver.webserver import DagsterWebserver

    inherited = DagsterWebserver.build_middleware
    unrestricted = DagsterWebserver._make_request_context

    def build_middleware(self: Any) -> list[Middleware]:
        return [middleware, *inherited(self)]

    def make_request_context(self: Any, connection: HTTPConnection) -> Any:
        context = unrestricted(self, connection)
        context._read_only = context._read_only or is_read_only(connection)
        return context

    DagsterWebserver.build_middleware = build_middleware  # type: ignore[method-assign]
    DagsterWebserver._make_request_context = make_request_context  # type: ignore[method-assign, assignment]


def empty_workspace(instance: DagsterInstance) -> WorkspaceProcessContext:
    """What a webserver serves without code locations, for tests."""
    return WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), version="test")
