"""Calibrations of one topic or subject: they never stand in the place of those of all answers."""

import logging
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.anchors.choice import newest_week
from seedtest_analytics.assets.psychometrics.assets import irt_calibration
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.scoring.week import Scale, scale_for, score_week
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import rows_of, snapshot
from tests.assets._activity import postgres_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)
THETA = np.random.default_rng(6).normal(0.0, 1.0, 300)
SETTINGS = CalibrationSettings(lookback_days=7)
TABLES = ("mirt_fit_meta", "mirt_item_params", "mirt_item_params_history")


@pytest.fixture
def two_weeks(database: Engine) -> Engine:
    """Answers of two weeks to 24 items, 8 of them of topic t1."""
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=7)
    store_answers(database, BANK, week(1), THETA, seed=8, prefix="v")
    return database


def calibrated(engine: Engine, number: int, dry: bool = False, **changes: Any) -> list[Outcome]:
    settings = SETTINGS.overridden_by(changes)
    return outcomes_of(
        engine, week(number), compute=calibrate_week, settings=Settings(calibration=settings), is_dry_run=dry
    )


def scale_of(engine: Engine, number: int) -> Scale | None:
    with engine.connect() as connection:
        return scale_for(connection, week(number))


def spec(engine: Engine, number: int) -> dict[str, Any]:
    query = "SELECT run_id, model_spec FROM mirt_fit_meta WHERE week_start = :w"
    (row,) = rows_of(engine, query, w=week(number).start)
    return {"run_id": row["run_id"], **row["model_spec"]}


@pytest.mark.parametrize("asked", [{"topic_id": "t1"}, {"subject_id": 7}])
def test_a_filtered_calibration_never_replaces_one_of_all_answers(two_weeks: Engine, asked: dict[str, Any]) -> None:
    calibrated(two_weeks, 0)
    before = [snapshot(two_weeks, table) for table in TABLES]
    for number in (0, 1):
        with pytest.raises(dg.Failure, match="filter") as refused:
            calibrated(two_weeks, number, **asked)
        text = refused.value.description or ""
        assert week(number).key in text
        assert spec(two_weeks, 0)["run_id"] in text
        assert "DRY_RUN=true" in text
        assert f"{next(iter(asked))}={next(iter(asked.values()))}" in text
    assert [snapshot(two_weeks, table) for table in TABLES] == before


def test_a_dry_run_of_a_filtered_calibration_reports_what_it_finds(two_weeks: Engine) -> None:
    calibrated(two_weeks, 0)
    before = [snapshot(two_weeks, table) for table in TABLES]
    parameters, fit = calibrated(two_weeks, 0, dry=True, topic_id="t1")
    assert "8 of 8 items" in parameters.checks[0].description
    assert fit.metadata["answers"] == 8 * 300
    assert [snapshot(two_weeks, table) for table in TABLES] == before


def test_a_platform_that_always_filters_is_calibrated_linked_and_scored(two_weeks: Engine) -> None:
    calibrated(two_weeks, 0, topic_id="t1")
    calibrated(two_weeks, 1, topic_id="t1")
    assert spec(two_weeks, 0)["filter"] == {"topic_id": "t1"}
    assert spec(two_weeks, 0)["scale_origin"] == "own"
    assert spec(two_weeks, 1)["scale_origin"] == "linked"
    outcomes_of(two_weeks, week(1), compute=score_week, settings=Settings(calibration=SETTINGS), is_dry_run=False)
    (row,) = rows_of(two_weeks, "SELECT DISTINCT run_id, n_answers FROM mirt_ability")
    assert (row["run_id"], row["n_answers"]) == (spec(two_weeks, 1)["run_id"], 8)


def test_a_calibration_of_all_answers_is_neither_linked_to_a_filtered_one_nor_stood_in_for_by_it(
    two_weeks: Engine,
) -> None:
    calibrated(two_weeks, 0, topic_id="t1")
    assert scale_of(two_weeks, 0) is not None
    calibrated(two_weeks, 1)
    found = spec(two_weeks, 1)
    assert (found["filter"], found["scale_origin"], found["n_items"]) == (None, "own", 24)
    assert scale_of(two_weeks, 0) is None
    scale = scale_of(two_weeks, 1)
    assert scale is not None
    assert scale.run_id == found["run_id"]
    # The week of the filtered one, calibrated as it should have been.
    calibrated(two_weeks, 0)
    scale = scale_of(two_weeks, 0)
    assert scale is not None
    assert (scale.run_id, len(scale.items)) == (spec(two_weeks, 0)["run_id"], 24)


def test_anchors_are_chosen_by_calibrations_of_all_answers(two_weeks: Engine) -> None:
    calibrated(two_weeks, 1, topic_id="t1")
    calibrated(two_weeks, 0)
    with two_weeks.connect() as connection:
        newest = newest_week(connection)
    assert newest is not None
    assert newest.start == week(0).start


def test_in_the_graph_the_refusal_fails_the_step_without_another_try(
    two_weeks: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated(two_weeks, 0)
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "7")
    monkeypatch.setenv("MIRT_TOPIC_ID", "t1")
    with pytest.raises(dg.Failure, match="leave the filter out") as failure:
        dg.materialize(
            [irt_calibration],
            partition_key=week(0).key,
            resources={"postgres": postgres_of(two_weeks), "r": RResource()},
        )
    assert failure.value.allow_retries is False
