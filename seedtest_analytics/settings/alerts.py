"""Where alerts go, and when."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable
from seedtest_analytics.settings.platform import is_this_machine, require_confidential


class AlertSettings(SettingsGroup):
    """Alerts of failed runs, beside SEEDTEST_ALERT_WEBHOOK_URL, and the sign of life."""

    slack_url: SecretStr | None = variable(
        None,
        "SEEDTEST_ALERT_SLACK_URL",
        description="Incoming webhook of Slack, or of a service that accepts its messages.",
    )
    email_to: str = variable(
        "",
        "SEEDTEST_ALERT_EMAIL_TO",
        description="Comma-separated addresses that get a mail; SEEDTEST_SMTP_URL sends it.",
    )
    email_from: str = variable("seedtest@localhost", "SEEDTEST_ALERT_EMAIL_FROM", description="Sender of the mails.")
    smtp_url: SecretStr | None = variable(
        None,
        "SEEDTEST_SMTP_URL",
        description="Mail server: smtps://user:password@host:465, or smtp://user:password@host:587 with STARTTLS.",
    )
    after_failures: int = variable(
        1, "SEEDTEST_ALERT_AFTER", ge=1, le=1000, description="Failures of a job in a row before its first alert."
    )
    repeat_hours: float = variable(
        24.0,
        "SEEDTEST_ALERT_REPEAT_HOURS",
        gt=0,
        le=24 * 365,
        description="Hours before a cause that remains is alerted again.",
    )
    heartbeat_url: SecretStr | None = variable(
        None,
        "SEEDTEST_HEARTBEAT_URL",
        description="Address that gets a request every five minutes while daemon and code location live. A service behind it "
        "raises the alarm when the requests stop.",
    )

    @property
    def recipients(self) -> list[str]:
        """The addresses that get a mail."""
        return [address.strip() for address in self.email_to.split(",") if address.strip()]

    @field_validator("slack_url", "heartbeat_url")
    @classmethod
    def _confidential(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            require_confidential(value.get_secret_value())
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
                raise ValueError("must be smtp://host or smtps://host, with user and password where the server asks")
        return value

    @property
    def needs_tls(self) -> bool:
        """Mails leave this machine."""
        return self.smtp_url is not None and not is_this_machine(
            urlsplit(self.smtp_url.get_secret_value()).hostname or "?"
        )
