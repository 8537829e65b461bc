"""Load a written cohort: its logs through the loader, then goals, sessions, hostile exams and the truth."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, text

from seedtest_analytics.database.binary_copy import sql_type_of
from seedtest_analytics.database.publish import copy_arrow, create_staging
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest.cohort_files import config_json, read_config
from seedtest_analytics.ingest.errors import Progress
from seedtest_analytics.ingest.load import LoadOptions, LoadSummary, load_attempt_log
from seedtest_analytics.stats.simulate import CohortConfig

_SQL = "load/cohort.sql"
_CREATE = ("schema", "cohort", "item", "student", "student_topic", "student_week")
_GROUP = ("insert_classrooms", "group_sessions", "group_exams")
_FORGET = (
    "exams",
    "sessions",
    "classrooms",
    "goals",
    "questions",
    "items",
    "students",
    "student_topics",
    "student_weeks",
    "cohort",
)
_TARGETS = {
    "items": "simulation.item",
    "students": "simulation.student",
    "student_topics": "simulation.student_topic",
    "student_weeks": "simulation.student_week",
    "goals": "interest_goal",
    "sessions": "session",
}


@dataclass(frozen=True)
class CohortLoad:
    """Summaries of both logs (None without corrections), and whether the same cohort was loaded before."""

    attempts: LoadSummary
    corrections: LoadSummary | None
    was_loaded: bool


def load_cohort(engine: Engine, folder: Path, *, progress: Progress) -> CohortLoad:
    """Load a cohort that :func:`write_cohort` wrote.

    A cohort with the same seed and another configuration is removed first. An identical cohort is left unchanged. The
    cohort is recorded last, so a load that was killed starts again.
    """
    config = read_config(folder)
    parameters = _parameters(config)
    with engine.begin() as connection:
        was_loaded = _make_room(connection, parameters)
    options = LoadOptions(timezone=config.timezone)
    logs = [folder / "attempts-*.parquet", *folder.glob("*-malformed.csv")]
    attempts = load_attempt_log(engine, logs, options=options, progress=progress)
    change_set = folder / "corrections.parquet"
    has_corrections = pq.read_metadata(change_set).num_rows > 0
    corrections = load_attempt_log(engine, [change_set], options=options) if has_corrections else None
    with engine.begin() as connection:
        for name, target in _TARGETS.items():
            for path in sorted((folder / "truth").glob(f"{name}*.parquet")):
                _copy_new_rows(connection, path, target=target)
        _run(connection, "tag_questions", parameters=parameters)
        if config.n_classrooms:
            for name in _GROUP:
                _run(connection, name, parameters=parameters)
        for exam in json.loads((folder / "hostile-exams.json").read_text()):
            values = {**exam, "result_json": json.dumps(exam["result_json"])}
            values["answered_at"] = dt.datetime.fromisoformat(exam["answered_at"])
            _run(connection, "insert_hostile_exam", parameters=values)
        _run(connection, "record_cohort", parameters=parameters)
    return CohortLoad(attempts, corrections, was_loaded=was_loaded)


def _parameters(config: CohortConfig) -> dict[str, Any]:
    return {
        "name": config.name,
        "prefix": f"{config.name}-",
        "config": config_json(config),
        "model": config.model,
        "first_item_id": config.first_item_id + 1,
        "last_item_id": config.first_item_id + 999_999,
        "n_classrooms": config.n_classrooms,
        "n_organisations": config.n_organisations,
    }


def _run(connection: Connection, name: str, *, parameters: dict[str, Any]) -> Any:
    prepared = statement(_SQL, name)
    return connection.execute(prepared, {key: parameters[key] for key in prepared.compile().params})


def _make_room(connection: Connection, parameters: dict[str, Any]) -> bool:
    """Create the schema. Returns whether this cohort is completely loaded; if not, removes its remains."""
    connection.execute(text("SET LOCAL client_min_messages = warning"))
    for name in _CREATE:
        _run(connection, f"create_{name}", parameters=parameters)
    if _run(connection, "is_loaded", parameters=parameters).scalar_one():
        return True
    for name in _FORGET:
        _run(connection, f"forget_{name}", parameters=parameters)
    return False


def _copy_new_rows(connection: Connection, path: Path, *, target: str) -> None:
    """Insert the rows of a Parquet file whose keys ``target`` lacks; its columns are columns of ``target``."""
    table = pq.read_table(path)
    columns = ", ".join(table.column_names)
    create_staging(connection, "staged_rows", columns={field.name: sql_type_of(field) for field in table.schema})
    copy_arrow(connection, "staged_rows", rows=table)
    insert = f"INSERT INTO {target} ({columns}) SELECT {columns} FROM staged_rows"  # noqa: S608
    connection.execute(text(f"{insert} ON CONFLICT DO NOTHING"))
    connection.execute(text("DROP TABLE staged_rows"))
