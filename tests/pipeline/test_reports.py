"""Weekly reports as Dagster makes them where the object store takes no more."""

import datetime as dt
import errno
import os
import stat
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.reports import weekly_report
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from tests._database import execute, rows_of
from tests.pipeline._activity import postgres_of

WEEK = dt.date(2026, 3, 2)
STUDENTS = [f"u{number}" for number in range(5)]


def make_reports(engine: Engine, folder: Path) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [weekly_report],
        partition_key=WEEK.isoformat(),
        resources={
            "postgres": postgres_of(engine),
            "object_store": ObjectStoreResource(folder_override=str(folder)),
            "quarto": QuartoResource(),
        },
        run_config={"ops": {"weekly_report": {"config": {"parallel": 1}}}},
        raise_on_error=False,
    )


def recorded(engine: Engine) -> set[str]:
    return {row["user_id"] for row in rows_of(engine, "SELECT user_id FROM report_artifacts")}


def stored(folder: Path) -> set[str]:
    return {path.parents[1].name for path in folder.rglob("report.html")}


def test_a_disk_that_is_full_in_the_middle_keeps_what_was_stored_and_is_gone_on_with(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in STUDENTS:
        execute(
            database,
            "INSERT INTO weekly_kpi (user_id, week_start, kpis, created_at, updated_at) "
            "VALUES (:user, :week, '{\"A_t\": 0.5}', now(), now())",
            {"user": user, "week": WEEK},
        )

    def fsync(file: int) -> None:
        if len(stored(tmp_path)) == 2 and stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        result = make_reports(database, tmp_path)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    message = failure.step_failure_data.error_display_string
    assert "2 reports are stored and recorded" in message
    assert "the disk is full; free space there" in message
    assert len(stored(tmp_path)) == 2
    assert recorded(database) == stored(tmp_path)

    assert make_reports(database, tmp_path).success
    assert recorded(database) == stored(tmp_path) == set(STUDENTS)
