"""The commands `load` and `simulate`, run as an operator runs them."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from seedtest_analytics.cli.load import load_command
from seedtest_analytics.cli.simulate import simulate_command
from seedtest_analytics.ingest import LoadError
from tests.ingest.test_files import GOOD, HEADER

app = typer.Typer()
app.command("load")(load_command)
app.command("simulate")(simulate_command)


@pytest.fixture
def run(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DRY_RUN", raising=False)

    def invoke(*arguments: str):
        return CliRunner().invoke(app, list(arguments))

    return invoke


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_load_tells_what_it_did_and_why_not(run, database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "[red]log:x:.csv"
    path.write_text(HEADER.replace("user_id", "student") + GOOD + ",s1,7,t,1,1,0,2026-03-02T09:00:00Z\n")
    result = run("load", str(path), "--map", "user_id=student", "--shift-to", "2026-11-21")
    assert result.exit_code == 0, result.output
    for expected in (
        "2 read, 1 attempts, 1 rejected",
        "1 new, 0 changed",
        "moved by",
        "36 weeks",
        "user_id_missing",
        "[red]log:x:.csv:2",
        "give every row its user",
    ):
        assert expected in result.output
    assert count(database, "exam_results") == 1


def test_a_dry_run_of_the_command_or_the_environment(
    run, database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    assert "nothing was written" in run("load", str(tmp_path / "log.csv"), "--dry-run").output
    monkeypatch.setenv("DRY_RUN", "true")
    assert "nothing was written" in run("load", str(tmp_path / "log.csv")).output
    assert "nothing is loaded" in run("simulate", "--students", "5", "--weeks", "2", "--load").output
    assert count(database, "exam_results") == 0
    assert run("load", str(tmp_path / "log.csv"), "--no-dry-run").exit_code == 0
    assert count(database, "exam_results") == 1


def test_a_log_without_any_good_row_is_a_failure(run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD.replace("ann", ""))
    assert run("load", str(tmp_path / "log.csv")).exit_code == 1


@pytest.mark.parametrize(("n_bad", "exit_code"), [(1, 0), (2, 1)])
def test_a_log_of_which_more_than_half_is_rejected_is_a_failure_after_the_summary(
    run, database: Engine, tmp_path: Path, n_bad: int, exit_code: int
) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD + n_bad * GOOD.replace("ann", ""))
    result = run("load", str(tmp_path / "log.csv"))
    assert result.exit_code == exit_code
    assert "1 attempts" in result.output
    assert ("67% of the rows were rejected" in result.output) == bool(exit_code)
    assert ("next: seedtest materialize" in result.output) != bool(exit_code)
    assert count(database, "exam_results") == 1


def test_rows_before_the_first_partition_are_named_with_both_remedies(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + GOOD)
    monkeypatch.setenv("SEEDTEST_START_DATE", "2026-03-04")
    assert "SEEDTEST_START_DATE" not in run("load", str(path)).output, "the same week has a partition"
    monkeypatch.setenv("SEEDTEST_START_DATE", "2026-03-09")
    output = run("load", str(path)).output
    assert "all rows are from before SEEDTEST_START_DATE (2026-03-09)" in output
    assert f"`seedtest load {path} --shift-to 20" in output
    assert "SEEDTEST_START_DATE=2026-03-02" in output
    first, second = re.search(r"`seedtest (load .*?)`", output), re.search(r"set SEEDTEST_START_DATE=(\S+)", output)
    assert first is not None
    assert second is not None
    assert "SEEDTEST_START_DATE" not in run(*shlex.split(first[1])).output
    monkeypatch.setenv("SEEDTEST_START_DATE", second[1])
    assert "SEEDTEST_START_DATE" not in run("load", str(path)).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("load", "nowhere.csv"), "file not found"),
        (("load", "x.csv", "--shift-to", "tomorrow"), "--shift-to 'tomorrow' is not a date; use YYYY-MM-DD"),
        (("simulate",), "nothing to do: name a folder with --out"),
        (("simulate", "--students", "0", "--load"), "n_students = 0 is not allowed"),
        (("simulate", "--until", "2026-13-01", "--load"), "--until '2026-13-01' is not a date"),
        (
            ("simulate", "--until", "9999-12-31", "--load"),
            "--until 9999-12-31 is out of range; use a day from 1900-01-01",
        ),
        (("simulate", "--until", "0001-01-01", "--load"), "--until 0001-01-01 is out of range"),
        (("load", "x.csv", "--shift-to", "9999-12-31"), "--shift-to 9999-12-31 is out of range"),
        (("load", "x.csv", "--shift-to", "0001-01-01"), "--shift-to 0001-01-01 is out of range"),
    ],
)
def test_mistakes_are_known_errors(run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, LoadError)
    assert message in str(result.exception)


def test_simulate_writes_files_and_loads_them(run, database: Engine, tmp_path: Path) -> None:
    result = run(
        "simulate",
        "--students",
        "30",
        "--weeks",
        "3",
        "--seed",
        "5",
        "--until",
        "2026-11-21",
        "--out",
        str(tmp_path / "cohort"),
        "--load",
    )
    assert result.exit_code == 0, result.output
    assert "cohort sim5: 30 students" in result.output
    assert (tmp_path / "cohort" / "cohort.json").exists()
    assert count(database, "simulation.student") == 30
    assert run("load", str(tmp_path / "cohort" / "attempts-*.parquet")).exit_code == 0
