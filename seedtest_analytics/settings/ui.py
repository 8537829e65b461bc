"""Who may use the UI, and by which names it is reached."""

from __future__ import annotations

import base64

from pydantic import SecretStr, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable

SHORTEST_PASSWORD = 12
ANY_NAME = "*"
"""The name of an account that accepts every name: a proxy that has logged the person in sends theirs."""


class UiSettings(SettingsGroup):
    """The UI: accounts, host names and read-only mode."""

    auth: SecretStr | None = variable(
        None,
        "SEEDTEST_UI_AUTH",
        description="Accounts that may do everything, as name:password separated by blanks. If set, the UI asks for a "
        "log-in. The name * accepts every name, for a proxy that logs in.",
    )
    auth_read_only: SecretStr | None = variable(
        None,
        "SEEDTEST_UI_AUTH_READ_ONLY",
        description="Accounts that see everything and change nothing, in the same form. If set, the UI asks for a log-in.",
    )
    hosts: str = variable(
        "",
        "SEEDTEST_UI_HOSTS",
        description="Comma-separated host names of the UI besides localhost, with the port where it is not 80 or 443, "
        "such as seedtest.example.com.",
    )
    read_only: bool = variable(False, "SEEDTEST_UI_READ_ONLY", description="No account changes anything in this UI.")

    @field_validator("auth", "auth_read_only")
    @classmethod
    def _complete_accounts(cls, value: SecretStr | None) -> SecretStr | None:
        for name, password in _accounts(value).items():
            if not name or len(password) < SHORTEST_PASSWORD:
                raise ValueError(
                    f"each account is name:password, with a password of {SHORTEST_PASSWORD} characters or more"
                )
        return value

    @property
    def editors(self) -> dict[str, str]:
        """Password of each account that may do everything."""
        return _accounts(self.auth)

    @property
    def readers(self) -> dict[str, str]:
        """Password of each account that may only look."""
        return _accounts(self.auth_read_only)

    @property
    def names(self) -> frozenset[str]:
        """The host names, in lower case and with their port if they have one."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @property
    def authorization(self) -> dict[str, str]:
        """The header with which the platform asks its own UI; empty without a log-in."""
        for name, password in (self.editors | self.readers).items():
            return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
        return {}


def _accounts(value: SecretStr | None) -> dict[str, str]:
    pairs = value.get_secret_value().split() if value else []
    return {name: password for name, _, password in (pair.partition(":") for pair in pairs)}
