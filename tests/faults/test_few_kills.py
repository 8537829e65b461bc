"""The part of the fault suite that always runs: a command and PostgreSQL are killed, one after the other."""

from __future__ import annotations

import pytest

from tests.faults import _faults as faults
from tests.faults._faults import at, endure
from tests.faults._platform import small_platform

JOBS = ("sync_attempts", "aggregate_features_daily", "compute_daily_kpis")


@pytest.mark.long
@pytest.mark.database
def test_kills_one_after_the_other() -> None:
    """The second command starts beside what the first kill left. At the end nothing of either remains."""
    with small_platform(JOBS) as platform:
        killed, bereft = endure(
            platform, at("attempts:", faults.kill_command), at("daily features", faults.kill_postgres)
        )
        assert killed.code == -9
        assert bereft.code == 1
        assert "PostgreSQL" in bereft.output or "Dagster's storage cannot be used" in bereft.output
