"""The weekly message and its senders."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr, ValidationInfo, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable
from seedtest_analytics.settings.platform import is_this_machine, require_confidential


class MessageSettings(SettingsGroup):
    """The weekly message: which sentences are sent, and how."""

    max_age_days: int = variable(
        7,
        "MESSAGE_MAX_AGE_DAYS",
        ge=1,
        le=28,
        description="Days after the end of a week in which its sentences may be sent; later they are cancelled.",
    )
    per_minute: int = variable(
        60, "MESSAGE_RATE_PER_MINUTE", ge=1, le=1_000_000, description="Messages sent in a minute at most."
    )
    tries: int = variable(8, "MESSAGE_TRIES", ge=1, le=20, description="Tries of a message before it has failed.")
    timeout_secs: float = variable(
        30.0, "MESSAGE_TIMEOUT_SECS", gt=0, le=300, description="Seconds that a receiver may take for one answer."
    )
    sender: str | None = variable(None, "MESSAGE_FROM", description="Address that mails come from and bounce to.")
    smtp_host: str | None = variable(None, "MESSAGE_SMTP_HOST", description="Mail server that takes the messages.")
    smtp_port: int = variable(587, "MESSAGE_SMTP_PORT", ge=1, le=65_535, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = variable(
        "starttls", "MESSAGE_SMTP_TLS", description="Encryption of the connection; none only to this machine."
    )
    smtp_user: str | None = variable(None, "MESSAGE_SMTP_USER", description="Account at the mail server.")
    smtp_password: SecretStr | None = variable(None, "MESSAGE_SMTP_PASSWORD", description="Its password.")
    webhook_url: SecretStr | None = variable(
        None, "MESSAGE_WEBHOOK_URL", description="URL that receives each message as JSON."
    )
    webhook_token: SecretStr | None = variable(
        None, "MESSAGE_WEBHOOK_TOKEN", description="Sent to it as a bearer token."
    )

    @field_validator("webhook_url")
    @classmethod
    def _confidential_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            require_confidential(value.get_secret_value())
        return value

    @field_validator("smtp_tls")
    @classmethod
    def _encrypted_beyond_this_machine(cls, value: str, info: ValidationInfo) -> str:
        host = info.data.get("smtp_host")
        if value == "none" and host and not is_this_machine(host):
            raise ValueError("a connection to another machine must be encrypted: use starttls or tls")
        return value
