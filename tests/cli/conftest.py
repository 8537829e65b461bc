"""Run the commands in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seedtest_analytics.cli import app
from tests._database import database, shared_database

__all__ = ["database", "shared_database"]

Seedtest = Callable[..., tuple[int, str]]


@pytest.fixture
def seedtest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Seedtest:
    """``seedtest(*arguments, **environment)`` returns the exit code and all output; a traceback fails the test."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("DATABASE_URL", "DRY_RUN", "DAGSTER_POSTGRES_URL", "APP_ENV"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        # The command sets it for its process.
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
        monkeypatch.setattr("sys.argv", ["seedtest", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return run
