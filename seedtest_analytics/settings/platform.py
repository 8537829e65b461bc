"""Database, time zone, alerts and report storage."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import SecretStr, ValidationInfo, field_validator

from seedtest_analytics.settings.group import MOST_DAYS, MOST_SECONDS, SettingsGroup, variable

_SHORTEST_SECRET = 16
FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
"""Days that a setting or an option may name, as the loader accepts them; no computation with them leaves the calendar."""


def require_confidential(url: str) -> None:
    """Refuse a web address that sends data unencrypted to another machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return
    if parts.scheme != "http" or not is_this_machine(host or "?"):
        raise ValueError("must begin with https://; plain http:// is only for this machine (127.0.0.1, localhost)")


def is_this_machine(host: str) -> bool:
    """Whether a host is a socket folder, a loopback address or its name."""
    if not host or host.startswith(("/", "@")) or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class PlatformSettings(SettingsGroup):
    """Database, time zone, alerts and retention."""

    database_url: SecretStr | None = variable(
        None, "DATABASE_URL", description="SQLAlchemy or libpq URL of PostgreSQL; if unset, the embedded server."
    )
    database_schema: str | None = variable(
        None,
        "SEEDTEST_SCHEMA",
        pattern=r"^[a-z][a-z0-9_]{0,50}$",
        description="Schema of the platform's tables, created if missing; if unset, the first of the search path.",
    )
    app_env: str = variable("local", "APP_ENV", description="'local' allows the embedded PostgreSQL.")
    dry_run: bool = variable(False, "DRY_RUN", description="Compute and report what would be written; write nothing.")
    timezone: str = variable(
        "UTC", "SEEDTEST_TIMEZONE", description="IANA time zone of days and weeks, such as Asia/Seoul."
    )
    start_date: dt.date = variable(
        dt.date(2024, 1, 1),
        "SEEDTEST_START_DATE",
        ge=FIRST_DAY,
        le=LAST_DAY,
        description="First day with a partition (YYYY-MM-DD).",
    )
    connect_mapping: str | None = variable(
        None,
        "SEEDTEST_CONNECT_MAPPING",
        description="Mapping files of seedtest connect, separated by commas, whose new rows the daemon reads.",
    )
    alert_webhook_url: SecretStr | None = variable(
        None, "SEEDTEST_ALERT_WEBHOOK_URL", description="URL that receives a JSON message when a run fails."
    )
    run_retention_days: int = variable(
        180,
        "SEEDTEST_RUN_RETENTION_DAYS",
        ge=0,
        le=MOST_DAYS,
        description="Days that Dagster keeps a finished run if its partition has a newer one; 0 keeps all.",
    )
    lock_timeout_secs: float = variable(
        60.0,
        "SEEDTEST_LOCK_TIMEOUT_SECS",
        ge=0,
        le=MOST_SECONDS,
        description="Seconds that a statement waits for a table that another session locks; 0 waits without limit.",
    )
    statement_timeout_secs: float = variable(
        3600.0,
        "SEEDTEST_STATEMENT_TIMEOUT_SECS",
        ge=0,
        le=MOST_SECONDS,
        description="Seconds that one statement may take; 0 sets no limit.",
    )
    owner: str = variable("team:learning-analytics", "SEEDTEST_OWNER", description="Owner shown on every asset.")

    @field_validator("alert_webhook_url")
    @classmethod
    def _confidential_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            require_confidential(value.get_secret_value())
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("unknown time zone")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The platform's time zone."""
        return ZoneInfo(self.timezone)


class StorageSettings(SettingsGroup):
    """Storage of reports."""

    s3_bucket: str | None = variable(None, "S3_BUCKET", description="S3 bucket of the reports; if unset, a folder.")
    s3_endpoint_url: str | None = variable(None, "S3_ENDPOINT_URL", description="Endpoint of an S3-compatible store.")
    aws_region: str = variable("ap-northeast-2", "AWS_REGION", description="Region of the bucket.")
    s3_encryption: Literal["AES256", "aws:kms", "none"] = variable(
        "AES256",
        "S3_ENCRYPTION",
        description="Encryption at rest that objects are written with; none only for a store that encrypts by itself.",
    )
    s3_kms_key_id: str | None = variable(
        None, "S3_KMS_KEY_ID", description="Key of S3_ENCRYPTION=aws:kms; if unset, the account's own key for S3."
    )
    s3_timeout_secs: float = variable(
        10.0, "S3_TIMEOUT_SECS", gt=0, le=300, description="Seconds that one request waits for an answer of the store."
    )
    patience_secs: float = variable(
        60.0,
        "REPORT_STORE_PATIENCE_SECS",
        ge=0,
        le=MOST_SECONDS,
        description="Seconds of a run that failing uploads may take in all; after them the reports wait on disk.",
    )
    key_secret: SecretStr | None = variable(
        None,
        "REPORT_KEY_SECRET",
        description="Secret of 16 characters or more; keys then have an HMAC of the student's id instead of the id.",
    )
    report_folder: str | None = variable(
        None, "SEEDTEST_REPORT_DIR", description="Folder of the reports without S3; DAGSTER_HOME/reports if unset."
    )
    waiting_folder: str | None = variable(
        None,
        "SEEDTEST_WAITING_DIR",
        description="Folder in which rendered reports wait for S3; DAGSTER_HOME/waiting_reports if unset.",
    )

    @field_validator("s3_endpoint_url")
    @classmethod
    def _confidential_endpoint(cls, value: str | None) -> str | None:
        if value is not None:
            require_confidential(value)
        return value

    @field_validator("key_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"a secret has {_SHORTEST_SECRET} characters or more")
        return value

    @field_validator("s3_kms_key_id")
    @classmethod
    def _only_with_kms(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("s3_encryption") != "aws:kms":
            raise ValueError("it needs S3_ENCRYPTION=aws:kms")
        return value
