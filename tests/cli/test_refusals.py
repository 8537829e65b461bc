"""Unusable databases and options: the command names place, cause and remedy, without a traceback or a password."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from tests.cli.conftest import Seedtest

PASSWORD = "hunter2"
COMMANDS = [
    ("migrate",),
    ("load", "log.csv"),
    ("simulate", "--students", "5", "--weeks", "2", "--load"),
    ("materialize",),
    ("backtest",),
    ("tag-anchors",),
    ("goal-calibration",),
    ("goal-probability", "--current-score=0", "--trend=0", "--weeks-remaining=4", "--target-score=1"),
    ("up",),
]


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of one answer in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user_id,item_id,correct,completed_at\nkim,1,1,2026-01-05T10:00:00Z\n")


def refused(seedtest: Seedtest, command: tuple[str, ...], url: str) -> str:
    code, output = seedtest(*command, DATABASE_URL=url)
    assert code == 1
    assert output.count("error:") == 1
    assert "Traceback" not in output
    assert PASSWORD not in output
    return output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_unreachable_server(seedtest: Seedtest, command: tuple[str, ...]) -> None:
    output = refused(seedtest, command, f"postgresql://kim:{PASSWORD}@127.0.0.1:1/school")
    assert "127.0.0.1" in output
    assert "Connection refused" in output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_wrong_password(seedtest: Seedtest, empty_database: str, command: tuple[str, ...]) -> None:
    url = make_url(empty_database).set(password=PASSWORD).render_as_string(hide_password=False)
    output = refused(seedtest, command, url)
    assert "password authentication failed for user" in output


@pytest.mark.parametrize("command", COMMANDS[1:-1], ids=lambda command: command[0])
def test_a_database_without_the_platforms_schema(
    seedtest: Seedtest, empty_database: str, command: tuple[str, ...]
) -> None:
    code, output = seedtest(*command, DATABASE_URL=empty_database)
    assert code == 1
    assert "revision none" in output
    assert "run `seedtest migrate` first" in output
    assert "Traceback" not in output


def test_an_unreachable_storage_of_dagster(seedtest: Seedtest, database_url: str) -> None:
    storage = f"postgresql://kim:{PASSWORD}@127.0.0.1:1/dagster"
    code, output = seedtest("simulate", "--students", "5", "--weeks", "2", "--load", DATABASE_URL=database_url)
    assert code == 0, output
    code, output = seedtest("materialize", DAGSTER_POSTGRES_URL=storage)
    assert code == 1
    assert output.count("error:") == 1
    assert "Connection refused" in output
    assert "Traceback" not in output
    assert PASSWORD not in output


@pytest.mark.parametrize("url", ["hunter2", "mysql://kim:hunter2@h/d", "postgresql://kim@h:hunter2/d"])
def test_what_is_no_url_of_postgresql(seedtest: Seedtest, url: str) -> None:
    assert "postgresql://" in refused(seedtest, ("migrate",), url)


@pytest.mark.long
def test_the_doctor_names_the_refusal_and_goes_on(seedtest: Seedtest) -> None:
    url = f"postgresql://kim:{PASSWORD}@127.0.0.1:1/school"
    code, output = seedtest("doctor", DATABASE_URL=url, COLUMNS="500")
    assert code == 1
    assert "Connection refused" in output
    assert "Quarto" in output
    assert PASSWORD not in output


def test_a_port_that_is_none_and_a_zone_that_is_none(seedtest: Seedtest) -> None:
    code, output = seedtest("up", "--port", "99999")
    assert code == 2
    assert "65535" in output
    code, output = seedtest("migrate", SEEDTEST_TIMEZONE="Mars")
    assert code == 1
    assert "SEEDTEST_TIMEZONE = 'Mars' is not allowed: unknown time zone." in output
    assert "docs/settings.md" in output


def test_a_revision_that_is_not_known(seedtest: Seedtest, empty_database: str) -> None:
    code, output = seedtest("migrate", "--revision", "nope", DATABASE_URL=empty_database)
    assert code == 1
    assert "'nope'; known revisions: 0001, " in output


@pytest.mark.long
def test_the_doctor_names_a_wrong_setting_once(seedtest: Seedtest) -> None:
    code, output = seedtest("doctor", SEEDTEST_TIMEZONE="Mars", COLUMNS="500")
    assert code == 1
    assert output.count("'Mars'") == 1
    assert output.count("correct the settings first") == 5
    assert "correct DATABASE_URL" not in output


@pytest.mark.long
def test_the_doctor_stops_the_database_that_it_starts(seedtest: Seedtest, tmp_path: Path) -> None:
    _, output = seedtest("doctor", COLUMNS="500")
    assert "(embedded, in " in output
    server = EmbeddedPostgres(tmp_path / "home" / "postgres")
    assert server.status().state == "stopped"
    server.start()
    try:
        seedtest("doctor", COLUMNS="500")
        assert server.status().state == "running"
    finally:
        server.stop()


@pytest.mark.parametrize("command", ["url", "render"])
@pytest.mark.parametrize("day", ["2026-13-23", "0", "20260302", ""])
def test_a_week_of_a_report_that_is_no_date(seedtest: Seedtest, command: str, day: str) -> None:
    code, output = seedtest("report", command, "kim", day)
    assert code == 2
    assert f"WEEK '{day}' is not a date; use YYYY-MM-DD" in output
