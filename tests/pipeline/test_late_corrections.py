"""Late corrections through the graph: what the sensor asks for makes the tables what a rebuild from scratch makes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.build import build_definitions
from seedtest_analytics.ingest.cohort_files import write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.partitions import DAY, PLATFORM, WEEK, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules.exam_results import exam_results_sensor
from seedtest_analytics.stats.simulate import CohortConfig
from seedtest_analytics.tables import contract_of, metadata
from tests._database import execute, rows_of
from tests._exams import Exam, question, store

TODAY = dt.datetime.now(PLATFORM.zone).date()
N_WEEKS = 12
FIRST = monday_of(TODAY) - N_WEEKS * WEEK
ENVIRONMENT = {"METRICS_USE_IRT_THETA": "true", "AGG_INCLUDE_THETA": "true", "MIRT_MIN_RESPONSES": "3"}
ABILITIES = ("mirt_ability", "ability_window", "student_topic_theta", "student_topic_theta_history")
OUTPUTS = (*ABILITIES, "features_topic_daily", "weekly_kpi")
CALIBRATIONS = ("mirt_fit_meta", "mirt_item_params", "mirt_item_params_history")
LATE = monday_of(TODAY) - 3 * WEEK


class Platform:
    """The graph with its sensor on a cohort's database, every run done at once."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.url, self.instance = url, instance
        self.definitions = build_definitions({"postgres": PostgresResource.having(url=url)})
        self.cursor: str | None = None

    def run(self, job: str, tags: Any = None) -> None:
        made = self.definitions.resolve_job_def(job)
        assert made.execute_in_process(instance=self.instance, tags=dict(tags or {})).success, (job, tags)

    def run_range(self, job: str, first: dt.date, last: dt.date) -> None:
        prefix = "dagster/asset_partition_range"
        self.run(job, {f"{prefix}_start": str(first), f"{prefix}_end": str(last)})

    def tick(self) -> list[str]:
        """One evaluation of the sensor; what it asks for is run. Returns the jobs."""
        resources = {"postgres": PostgresResource.having(url=self.url)}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result: Any = exam_results_sensor(context)
        self.cursor = result.cursor
        for request in result.run_requests:
            self.run(request.job_name, request.tags)
        return [request.job_name for request in result.run_requests]

    def settle(self) -> list[str]:
        """Tick until the sensor asks for nothing more."""
        jobs: list[str] = []
        while asked := self.tick():
            jobs += asked
        return jobs


@pytest.fixture(scope="module")
def cohort(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A cohort of 60 students over twelve weeks up to yesterday, seed 3."""
    engine = PostgresResource.having(url=module_database_url).engine
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(
        CohortConfig(60, N_WEEKS, seed=3, until=TODAY - DAY, timezone=PLATFORM.timezone),
        folder,
        progress=lambda *_, **__: None,
    )
    load_cohort(engine, folder, progress=lambda *_, **__: None)
    yield engine
    engine.dispose()


@pytest.fixture
def platform(cohort: Engine, module_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """Everything computed once, the sensor's cursor behind it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Platform(module_database_url, instance)
        made.run("sync_attempts")
        made.run_range("calibrate_irt", FIRST, monday_of(TODAY))
        made.run_range("aggregate_features_daily", FIRST, TODAY)
        made.run_range("compute_daily_kpis", FIRST, monday_of(TODAY))
        assert made.settle() == []
        yield made


def content(engine: Engine, *names: str) -> dict[str, set[tuple[Any, ...]]]:
    """Rows without times of computation."""
    found = {}
    with engine.connect() as connection:
        for name in names:
            columns = [f'"{c.name}"::text' for c in metadata.tables[name].columns if not contract_of(c).is_volatile]
            query = text(f"SELECT {', '.join(columns)} FROM {name}")
            found[name] = {tuple(row) for row in connection.execute(query)}
            assert found[name], f"{name} is empty: the test would prove nothing"
    return found


def rebuilt(platform: Platform, engine: Engine) -> dict[str, set[tuple[Any, ...]]]:
    """The outputs made again from the present attempts, with the calibrations that the weeks have."""
    execute(engine, f"TRUNCATE {', '.join(OUTPUTS)}")
    platform.run_range("rescore_weeks", FIRST, monday_of(TODAY))
    platform.run_range("aggregate_features_daily", FIRST, TODAY)
    return content(engine, *OUTPUTS)


def week_of(engine: Engine, user: str) -> dict[str, Any]:
    """Windows and I_t of a student in the week of the late exam."""
    windows = rows_of(
        engine,
        "SELECT window_name, theta, n_answers FROM ability_window WHERE user_id = :user AND week_start = :week",
        user=user,
        week=LATE,
    )
    (kpi,) = rows_of(
        engine,
        "SELECT kpis -> 'I_t' AS i_t FROM weekly_kpi WHERE user_id = :user AND week_start = :week",
        user=user,
        week=LATE,
    )
    return {w["window_name"]: (w["theta"], w["n_answers"]) for w in windows} | kpi


def test_a_late_exam_and_a_removed_one_come_to_what_a_rebuild_comes_to(platform: Platform, cohort: Engine) -> None:
    user = rows_of(
        cohort,
        "SELECT user_id FROM ability_window WHERE week_start = :week GROUP BY user_id HAVING count(*) = 2 "
        "ORDER BY sum(n_answers) DESC, user_id LIMIT 1",
        week=LATE,
    )[0]["user_id"]
    items = rows_of(cohort, "SELECT item_id::bigint AS id FROM mirt_item_params ORDER BY 1 LIMIT 20")
    before, fits = content(cohort, *OUTPUTS), content(cohort, *CALIBRATIONS)
    seen = week_of(cohort, user)
    wednesday = dt.datetime.combine(LATE + 2 * DAY, dt.time(12), PLATFORM.zone)
    late = Exam(
        tuple(question(item["id"], is_correct=False) for item in items),
        user,
        created_at=wednesday,
        updated_at=dt.datetime.now(dt.UTC),
    )
    store(cohort, late)
    removed = rows_of(
        cohort,
        "SELECT exam_result_id AS id FROM attempt WHERE completed_at < :before ORDER BY completed_at DESC LIMIT 1",
        before=wednesday - 6 * WEEK,
    )
    execute(cohort, "DELETE FROM exam_results WHERE id = :id", {"id": removed[0]["id"]})
    jobs = platform.settle()
    assert jobs[:2] == ["sync_attempts", "rescore_weeks"]
    assert "aggregate_features_daily" in jobs[2:]

    after = content(cohort, *OUTPUTS)
    now = week_of(cohort, user)
    assert now["recent"][1] > seen["recent"][1]
    assert now["recent"][0] < seen["recent"][0]
    assert now["i_t"] != seen["i_t"]
    assert all(after[name] != before[name] for name in OUTPUTS)
    assert content(cohort, *CALIBRATIONS) == fits
    expected = rebuilt(platform, cohort)
    for name in OUTPUTS:
        assert after[name] == expected[name], name
