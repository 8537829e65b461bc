"""Fixtures of the tests that need the platform's schema or S3."""

import pytest

from seedtest_analytics.assets.framework.week_run import WeekRun
from tests._database import database, shared_database
from tests._s3 import aws_environment, bucket, moto_endpoint

__all__ = ["aws_environment", "bucket", "database", "moto_endpoint", "shared_database"]


@pytest.fixture(autouse=True)
def old_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have short logs, but their checks fail as in an old log instead of passing as "too early"."""
    monkeypatch.setattr(WeekRun, "weeks_of_attempts", lambda _: 52)
