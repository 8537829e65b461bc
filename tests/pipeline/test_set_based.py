"""The number of statements does not grow with students, and no run makes its own tables."""

import datetime as dt
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from seedtest_analytics.build import build_definitions
from tests._database import empty_tables
from tests.assets._activity import postgres_of
from tests.assets._cohort import random_cohort, store_attempts

WEEK = dt.date(2026, 3, 9)
AS_OF = dt.datetime(2026, 3, 16, tzinfo=dt.UTC)
JOBS = ["aggregate_features_daily", "compute_daily_kpis", "fit_survival_churn", "backtest_predictions"]


@contextmanager
def statements() -> Iterator[list[str]]:
    """What any engine executes meanwhile."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def run(engine: Engine, job: str, n_students: int) -> list[str]:
    empty_tables(engine)
    store_attempts(engine, random_cohort(random.Random(5), AS_OF, "UTC", n_students))
    definitions = build_definitions({"postgres": postgres_of(engine)})
    with dg.DagsterInstance.ephemeral() as instance, statements() as seen:
        resolved = definitions.resolve_job_def(job)
        assert resolved.execute_in_process(instance=instance, partition_key=WEEK.isoformat()).success
    return seen


@pytest.mark.parametrize("job", JOBS)
def test_four_times_the_students_are_no_more_statements(database: Engine, job: str) -> None:
    few, many = run(database, job, 3), run(database, job, 12)
    assert len(few) > 5
    assert len(many) <= len(few) + 2, "beyond what is skipped where a table is empty"


@pytest.mark.parametrize("job", JOBS)
def test_a_run_makes_temporary_tables_only(database: Engine, job: str) -> None:
    definitions = [s for s in run(database, job, 12) if re.match(r"\s*(--.*\n\s*)*(CREATE|ALTER|DROP)\b", s)]
    lasting = [
        s
        for s in definitions
        if not re.search(r"CREATE (TEMP|TEMPORARY|UNIQUE INDEX|INDEX)|DROP TABLE|ALTER TABLE staged_kpi\b", s)
    ]
    assert lasting == []
