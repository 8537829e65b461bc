"""Where things are, how time is cut, where files go."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, available_timezones

from pydantic import SecretStr, field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable


class PlatformSettings(SettingsGroup):
    """Where things are and how time is cut."""

    database_url: SecretStr | None = variable(
        None, "DATABASE_URL", description="SQLAlchemy or libpq URL of PostgreSQL; unset: the embedded server."
    )
    app_env: str = variable("local", "APP_ENV", description="'local' allows the embedded PostgreSQL.")
    dry_run: bool = variable(False, "DRY_RUN", description="Compute and report what would be written; write nothing.")
    timezone: str = variable(
        "UTC",
        "SEEDTEST_TIMEZONE",
        description="IANA name; decides days and weeks everywhere, e.g. Asia/Seoul.",
    )
    start_date: dt.date = variable(
        dt.date(2024, 1, 1),
        "SEEDTEST_START_DATE",
        description="First day with a partition, ISO date (YYYY-MM-DD).",
    )
    alert_webhook_url: SecretStr | None = variable(
        None,
        "SEEDTEST_ALERT_WEBHOOK_URL",
        description="http(s) address that gets a JSON message when a run fails.",
    )
    run_retention_days: int = variable(
        180,
        "SEEDTEST_RUN_RETENTION_DAYS",
        ge=0,
        description="Days that Dagster keeps finished runs whose partitions have newer ones; 0: for ever.",
    )
    owner: str = variable("team:learning-analytics", "SEEDTEST_OWNER", description="Owner shown on every asset.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("it is no IANA time zone name")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The platform's time zone."""
        return ZoneInfo(self.timezone)


class StorageSettings(SettingsGroup):
    """Where report files go."""

    s3_bucket: str | None = variable(None, "S3_BUCKET", description="S3 bucket of the reports; unset: a folder.")
    s3_endpoint_url: str | None = variable(None, "S3_ENDPOINT_URL", description="Endpoint of an S3-compatible store.")
    aws_region: str = variable("ap-northeast-2", "AWS_REGION", description="Region of the bucket.")
    report_folder: str | None = variable(
        None,
        "SEEDTEST_REPORT_DIR",
        description="Folder of the reports without S3; default DAGSTER_HOME/reports.",
    )
