"""The Dagster instance of the platform, which puts the guard before the webserver.

`dagster.yaml` names the class. So every webserver that uses this instance is guarded, whoever starts it: `seedtest up`,
`dagster dev`, `dg dev`, or the pod on Kubernetes.
"""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance

from seedtest_analytics.dagster_private import default_instance_parts, put_before_webserver


class GuardedInstance(DagsterInstance):
    """Dagster's instance; nothing but the webserver's process notices the difference."""

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """Further keys of `dagster.yaml`: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Any:
        """Dagster's own parts."""
        return default_instance_parts(base_dir)

    def optimize_for_webserver(self, *arguments: Any, **named: Any) -> None:
        """Called by Dagster's webserver before it makes its application, and by nothing else.

        Raises SettingsError, which ends the webserver, if a setting is wrong.
        """
        from starlette.middleware import Middleware

        from seedtest_analytics.settings import load_settings
        from seedtest_analytics.webserver.guard import Guard, is_read_only

        super().optimize_for_webserver(*arguments, **named)
        settings = load_settings().ui
        put_before_webserver(
            Middleware(Guard, settings=settings), is_read_only=lambda connection: is_read_only(connection, settings)
        )
