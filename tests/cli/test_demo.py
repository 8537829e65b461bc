"""The weeks and the cohort that `seedtest demo` shows, its log file, and its refusal of a dry run."""

import datetime as dt
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from seedtest_analytics.cli.demo import COHORT_SETTINGS, DEMO_SETTINGS, demo_cohort, errors_to, shown_weeks
from seedtest_analytics.database.migrations import schema_state
from seedtest_analytics.settings import GROUPS
from tests.cli.conftest import Seedtest

MONDAY = dt.date(2026, 1, 5)


def weeks(*students: int) -> dict[dt.date, int]:
    return {MONDAY + dt.timedelta(weeks=n): count for n, count in enumerate(students) if count}


@pytest.mark.parametrize(
    ("students", "n_weeks", "first", "last"),
    [
        ((40, 42, 38, 41), 26, 0, 3),
        ((40, 42, 38, 41), 2, 2, 3),
        ((40, 42, 38, 41, 2, 1), 2, 2, 3),
        ((40, 3, 38, 10, 41, 0, 5), 26, 0, 4),
        ((1,), 4, 0, 0),
    ],
)
def test_the_weeks_before_the_thin_tail(students: tuple[int, ...], n_weeks: int, first: int, last: int) -> None:
    shown = shown_weeks(weeks(*students), n_weeks)
    assert shown == (MONDAY + dt.timedelta(weeks=first), MONDAY + dt.timedelta(weeks=last))


def test_in_a_dry_run_it_is_refused_before_anything_is_touched(
    seedtest: Seedtest, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # If the command were not refused, this would end it before it opens a UI.
    monkeypatch.setattr("seedtest_analytics.cli.demo._load", lambda *arguments: pytest.fail("the demo loads"))
    code, output = seedtest("demo", "--students", "5", DATABASE_URL=empty_database, DRY_RUN="true")
    assert code == 1
    assert "error: DRY_RUN is set" in output
    assert "cannot run dry" in output
    assert schema_state(create_engine(empty_database)).current is None
    assert not (tmp_path / "home").exists()


def test_the_cohort_ends_yesterday_in_the_running_week_and_has_no_hostile_row() -> None:
    wednesday = dt.date(2026, 11, 18)
    config = demo_cohort(300, 16, until=wednesday, timezone="UTC")
    assert config.first_monday + dt.timedelta(weeks=15) == dt.date(2026, 11, 16)
    assert not config.has_hostile_rows


def test_the_settings_of_the_demo_exist() -> None:
    known = {name for group in GROUPS.values() for name in group.variables()}
    assert set(DEMO_SETTINGS) | set(COHORT_SETTINGS) <= known


def test_errors_of_child_processes_go_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "dev_server" / "demo.log"
    with errors_to(log):
        subprocess.run(["sh", "-c", "echo a warning >&2"], check=True)
    os.write(2, b"an error of the command")
    assert log.read_text() == "a warning\n"
    assert capfd.readouterr().err == "an error of the command"
