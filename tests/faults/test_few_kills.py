"""The part of the fault suite that always runs: a command and PostgreSQL are killed, one after the other."""

from __future__ import annotations

import pytest

from tests.faults import _faults as faults
from tests.faults._faults import at, endure
from tests.faults._platform import small_platform

JOBS = ("sync_attempts", "aggregate_features_daily")


@pytest.mark.long
@pytest.mark.database
def test_kills_one_after_the_other() -> None:
    """The second command starts beside what the first kill left. At the end nothing of either remains."""
    with small_platform(JOBS) as platform:
        killed, bereft = endure(platform, at("attempts:", faults.kill_command), at("attempts:", faults.kill_postgres))
        assert killed.code == -9
        # Between two jobs the command starts the server again; within one it says what has gone.
        told = (
            "did not end cleanly; recovering",
            "PostgreSQL",
            "Dagster's storage cannot be used",
            "Connection refused",
        )
        assert bereft.code == (0 if told[0] in bereft.output else 1), bereft.output
        assert any(words in bereft.output for words in told), bereft.output
