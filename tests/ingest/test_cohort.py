"""A simulated cohort in files and in the database: loaded twice, interrupted, and replaced by another of its seed."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.ingest import COLUMNS, LoadError, load_attempt_log
from seedtest_analytics.ingest import cohort_load as cohort_load_module
from seedtest_analytics.ingest.cohort_files import read_config, write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.stats.simulate import CELL_STUDENTS, CohortConfig, hostile_exams
from tests.ingest.conftest import exam_rows, row_versions

CONFIG = CohortConfig(120, 6, seed=21, until=dt.date(2026, 11, 21), timezone="Asia/Seoul", share_corrected=0.05)
TRUTH = ("item", "student", "student_topic", "student_week")


def silent(stage: str, share: float, *, rows: int = 0) -> None:
    """Report no progress."""


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def scalar(engine: Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cohort(CONFIG, tmp_path / "cohort", progress=silent)
    return tmp_path / "cohort"


def test_the_logs_have_the_loaders_columns_and_the_blocks_do_not_matter(tmp_path: Path) -> None:
    config = replace(CONFIG, n_students=CELL_STUDENTS + 50, n_weeks=3)
    tables = []
    for block_students in (CELL_STUDENTS, 10**6):
        files = write_cohort(config, tmp_path / str(block_students), progress=silent, block_students=block_students)
        parts = sorted((tmp_path / str(block_students)).glob("attempts-*.parquet"))
        tables.append([row for part in parts for row in pq.read_table(part).to_pylist()])
        assert len(parts) == (2 if block_students == CELL_STUDENTS else 1)
        assert files.attempts == len(tables[-1])
    assert tables[0] == tables[1]
    assert set(tables[0][0]) <= set(COLUMNS)
    assert read_config(tmp_path / "512") == config


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "attempts-2026.parquet"
    mine.write_text("my own log")
    with pytest.raises(LoadError, match=r"contains other files \(attempts-2026.parquet\); name an empty folder"):
        write_cohort(CONFIG, tmp_path, progress=silent)
    assert mine.read_text() == "my own log"
    with pytest.raises(LoadError, match="incomplete cohort"):
        read_config(tmp_path)


def test_everything_arrives_beside_the_attempts(database: Engine, folder: Path) -> None:
    loaded = load_cohort(database, folder, progress=silent)
    log = pq.read_table(sorted(folder.glob("attempts-*.parquet"))[0])
    assert loaded.attempts.attempts == log.num_rows
    assert loaded.attempts.rows_rejected == count(database, "load_rejects") == 8
    hostile = hostile_exams(CONFIG)
    assert count(database, "exam_results") == loaded.attempts.exams.inserted + len(hostile)
    assert count(database, "session") == loaded.attempts.exams.inserted
    assert (count(database, "simulation.student"), count(database, "simulation.item")) == (120, 400)
    assert (count(database, "simulation.student_week"), count(database, "simulation.student_topic")) == (720, 960)
    assert count(database, "interest_goal") == pq.read_table(folder / "truth" / "goals-00000.parquet").num_rows
    assert 0 < scalar(database, "SELECT count(*) FROM interest_goal WHERE target_level IS NULL") < 20
    assert 10 < scalar(database, "SELECT count(*) FROM question WHERE meta -> 'tags' ? 'anchor'") < 80
    assert scalar(database, "SELECT count(*) FROM exam_results WHERE user_id LIKE '%<script>%'") == 1
    sessions = "SELECT count(*) FROM session s JOIN exam_results e ON e.session_id = s.id AND e.user_id = s.user_id"
    assert scalar(database, sessions + " WHERE s.ended_at = e.created_at") == count(database, "session")


def test_groups_and_a_cohort_without_hostile_rows(database: Engine, tmp_path: Path) -> None:
    config = replace(CONFIG, has_hostile_rows=False, n_organisations=2, n_classrooms=6, activity=(1, 2))
    write_cohort(config, tmp_path / "cohort", progress=silent)
    assert read_config(tmp_path / "cohort") == config
    loaded = load_cohort(database, tmp_path / "cohort", progress=silent)
    assert (loaded.attempts.rows_rejected, count(database, "load_rejects")) == (0, 0)
    assert count(database, "exam_results") == loaded.attempts.exams.inserted
    assert count(database, "classroom") == 6
    assert scalar(database, "SELECT count(*) FROM exam_results WHERE org_id IS NULL") == 0
    places = "SELECT count(DISTINCT (s.user_id, s.classroom_id, e.org_id, c.org_id)) FROM session s "
    places += "JOIN classroom c ON c.id = s.classroom_id JOIN exam_results e ON e.session_id = s.id"
    assert scalar(database, places) == scalar(database, "SELECT count(DISTINCT user_id) FROM session")
    before = row_versions(database)
    assert load_cohort(database, tmp_path / "cohort", progress=silent).was_loaded
    assert row_versions(database) == before


def test_corrections_bump_updated_at_and_nothing_else(database: Engine, folder: Path) -> None:
    loaded = load_cohort(database, folder, progress=silent)
    assert loaded.corrections is not None
    assert loaded.corrections.exams.updated == pq.read_metadata(folder / "corrections.parquet").num_rows > 5
    moved = "SELECT count(*) FROM exam_results WHERE session_id NOT LIKE '%hostile%' AND updated_at <> created_at"
    assert scalar(database, moved) == loaded.corrections.exams.updated
    changed = {row["session_id"]: row for row in pq.read_table(folder / "corrections.parquet").to_pylist()}
    for session_id, *_, created_at, updated_at in exam_rows(database):
        if session_id in changed:
            assert updated_at == changed[session_id]["rescored_at"]
            assert created_at < updated_at


def test_loading_a_cohort_twice_touches_no_row(database: Engine, folder: Path) -> None:
    load_cohort(database, folder, progress=silent)
    before = row_versions(database)
    truth = [scalar(database, f"SELECT max(xmin::text::bigint) FROM simulation.{table}") for table in TRUTH]
    again = load_cohort(database, folder, progress=silent)
    assert again.was_loaded
    assert row_versions(database) == before
    assert [scalar(database, f"SELECT max(xmin::text::bigint) FROM simulation.{table}") for table in TRUTH] == truth


def test_another_cohort_of_the_seed_takes_its_place(database: Engine, folder: Path, tmp_path: Path) -> None:
    load_cohort(database, folder, progress=silent)
    smaller = replace(CONFIG, n_students=50)
    write_cohort(smaller, folder, progress=silent)
    load_cohort(database, folder, progress=silent)
    assert count(database, "simulation.student") == 50
    assert count(database, "session") == count(database, "exam_results") - len(hostile_exams(CONFIG))
    write_cohort(replace(smaller, seed=22), tmp_path / "other", progress=silent)
    load_cohort(database, tmp_path / "other", progress=silent)
    assert count(database, "simulation.student") == 100
    assert count(database, "simulation.cohort") == 2


@pytest.mark.parametrize("loads_before_failure", [0, 1, 2])
def test_broken_off_and_loaded_again(
    database: Engine, folder: Path, loads_before_failure: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_cohort(database, folder, progress=silent)
    expected = exam_rows(database)
    with database.begin() as connection:
        connection.execute(text("TRUNCATE exam_results, question, session, interest_goal"))
        connection.execute(text("DROP SCHEMA simulation CASCADE"))
    done = 0

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            if done == loads_before_failure:
                raise KeyboardInterrupt
            done += 1
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(cohort_load_module, "load_attempt_log", failing(load_attempt_log))
        patched.setattr(cohort_load_module, "_copy_new_rows", failing(cohort_load_module._copy_new_rows))
        with pytest.raises(KeyboardInterrupt):
            load_cohort(database, folder, progress=silent)
    assert not load_cohort(database, folder, progress=silent).was_loaded
    assert exam_rows(database) == expected
    assert count(database, "simulation.student") == 120


def test_hostile_exams_are_json_that_postgres_stores(database: Engine, folder: Path) -> None:
    load_cohort(database, folder, progress=silent)
    stored = json.loads((folder / "hostile-exams.json").read_text())
    assert scalar(database, "SELECT count(*) FROM exam_results WHERE session_id LIKE '%hostile%'") == len(stored)
    assert scalar(database, "SELECT count(*) FROM exam_results WHERE status = 'failed'") == 1
