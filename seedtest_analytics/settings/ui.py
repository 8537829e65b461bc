"""Who may use the UI, and by which names it is reached."""

from __future__ import annotations

import base64

from pydantic import SecretStr, ValidationInfo, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable
from seedtest_analytics.settings.platform import require_confidential

SHORTEST_PASSWORD = 12
EVERYBODY = "*"
"""The name of a group to which every person belongs whom the identity provider knows."""


class UiSettings(SettingsGroup):
    """The UI: its address and names, accounts, the identity provider, and read-only mode."""

    url: str | None = variable(
        None,
        "SEEDTEST_UI_URL",
        description="Address of the UI for people, for links in alerts and the way back from a log-in, such as "
        "https://seedtest.example.com.",
    )
    auth: SecretStr | None = variable(
        None,
        "SEEDTEST_UI_AUTH",
        description="Accounts that may do everything, as name:password separated by blanks. If set, the UI asks for a "
        "log-in.",
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

    oidc_client_id: str | None = variable(
        None, "SEEDTEST_OIDC_CLIENT_ID", description="Name of the UI at the identity provider."
    )
    oidc_client_secret: SecretStr | None = variable(
        None, "SEEDTEST_OIDC_CLIENT_SECRET", description="The client's secret at the identity provider."
    )
    oidc_issuer: str | None = variable(
        None,
        "SEEDTEST_OIDC_ISSUER",
        description="Address of an identity provider (OpenID Connect) that logs people in, such as "
        "https://login.example.com/realms/school.",
    )
    oidc_scope: str = variable(
        "openid profile email", "SEEDTEST_OIDC_SCOPE", description="What the UI asks of the provider."
    )
    oidc_claim: str = variable(
        "groups", "SEEDTEST_OIDC_CLAIM", description="The claim that has a person's groups or roles."
    )
    oidc_editors: str = variable(
        "", "SEEDTEST_OIDC_EDITORS", description="Comma-separated groups that may do everything. * is everybody."
    )
    oidc_readers: str = variable(
        "",
        "SEEDTEST_OIDC_READERS",
        description="Comma-separated groups that see everything and change nothing. * is everybody.",
    )
    oidc_hours: float = variable(
        8.0, "SEEDTEST_OIDC_HOURS", gt=0, le=24 * 30, description="Hours after which a person logs in again."
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _complete_provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        require_confidential(value)
        needed = {
            "SEEDTEST_OIDC_CLIENT_ID": "oidc_client_id",
            "SEEDTEST_OIDC_CLIENT_SECRET": "oidc_client_secret",
            "SEEDTEST_UI_URL": "url",
        }
        missing = [name for name, field in needed.items() if not info.data.get(field)]
        if missing:
            raise ValueError(f"it also needs {' and '.join(missing)}")
        return value

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
        return _names(self.hosts.lower())

    @property
    def oidc_editor_groups(self) -> frozenset[str]:
        """Groups of the identity provider that may do everything."""
        return _names(self.oidc_editors)

    @property
    def oidc_reader_groups(self) -> frozenset[str]:
        """Groups of the identity provider that may only look."""
        return _names(self.oidc_readers)

    @property
    def authorization(self) -> dict[str, str]:
        """The header with which the platform asks its own UI; empty without a log-in."""
        for name, password in (self.editors | self.readers).items():
            return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
        return {}


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _accounts(value: SecretStr | None) -> dict[str, str]:
    pairs = value.get_secret_value().split() if value else []
    return {name: password for name, _, password in (pair.partition(":") for pair in pairs)}
