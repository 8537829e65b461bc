"""The health of assets: what Dagster's storage says after runs that succeed, fail and grow old."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, text

from seedtest_analytics.assets.health.state import Health, health_of, smallest_jobs
from seedtest_analytics.build import build_definitions
from seedtest_analytics.dagster_private import reconstructable_job
from seedtest_analytics.reporting.health_page import health_page
from tests.assets.health._location import BROKEN, JOBS, SMALL, kept, whole

DEFINITIONS = dg.Definitions(SMALL, jobs=JOBS)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    BROKEN.clear()
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(instance: dg.DagsterInstance, asset: Any, partition: str | None = None) -> None:
    dg.materialize([asset], instance=instance, partition_key=partition, raise_on_error=False)


def judged(instance: dg.DagsterInstance, *, days_later: float = 0) -> dict[str, Health]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days_later)
    return {one.asset: one for one in health_of(instance, DEFINITIONS.get_repository_def(), now=now)}


def test_what_is_never_computed_fresh_stale_or_warned_about(instance: dg.DagsterInstance) -> None:
    run(instance, kept, "2026-03-02")
    found = judged(instance)
    assert {name: one.state for name, one in found.items()} == {"kept": "ok", "whole": "never", "unseen": "never"}
    assert (found["kept"].row_count, found["kept"].checks_passed, found["kept"].repair) == (7, 1, None)
    assert (found["kept"].domain, found["kept"].owner) == ("kpis", "team:learning-analytics")
    late = judged(instance, days_later=3)["kept"]
    assert (late.state, late.repair) == ("stale", "seedtest run compute_kept 2026-03-02 2026-03-04")
    assert judged(instance, days_later=1)["kept"].state == "ok"
    run(instance, kept, "2026-03-03")
    warned = judged(instance)["kept"]
    assert (warned.state, warned.failed_checks) == ("warning", {"usable": "too few <answers>"})
    assert found["whole"].repair == "seedtest run compute_whole"
    assert found["unseen"].repair == "seedtest run compute_both"


def test_failed_partitions_and_the_command_that_repairs_them(instance: dg.DagsterInstance) -> None:
    run(instance, kept, "2026-03-02")
    BROKEN.update({"2026-03-02", "2026-03-04", "whole"})
    for partition in ("2026-03-02", "2026-03-04"):
        run(instance, kept, partition)
    run(instance, whole)
    found = judged(instance)
    assert (found["kept"].state, list(found["kept"].failed_partitions)) == ("failed", ["2026-03-02", "2026-03-04"])
    assert found["kept"].repair == "seedtest run compute_kept 2026-03-02 2026-03-04"
    assert (found["whole"].state, found["whole"].repair) == ("failed", "seedtest run compute_whole")
    BROKEN.clear()
    for partition in ("2026-03-02", "2026-03-04"):
        run(instance, kept, partition)
    run(instance, whole)
    assert {one.state for one in judged(instance).values()} == {"ok", "never"}


def test_a_job_repairs_every_asset_of_the_platform() -> None:
    definitions = build_definitions()
    jobs = smallest_jobs(definitions.get_repository_def())
    assert jobs.keys() >= definitions.resolve_asset_graph().materializable_asset_keys
    assert jobs[dg.AssetKey("survival_risk")] == "fit_survival_churn"
    assert jobs[dg.AssetKey(["weekly_kpi", "P"])] == "refresh_goal_probability"


def test_the_page_shows_the_worst_first_and_escapes_what_it_shows() -> None:
    row = {
        "domain": "kpis",
        "owner": "team",
        "last_success_at": None,
        "fresh_until": None,
        "row_count": 1_234,
        "verdicts": {"usable": "<script>alert(1)</script>"},
        "failed_checks": {"usable": "<script>alert(1)</script>"},
        "failed_partitions": ["2026-03-02"],
        "repair": "seedtest run a",
    }
    page = health_page([{**row, "asset": "fine", "state": "ok"}, {**row, "asset": "broken", "state": "failed"}], "now")
    assert "<script>" not in page
    assert page.index("broken") < page.index("fine")
    assert "1,234" in page
    assert "http" not in page.replace("http&#", "")


@pytest.mark.database
def test_the_asset_replaces_its_table_and_its_check_names_what_failed(
    database_url: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    BROKEN.add("whole")
    run(instance, whole)
    job = reconstructable_job("tests.assets.health._location", "judge", folder=str(Path(__file__).parents[3]))
    for state, is_well in (("failed", False), ("ok", True)):
        result = dg.execute_job(job, instance)
        assert result.success
        (check,) = (c for c in result.get_asset_check_evaluations() if c.check_name == "all_well")
        assert check.passed is is_well
        assert ("whole failed" in (check.description or "")) is not is_well
        assert states(create_engine(database_url)) == {"kept": "never", "unseen": "never", "whole": state}
        BROKEN.clear()
        run(instance, whole)


def states(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return dict(connection.execute(text("SELECT asset, state FROM platform_health")).tuples().all())
