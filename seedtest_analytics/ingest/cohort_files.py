"""Write a simulated cohort to files: attempt logs in the loader's columns, and the truth.

``attempts-*.parquet``, ``*-malformed.csv`` and ``corrections.parquet`` are logs for the loader. ``hostile-exams.json``
contains exams that another program might store. ``truth/`` contains the simulated parameters. ``cohort.json``, the
configuration, is written last, so its presence marks a complete folder.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seedtest_analytics.ingest.errors import LoadError, Progress
from seedtest_analytics.stats.simulate import (
    DEFAULT_BLOCK_STUDENTS,
    STATES,
    STOPPED,
    CohortBlock,
    CohortConfig,
    ItemBank,
    draw_items,
    hostile_exams,
    malformed_log,
    simulate_cohort,
)

_INSTANT = pa.timestamp("us", "UTC")
_MARKER = "hostile-exams.json"  # written first


@dataclass(frozen=True)
class CohortFiles:
    """Counts of what was written."""

    folder: Path
    students: int
    sessions: int
    attempts: int
    corrections: int
    hostile_exams: int


def write_cohort(
    config: CohortConfig, folder: Path, *, progress: Progress, block_students: int = DEFAULT_BLOCK_STUDENTS
) -> CohortFiles:
    """Simulate and write block by block. Raises :class:`LoadError` if the folder contains other files."""
    truth = _clean_folder(folder)
    items = draw_items(config)
    hostile = hostile_exams(config) if config.has_hostile_rows else []
    (folder / _MARKER).write_text(json.dumps([asdict(e) for e in hostile], default=str, indent=1))
    pq.write_table(_item_table(config, items), truth / "items.parquet")
    if config.has_hostile_rows:
        (folder / f"{config.name}-malformed.csv").write_text(malformed_log(config))
    students = sessions = attempts = 0
    corrections = []
    progress("simulating", 0)
    for number, block in enumerate(simulate_cohort(config, block_students)):
        log = attempts_table(config, items, block=block)
        pq.write_table(log, folder / f"attempts-{number:05d}.parquet")
        for name, table in _truth_tables(config, block).items():
            pq.write_table(table, truth / f"{name}-{number:05d}.parquet")
        corrections.append(_corrections_table(log, block))
        students += len(block.students.number)
        sessions += len(block.sessions.student)
        attempts += log.num_rows
        progress("simulating", students / config.n_students, rows=attempts)
    changed = pa.concat_tables(corrections)
    pq.write_table(changed, folder / "corrections.parquet")
    (folder / "cohort.json").write_text(config_json(config))
    return CohortFiles(
        folder, students, sessions=sessions, attempts=attempts, corrections=changed.num_rows, hostile_exams=len(hostile)
    )


def config_json(config: CohortConfig) -> str:
    """The configuration as JSON."""
    return json.dumps(asdict(config), default=str, indent=1)


def read_config(folder: Path) -> CohortConfig:
    """The configuration of a written cohort. Raises :class:`LoadError` if the cohort is incomplete."""
    path = folder / "cohort.json"
    if not path.is_file():
        raise LoadError(f"{folder}: incomplete cohort (cohort.json is missing); run `seedtest simulate` again")
    values = json.loads(path.read_text())
    return CohortConfig(**{**values, "until": dt.date.fromisoformat(values["until"])})


def _clean_folder(folder: Path) -> Path:
    """Create the folder, or remove an earlier cohort from it; only a folder with the marker is such a cohort."""
    truth = folder / "truth"
    ours = (_MARKER, "cohort.json", "attempts-*.parquet", "*-malformed.csv", "corrections.parquet")
    earlier = [path for pattern in ours for path in folder.glob(pattern)] + list(truth.glob("*.parquet"))
    is_cohort = (folder / _MARKER).is_file()
    foreign = [path for path in folder.glob("*") if not is_cohort or path not in [*earlier, truth]]
    if foreign:
        raise LoadError(f"{folder}: contains other files ({foreign[0].name}); name an empty folder with --out")
    for path in earlier:
        path.unlink()
    try:
        truth.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoadError(f"{folder}: cannot be created: {error.strerror}; name another folder with --out") from None
    return truth


def user_ids(config: CohortConfig, number: np.ndarray) -> pa.Array:
    """Ids like ``sim1-0000042``."""
    return pc.binary_join_element_wise(config.name, pc.utf8_lpad(pc.cast(pa.array(number), "string"), 7, "0"), "-")


def topic_ids(topic: np.ndarray) -> pa.Array:
    """Ids like ``topic-03``, from 1."""
    return pc.binary_join_element_wise("topic", pc.utf8_lpad(pc.cast(pa.array(topic + 1), "string"), 2, "0"), "-")


def _instants(micros: np.ndarray) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(_INSTANT)


def _session_ids(users: pa.Array, block: CohortBlock) -> pa.Array:
    number = pc.utf8_lpad(pc.cast(pa.array(block.sessions.number), "string"), 4, "0")
    return pc.binary_join_element_wise(users.take(pa.array(block.sessions.student)), number, "-s")


def attempts_table(config: CohortConfig, items: ItemBank, *, block: CohortBlock) -> pa.Table:
    """The attempts of a block in the loader's columns."""
    attempts, users = block.attempts, user_ids(config, block.students.number)
    topics = topic_ids(np.arange(config.n_topics))
    not_timed, unanswered = attempts.response_time_ms < 0, attempts.correct < 0
    return pa.table(
        {
            "user_id": pa.DictionaryArray.from_arrays(pa.array(attempts.student, pa.int32()), users),
            "session_id": pa.DictionaryArray.from_arrays(
                pa.array(attempts.session, pa.int32()), _session_ids(users, block)
            ),
            "item_id": items.item_id[attempts.item],
            "topic_id": pa.DictionaryArray.from_arrays(pa.array(items.topic[attempts.item], pa.int32()), topics),
            "correct": pa.array(attempts.correct == 1, mask=unanswered),
            "response_time_ms": pa.array(attempts.response_time_ms, mask=not_timed),
            "hints_used": pa.array(attempts.hints_used),
            "completed_at": _instants(attempts.completed_us),
        }
    )


def _corrections_table(log: pa.Table, block: CohortBlock) -> pa.Table:
    """The corrected attempts as another log: answered right, with the time of the re-score."""
    rows = log.take(pa.array(block.corrections.attempt))
    rows = rows.set_column(rows.column_names.index("correct"), "correct", pa.array(np.ones(rows.num_rows, bool)))
    for name in ("user_id", "session_id", "topic_id"):
        rows = rows.set_column(rows.column_names.index(name), name, rows.column(name).cast("string"))
    return rows.append_column("rescored_at", _instants(block.corrections.rescored_us))


def _item_table(config: CohortConfig, items: ItemBank) -> pa.Table:
    return pa.table(
        {
            "item_id": items.item_id,
            "topic_id": topic_ids(items.topic),
            "discrimination": items.discrimination,
            "difficulty_logit": items.difficulty_logit,
            "guessing": items.guessing,
            "is_anchor": items.is_anchor,
        }
    )


def _truth_tables(config: CohortConfig, block: CohortBlock) -> dict[str, pa.Table]:
    students, sessions, goals = block.students, block.sessions, block.goals
    users = user_ids(config, students.number)
    n, weeks = students.state.shape
    monday = np.datetime64(config.first_monday, "D")
    week_starts = monday + 7 * np.arange(weeks)
    stopped = students.state == STOPPED
    returns = (stopped[:, :-1] & ~stopped[:, 1:]).sum(axis=1)
    counts = np.zeros((n, weeks), np.int32)
    np.add.at(counts, (sessions.student, sessions.week), 1)
    first_stopped = np.where(stopped.any(axis=1), stopped.argmax(axis=1), -1)
    by_topic = (np.repeat(np.arange(n), config.n_topics), np.tile(np.arange(config.n_topics), n))
    by_week = (np.repeat(np.arange(n), weeks), np.tile(np.arange(weeks), n))
    states = pa.DictionaryArray.from_arrays(pa.array(students.state.ravel(), pa.int8()), pa.array(STATES))
    return {
        "students": pa.table(
            {
                "user_id": users,
                "intercept_logit": students.intercept_logit,
                "slope_logit": students.slope_logit,
                "engagement": students.engagement,
                "start_week": _week_or_null(week_starts, students.start_week),
                "first_stopped_week": _week_or_null(week_starts, first_stopped),
                "returns": returns,
            }
        ),
        "student_topics": pa.table(
            {
                "user_id": users.take(pa.array(by_topic[0])),
                "topic_id": topic_ids(by_topic[1]),
                "deviation_logit": students.topic_deviation_logit.ravel(),
            }
        ),
        "student_weeks": pa.table(
            {
                "user_id": users.take(pa.array(by_week[0])),
                "week_start": pa.array(week_starts[by_week[1]]),
                "theta_logit": students.theta_logit.ravel(),
                "state": states.cast("string"),
                "stop_hazard": students.stop_hazard.ravel(),
                "sessions": counts.ravel(),
            }
        ),
        "goals": pa.table(
            {
                "user_id": users.take(pa.array(goals.student)),
                "topic_id": topic_ids(goals.topic),
                "target_level": pa.array(goals.target_logit, from_pandas=True),
                "priority": pa.array(goals.priority, pa.int16()),
                "created_at": pa.array(np.full(len(goals.student), monday)).cast(pa.timestamp("us")).cast(_INSTANT),
            }
        ),
        "sessions": pa.table(
            {
                "id": _session_ids(users, block),
                "started_at": _instants(sessions.started_us),
                "ended_at": _instants(sessions.ended_us),
                "status": pa.array(["completed"]).take(pa.array(np.zeros(len(sessions.student), np.int32))),
                "created_at": _instants(sessions.started_us),
                "user_id": users.take(pa.array(sessions.student)),
            }
        ),
    }


def _week_or_null(week_starts: np.ndarray, week: np.ndarray) -> pa.Array:
    return pa.array(week_starts[np.maximum(week, 0)], mask=week < 0)
