"""Keeps the attempt log in step with the exam results, batch by batch, one transaction for each batch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from seedtest_analytics.database.publish import Published, publish
from seedtest_analytics.database.sessions import lock_held
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.tables.attempts import attempt_log, attempt_quarantine

_FILE = "attempts/sync.sql"
_LOCK = "attempt_log"
# Not a join: the planner reads the rows of an array by their index, however large it believes the batch to be.
_IN_BATCH = "t.exam_result_id = ANY(ARRAY(SELECT exam_result_id FROM batch_exam))"
MAX_QUESTIONS = 100_000
"""An exam with more questions goes to quarantine as a whole."""

_STAGING = (
    "stage_oversized",
    "analyze_elements",
    "stage_attempts",
    "analyze_attempts",
    "number_attempts",
    "analyze_numbered",
    "apply_numbers_to_staged",
    "find_renumbered",
    "analyze_renumbered",
)


@dataclass(frozen=True)
class SyncResult:
    """The exam results that a sync read, and the rows that it wrote to the log and to the quarantine."""

    changed_exams: int
    attempts: Published
    quarantine: Published


def sync_attempts(
    engine: Engine,
    as_of: dt.datetime,
    *,
    timezone: str,
    batch_size: int = 50_000,
    full_compare: bool = False,
    is_dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Bring ``attempt_log`` and ``attempt_quarantine`` in step with ``exam_results``.

    A sync that is killed keeps its finished batches, and the next run continues. Each batch reads a snapshot (REPEATABLE
    READ), so the next run finds exams that change meanwhile. ``progress`` gets the number of exam results done and the
    total.
    """
    attempts = Published(attempt_log.name, 0, inserted=0, updated=0, deleted=0)
    quarantine = Published(attempt_quarantine.name, 0, inserted=0, updated=0, deleted=0)
    with lock_held(engine, _LOCK), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        changed = _find_changed(connection, as_of, full_compare=full_compare)
        for after in range(0, len(changed), batch_size):
            exams = changed[after : after + batch_size]
            with connection.begin() as transaction:
                batch = _sync_batch(connection, as_of, timezone=timezone, exams=exams)
                attempts, quarantine = attempts + batch[0], quarantine + batch[1]
                if is_dry_run:
                    transaction.rollback()
            if progress is not None:
                progress(after + len(exams), len(changed))
    return SyncResult(len(changed), attempts, quarantine=quarantine)


def _find_changed(connection: Connection, as_of: dt.datetime, *, full_compare: bool) -> list[Any]:
    """Exam results to sync, in their order. They are kept here: a pooler gives each batch another session."""
    query = statement(_FILE, "find_changed")
    changed = connection.execute(query, {"as_of": as_of, "full_compare": full_compare}).scalars().all()
    connection.commit()
    return list(changed)


def _sync_batch(
    connection: Connection, as_of: dt.datetime, *, timezone: str, exams: list[Any]
) -> tuple[Published, Published]:
    connection.execute(statement(_FILE, "take_batch"))
    connection.execute(statement(_FILE, "fill_batch"), {"exams": exams})
    connection.execute(statement(_FILE, "index_batch"))
    connection.execute(statement(_FILE, "analyze_batch"))
    connection.execute(statement(_FILE, "find_oversized"), {"max_questions": MAX_QUESTIONS})
    connection.execute(statement(_FILE, "stage_elements"), {"as_of": as_of})
    for name in _STAGING:
        connection.execute(statement(_FILE, name))
    connection.execute(statement(_FILE, "stage_quarantine"), {"as_of": as_of})
    connection.execute(statement(_FILE, "touch_days"), {"as_of": as_of, "timezone": timezone})
    connection.execute(statement(_FILE, "renumber_others"))
    attempts = publish(connection, attempt_log, staged="staged_attempt", partition=_IN_BATCH)
    quarantine = publish(connection, attempt_quarantine, staged="staged_quarantine", partition=_IN_BATCH)
    connection.execute(statement(_FILE, "record_sync"), {"as_of": as_of})
    connection.execute(statement(_FILE, "forget_gone"))
    return attempts, quarantine
