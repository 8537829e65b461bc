"""Where events of lineage go."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable
from seedtest_analytics.settings.platform import require_confidential


class LineageSettings(SettingsGroup):
    """OpenLineage events of every asset that a run materialises."""

    url: SecretStr | None = variable(
        None,
        "SEEDTEST_OPENLINEAGE_URL",
        description="Address that gets the events by POST, such as https://marquez.example.com/api/v1/lineage, or the absolute "
        "path of a file that gets one event a line; if unset, no event is made.",
    )
    api_key: SecretStr | None = variable(
        None, "SEEDTEST_OPENLINEAGE_API_KEY", description="Sent with each event as `Authorization: Bearer …`."
    )
    namespace: str = variable(
        "seedtest_analytics",
        "SEEDTEST_OPENLINEAGE_NAMESPACE",
        min_length=1,
        description="Namespace of the jobs in the events: one for each installation that sends to the same address.",
    )

    @field_validator("url")
    @classmethod
    def _address_or_file(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not Path(value.get_secret_value()).is_absolute():
            try:
                require_confidential(value.get_secret_value())
            except ValueError as error:
                raise ValueError(f"{error}; a file has an absolute path") from None
        return value

    @property
    def file(self) -> Path | None:
        """The file that gets the events, where it is one."""
        path = Path(self.url.get_secret_value()) if self.url else None
        return path if path is not None and path.is_absolute() else None
