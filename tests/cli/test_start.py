"""What a command imports before it works, and `seedtest` without a command."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.cli.app import COMMANDS, load_command
from tests.cli.conftest import Seedtest
from tests.ingest.test_files import GOOD, HEADER

SLOW = ("dagster", "pandas", "sqlalchemy", "pyarrow", "seedtest_analytics.settings")
RUN = """
import json, sys
from seedtest_analytics.cli.app import main
sys.argv = ["seedtest", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(set(sys.modules))]), file=sys.__stderr__)
"""


def run(home: Path, *arguments: str, **environment: str) -> tuple[int, set[str], str]:
    """Exit code, imported modules and output of a command in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={"DAGSTER_HOME": str(home), "COLUMNS": "200", **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done.stdout + done.stderr


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--help",), 0), (("--version",), 0), (("lod",), 2)])
def test_help_and_a_typo_import_nothing_slow(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    ended, modules, _ = run(tmp_path, *arguments)
    assert ended == code
    assert modules.isdisjoint(SLOW)


def test_without_a_command_the_help_is_shown(seedtest: Seedtest) -> None:
    code, output = seedtest()
    assert code == 0
    assert all(name in output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_the_first_paragraph_of_the_docstring(name: str) -> None:
    command = load_command(name)
    # A group of commands has a text in place of a function.
    documented = inspect.getdoc(command.callback) or "" if command.callback else command.help or ""
    assert " ".join(documented.split("\n\n", 1)[0].split()) == COMMANDS[name].summary


def test_commands_that_need_no_dagster_do_not_import_it(tmp_path: Path, empty_database: str) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + GOOD)
    cohort = ("simulate", "--students", "5", "--weeks", "2", "--load")
    for arguments in (("migrate",), ("load", str(log)), cohort):
        code, modules, output = run(tmp_path / "home", *arguments, DATABASE_URL=empty_database)
        assert code == 0, output
        assert "dagster" not in modules
