"""Every legacy shape: migrated, materialised, downgraded and migrated again, without a legacy row lost or changed."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.steps import Step, plan
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.database.existing_tables import compare, find_table
from seedtest_analytics.database.migrations import downgrade, migrate
from seedtest_analytics.ingest.cohort_files import write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.stats.simulate import CohortConfig
from seedtest_analytics.tables import metadata
from tests._database import execute, rows_of
from tests.database._legacy import SHAPES, build, digests
from tests.pipeline.test_whole_graph import ENVIRONMENT

FIRST, LAST, TODAY = dt.date(2026, 6, 22), dt.date(2026, 6, 28), dt.date(2026, 6, 29)
DRIFT = {
    "MIRT_MODEL": "Rasch",
    "DRIFT_MIN_SAMPLE": "10",
    "DRIFT_LOOKBACK_DAYS": "14",
    "DRIFT_BASELINE_FROM": "2026-05-25",
    "DRIFT_BASELINE_TO": "2026-06-13",
}
ONE_SHAPE = ("fit_growth_glmm", "fit_bayesian_growth", "backtest_predictions")
"""The legacy tables of these jobs have the same shape everywhere, so one database is enough for them."""


@pytest.fixture
def legacy(empty_database: Any, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, str]]:
    engine = engine_for(normalised_url(empty_database))
    build(engine, request.param)
    yield engine, request.param
    engine.dispose()


def steps(without: Collection[str]) -> list[Step]:
    planned = plan(FIRST, LAST, today=TODAY, reports=True, fits_every_week=False)
    return [Step("sync_attempts", "attempts"), *(step for step in planned if step.job not in without)]


def materialise(
    engine: Engine, folder: Path, *, without: Collection[str] = (), students: int = 80, is_repeatable: bool = False
) -> None:
    """Load a cohort over five weeks, seed 12, and compute its last week by all jobs but ``without``.

    ``is_repeatable``: exams have the same keys in every database, so all tables are the same.
    """
    cohort = CohortConfig(students, 5, seed=12, until=LAST, timezone="UTC", n_topics=2, items_per_topic=40)
    write_cohort(cohort, folder / "cohort", progress=lambda *_, **__: None)
    load_cohort(engine, folder / "cohort", progress=lambda *_, **__: None)
    if is_repeatable:
        execute(engine, "UPDATE exam_results SET id = CAST(md5(session_id) AS uuid)")
    resources = {
        "postgres": PostgresResource.having(url=engine.url.render_as_string(hide_password=False)),
        "object_store": ObjectStoreResource.having(folder=folder / "reports"),
    }
    definitions = build_definitions(resources)
    with dg.DagsterInstance.ephemeral() as instance:
        for step in steps(without):
            job = definitions.resolve_job_def(step.job)
            assert job.execute_in_process(instance=instance, tags=step.tags).success, step.title


@pytest.mark.long
@pytest.mark.parametrize(
    "legacy",
    [pytest.param(shape, marks=[pytest.mark.slow] if shape == "newest" else []) for shape in SHAPES],
    indirect=True,
)
def test_a_legacy_database_loses_no_row(
    legacy: tuple[Engine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, shape = legacy
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name, value in DRIFT.items():
        monkeypatch.setenv(name, value)
    before = digests(engine)
    migrate(engine)
    assert problems(engine) == {}
    materialise(engine, tmp_path, without=() if shape == "lazy" else ONE_SHAPE)
    for table in ("weekly_kpi", "survival_risk", "features_topic_daily", "student_topic_theta", "report_artifacts"):
        assert rows_of(engine, f"SELECT FROM {table} WHERE user_id <> 'gone' LIMIT 1"), table
    if shape != "lazy":
        assert rows_of(engine, "SELECT FROM item_calibration WHERE run_id LIKE 'drift-2026%' LIMIT 1")
    kept = rows_of(engine, "SELECT count(*) AS n FROM seedtest_legacy.weekly_kpi WHERE user_id = 'gone'")
    assert kept == [{"n": 10}]
    downgrade(engine)
    after = digests(engine)
    for name, rows in before.items():
        lost = sorted(set(rows) - set(after[name]))
        sys.stdout.write(
            f"{shape} {name}: {len(rows)} rows, md5 before {rows}, after {sorted(set(rows) & set(after[name]))}\n"
        )
        assert lost == [], name
    assert "seedtest_legacy.weekly_kpi" not in after
    migrate(engine)
    assert problems(engine) == {}


def problems(engine: Engine) -> dict[str, tuple[str, ...]]:
    """What keeps tables from holding the platform's rows."""
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            existing = find_table(connection, table.name)
            assert existing is not None, table.name
            comparison = compare(existing, table)
            if comparison.problems or comparison.repairs or comparison.missing:
                found[table.name] = (*comparison.problems, *map(str, comparison.repairs), *comparison.missing)
    return found


@pytest.mark.parametrize("legacy", ["numbered"], indirect=True)
def test_rows_of_a_table_that_made_room_are_carried_over_as_far_as_they_fit(legacy: tuple[Engine, str]) -> None:
    engine, _ = legacy
    execute(engine, "GRANT SELECT ON survival_risk TO pg_monitor")
    told = migrate(engine)
    assert any("public.survival_risk (3 rows" in line and "moves to seedtest_legacy" in line for line in told)
    assert any("public.weekly_kpi (10 rows" in line and "copied" in line for line in told)
    risks = rows_of(engine, "SELECT user_id, risk_score, method FROM survival_risk")
    assert risks == [{"user_id": "gone", "risk_score": 0.6, "method": "legacy"}]
    items = rows_of(engine, "SELECT item_id, window_id, run_id FROM item_calibration ORDER BY window_id")
    assert items == [
        {"item_id": 12, "window_id": 1, "run_id": "drift-1"},
        {"item_id": 12, "window_id": 2, "run_id": "legacy"},
    ]
    assert len(rows_of(engine, "SELECT FROM seedtest_legacy.item_calibration")) == 3
    assert rows_of(engine, "SELECT count(*) AS n FROM risks_of_today") == [{"n": 2}]
    may_read = "SELECT has_table_privilege('pg_monitor', 'survival_risk', 'SELECT') AS may"
    assert rows_of(engine, may_read) == [{"may": True}]
    execute(engine, "INSERT INTO mirt_item_params (item_id, params) VALUES ('77', '{}')")
    read_by_version = rows_of(engine, "SELECT item_id FROM mirt_item_params WHERE version = 'v1' ORDER BY 1")
    assert [row["item_id"] for row in read_by_version] == ["1", "77", "q_3"]
    for name in ("prophet_fit_meta", "prophet_anomalies", "survival_fit_meta", "drift_alerts"):
        assert len(rows_of(engine, f"SELECT FROM {name}")) == 1, name


@pytest.mark.parametrize("legacy", ["numbered"], indirect=True)
def test_a_database_that_an_earlier_release_extended_is_repaired(legacy: tuple[Engine, str]) -> None:
    """Earlier releases added columns to drift tables with text items, and every comparison failed."""
    engine, _ = legacy
    migrate(engine, "0013")
    execute(engine, "DROP TABLE item_calibration")
    execute(engine, "ALTER TABLE seedtest_legacy.item_calibration SET SCHEMA public")
    execute(engine, "ALTER TABLE item_calibration ADD COLUMN week_start date")
    execute(engine, "DELETE FROM seedtest_schema_origin WHERE name = 'item_calibration'")
    execute(engine, "INSERT INTO seedtest_schema_origin (kind, name) VALUES ('column', 'item_calibration.week_start')")
    migrate(engine)
    assert problems(engine) == {}
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM seedtest_legacy.item_calibration")).scalar_one()
    assert count == 3
