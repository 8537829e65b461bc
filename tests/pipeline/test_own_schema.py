"""The whole graph with our tables in a separate schema, beside tables of another program with the same names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.database.migrations import migrate
from tests._database import rows_of
from tests.database.test_foreign_tables import FOREIGN
from tests.database.test_migrations import catalogue
from tests.pipeline.test_legacy_databases import DRIFT, materialise
from tests.pipeline.test_whole_graph import ENVIRONMENT, OUTPUTS, content

SCHEMA = "platform"
SLOW = ("fit_bayesian_growth",)
"""A sampler, whose statements are of the kind of the other growth model."""
FULL = (
    "attempt_log",
    "mirt_ability",
    "features_topic_daily",
    "weekly_kpi",
    "survival_risk",
    "prophet_fit_meta",
    "growth_glmm_meta",
    "report_artifacts",
)


@pytest.mark.long
def test_the_whole_graph_in_a_schema_of_its_own_gives_the_same_tables_and_leaves_public_alone(
    empty_database: str, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**ENVIRONMENT, **DRIFT}.items():
        monkeypatch.setenv(name, value)
    alone = run_of(database_url, tmp_path)
    expected = comparable(alone)
    alone.dispose()
    assert [name for name in FULL if not expected[name]] == []
    company = engine_for(normalised_url(empty_database))
    with company.begin() as connection:
        connection.exec_driver_sql(FOREIGN)
    before = everything_public(company)
    monkeypatch.setenv("SEEDTEST_SCHEMA", SCHEMA)
    beside = run_of(empty_database, tmp_path)
    found = comparable(beside)
    assert [name for name in OUTPUTS if found[name] != expected[name]] == []
    assert everything_public(company) == before
    tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = :schema"
    assert set(OUTPUTS) <= {row["name"] for row in rows_of(company, tables, schema=SCHEMA)}
    beside.dispose()
    company.dispose()


def comparable(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of every output table; the row versions in ``attempt_sync`` are numbers of the server."""
    found = content(engine)
    found["attempt_sync"] = [(key, *rest) for key, _, *rest in found["attempt_sync"]]
    return found


def run_of(url: str, folder: Path) -> Engine:
    """Migrate, load the cohort and compute everything; reports go to the same, empty folder each time."""
    shutil.rmtree(folder / "reports", ignore_errors=True)
    engine = engine_for(normalised_url(url))
    migrate(engine)
    materialise(engine, folder, without=SLOW, students=40, is_repeatable=True)
    return engine


def everything_public(engine: Engine) -> dict[str, Any]:
    """Relations, functions, types, indexes and rows of the schema public."""
    with engine.connect() as connection:
        functions = connection.execute(
            text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1")
        )
        indexes = connection.execute(text("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"))
        found: dict[str, Any] = {
            "relations": catalogue(engine),
            "functions": list(functions.scalars()),
            "indexes": list(indexes.scalars()),
        }
        for name in ("session", "question", "classroom"):
            rows = connection.execute(
                text(f"SELECT t::text, ctid::text, xmin::text FROM public.{name} AS t ORDER BY 1")
            )
            found[name] = [tuple(row) for row in rows]
    return found
