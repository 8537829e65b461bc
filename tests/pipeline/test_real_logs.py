"""The published logs of real students from the file to abilities: loaded, synced, calibrated, scored."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine

from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.demo import students_by_week
from seedtest_analytics.cli.steps import Step
from seedtest_analytics.ingest import LoadOptions, load_attempt_log
from seedtest_analytics.resources.object_store import ObjectStoreResource
from tests._database import rows_of
from tests._shared import shared
from tests.assets._activity import postgres_of

LAST = dt.date(2026, 1, 4)
"""The logs are years old; moved by whole weeks to end here, as `seedtest demo --data` moves them to today."""
SCORED_SHARE = 0.9
"""Who answered in the week without an ability met only items that nobody else has met: few may be so."""


@pytest.fixture
def definitions(database: Engine, tmp_path: Path) -> dg.Definitions:
    """The platform on the test's database."""
    resources = {
        "postgres": postgres_of(database),
        "object_store": ObjectStoreResource.having(folder=tmp_path / "reports"),
    }
    return build_definitions(resources)


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("name", ["attempts_assist17_small", "attempts_ednet_main"])
def test_a_real_log_goes_through_to_the_abilities_of_its_fullest_week(
    database: Engine, definitions: dg.Definitions, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_attempt_log(database, [shared(f"data/{name}.parquet")], options=LoadOptions(shift_to=LAST))
    students = students_by_week(database)
    fullest = max(students, key=lambda monday: students[monday])
    # A log of unknown density: its items are calibrated on all answers so far, as the demo does.
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", str((fullest - min(students)).days + 14))
    week = Step("calibrate_irt", "abilities", first=fullest, last=fullest)
    with dg.DagsterInstance.ephemeral() as instance:
        for step in (Step("sync_attempts", "attempts"), week):
            job = definitions.resolve_job_def(step.job)
            assert job.execute_in_process(instance=instance, tags=step.tags).success, step.title

    assert rows_of(database, "SELECT reason, count(*) AS n FROM attempt_quarantine GROUP BY 1") == []
    (log,) = rows_of(
        database,
        "SELECT count(*) AS attempts, (SELECT sum(jsonb_array_length(result_json -> 'questions')) FROM exam_results) "
        "AS elements FROM attempt",
    )
    assert log["attempts"] == log["elements"] > 0
    (fit,) = rows_of(database, "SELECT week_start, is_usable, metrics -> 'reasons' AS reasons FROM mirt_fit_meta")
    assert fit == {"week_start": fullest, "is_usable": True, "reasons": []}
    (active,) = rows_of(
        database,
        "SELECT count(*) AS n, count(b.user_id) AS scored, min(b.se) AS least, max(b.se) AS most FROM "
        "(SELECT DISTINCT user_id FROM attempt WHERE completed_at >= :monday "
        "AND completed_at < CAST(:monday AS date) + 7) AS a "
        "LEFT JOIN mirt_ability AS b ON b.user_id = a.user_id AND b.week_start = :monday",
        monday=fullest,
    )
    assert active["n"] == students[fullest]
    assert active["scored"] >= SCORED_SHARE * active["n"]
    assert 0 < active["least"] <= active["most"] < 1.5
