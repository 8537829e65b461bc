"""The whole graph on a simulated cohort: run twice it changes no row, killed in the middle it ends the same."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.steps import Step, plan
from seedtest_analytics.ingest.cohort_files import write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.stats.simulate import CohortConfig
from seedtest_analytics.tables import contract_of, metadata
from seedtest_analytics.tables.source import SOURCE_TABLES
from tests._database import rows_of
from tests._waits import wait_until

FIRST, LAST, TODAY = dt.date(2026, 4, 20), dt.date(2026, 6, 28), dt.date(2026, 6, 29)
ENVIRONMENT = {
    "METRICS_USE_IRT_THETA": "true",
    "AGG_INCLUDE_THETA": "true",
    "MIRT_LOOKBACK_DAYS": "60",
    "SEEDTEST_START_DATE": "2026-01-05",
}
JOBS = ("sync_attempts", "calibrate_irt", "aggregate_features_daily", "compute_daily_kpis")
OUTPUTS = sorted(set(metadata.tables) - set(SOURCE_TABLES))


@pytest.fixture(scope="module")
def cohort(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A loaded cohort of 80 students over ten weeks, seed 11."""
    engine = PostgresResource.having(url=module_database_url).engine
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(CohortConfig(80, 10, seed=11, until=LAST, timezone="UTC"), folder, progress=lambda *_, **__: None)
    load_cohort(engine, folder, progress=lambda *_, **__: None)
    yield engine
    engine.dispose()


@pytest.fixture
def definitions(module_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """The platform on the cohort's database, reports in a folder of the test."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    resources = {
        "postgres": PostgresResource.having(url=module_database_url),
        "object_store": ObjectStoreResource.having(folder=tmp_path / "reports"),
    }
    return build_definitions(resources)


def steps() -> list[Step]:
    return [Step("sync_attempts", "attempts"), *plan(FIRST, LAST, today=TODAY, reports=True, fits_every_week=False)]


def run_all(definitions: dg.Definitions, only: tuple[str, ...] | None = None) -> None:
    """Every step as one run over its range; any failure fails the test with the step's error."""
    with dg.DagsterInstance.ephemeral() as instance:
        for step in steps():
            if only is None or step.job in only:
                job = definitions.resolve_job_def(step.job)
                assert job.execute_in_process(instance=instance, tags=step.tags).success, step.title


def content(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of every output table without counters and times of computation."""
    found = {}
    with engine.connect() as connection:
        for name in OUTPUTS:
            columns = [
                c.name
                for c in metadata.tables[name].columns
                if not contract_of(c).is_volatile and c.autoincrement is not True
            ]
            listed = ", ".join(f'"{c}"::text' for c in columns)
            found[name] = sorted(
                map(tuple, connection.execute(text(f"SELECT {listed} FROM {name}"))),
                key=lambda row: tuple(map(str, row)),
            )
    return found


def row_versions(engine: Engine) -> dict[str, set[tuple[str, str]]]:
    """Physical version of every row: an update that changes nothing would show."""
    with engine.connect() as connection:
        return {
            name: {tuple(row) for row in connection.execute(text(f"SELECT ctid::text, xmin::text FROM {name}"))}
            for name in OUTPUTS
        }


@contextmanager
def other_plans(engine: Engine) -> Iterator[None]:
    """Statements get other plans, as new statistics give them: rows whose order the statement leaves open change places."""
    database = engine.url.database
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("enable_hashjoin", "enable_hashagg", "enable_seqscan"):
            connection.execute(text(f'ALTER DATABASE "{database}" SET {setting} = off'))
    engine.dispose()
    yield
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'ALTER DATABASE "{database}" RESET ALL'))
    engine.dispose()


def test_the_second_run_changes_no_row(cohort: Engine, definitions: dg.Definitions) -> None:
    run_all(definitions)
    first, versions = content(cohort), row_versions(cohort)
    for name in ("attempt_log", "mirt_ability", "features_topic_daily", "weekly_kpi", "report_artifacts"):
        assert first[name], f"{name} is empty: the test would prove nothing"
    with other_plans(cohort):
        run_all(definitions)
    second = content(cohort)
    assert {name: [row for row in second[name] if row not in first[name]] for name in OUTPUTS} == {
        n: [] for n in OUTPUTS
    }
    assert second == first
    changed = {name for name, rows in row_versions(cohort).items() if rows != versions[name]}
    assert changed == set()


def test_operators_queries_of_features_and_kpis_return_rows(cohort: Engine, definitions: dg.Definitions) -> None:
    """As operators run them on the day after the last one, on what the jobs of the graph have written."""
    if not content(cohort)["weekly_kpi"]:
        run_all(definitions, JOBS)
    abilities = rows_of(
        cohort,
        "SELECT user_id, topic_id, date, theta_estimate, theta_sd, attempts, correct FROM features_topic_daily "
        "WHERE date >= CAST(:today AS date) - 7 AND theta_estimate IS NOT NULL ORDER BY user_id, topic_id, date",
        today=TODAY,
    )
    assert len({row["user_id"] for row in abilities if row["attempts"] > 0}) > 10
    assert {row["date"] for row in abilities} <= {LAST - dt.timedelta(days=n) for n in range(7)}
    for row in abilities:
        assert abs(row["theta_estimate"]) < 6
        assert 0 < row["theta_sd"] < 2
        assert 0 <= row["correct"] <= row["attempts"]

    improvements = rows_of(
        cohort,
        "SELECT user_id, week_start, kpis -> 'I_t' AS improvement, kpis -> 'I_t_reason' AS reason FROM weekly_kpi "
        "WHERE week_start >= CAST(:today AS date) - 28 AND week_start < :today ORDER BY user_id, week_start",
        today=TODAY,
    )
    weeks_of: dict[str, list[dt.date]] = {}
    for row in improvements:
        weeks_of.setdefault(row["user_id"], []).append(row["week_start"])
        known = row["improvement"] is not None
        assert known != bool(row["reason"])
        assert not known or -1 <= row["improvement"] <= 1
    last_four = [TODAY - dt.timedelta(weeks=n) for n in (4, 3, 2, 1)]
    assert sum(weeks == last_four for weeks in weeks_of.values()) > 40
    assert sum(row["improvement"] is not None for row in improvements) > len(improvements) / 2


def test_a_run_killed_in_the_middle_and_run_again_gives_the_same_tables(
    cohort: Engine, definitions: dg.Definitions, module_database_url: str, tmp_path: Path
) -> None:
    _empty(cohort)
    run_all(definitions, JOBS)
    clean = content(cohort)
    _empty(cohort)
    _run_until_killed(cohort, module_database_url, tmp_path)
    partial = content(cohort)
    assert partial != clean, "the run was through before it was killed"
    assert partial["mirt_fit_meta"], "the run was killed before it had done anything"
    run_all(definitions, JOBS)
    assert content(cohort) == clean


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(OUTPUTS)} RESTART IDENTITY"))


def _run_until_killed(engine: Engine, url: str, home: Path) -> None:
    """`seedtest materialize` in a separate process, killed once two weeks have been calibrated."""
    command = [sys.executable, "-m", "seedtest_analytics.cli.app", "--home", str(home / "home")]
    environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": url}
    range_ = ["--from", FIRST.isoformat(), "--to", LAST.isoformat(), "--no-reports"]
    with subprocess.Popen(
        [*command, "materialize", *range_], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: _calibrated(engine) >= 2 or process.poll() is not None)
        assert process.poll() is None, f"materialize ended by itself with {process.returncode}"
        os.killpg(process.pid, signal.SIGKILL)


def _calibrated(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM mirt_fit_meta")).scalar_one()
