"""DIF in the graph: where the covariate comes from, what is stored, and silence without one."""

import logging
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.anchors.week import judge_candidates
from seedtest_analytics.assets.psychometrics.assets import irt_calibration
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import CalibrationSettings, DifSettings, Settings, SettingsError
from tests._database import execute, rows_of
from tests.assets._activity import postgres_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(20, seed=25)
THETA = np.random.default_rng(26).normal(0.0, 1.0, 700)
SETTINGS = CalibrationSettings(lookback_days=7)
ITEM_DIF = "SELECT item_id, params -> 'dif' AS dif FROM mirt_item_params ORDER BY item_id::integer"


def calibrated(engine: Engine, number: int = 0, **dif: Any) -> list[Outcome]:
    settings = DifSettings().overridden_by(dif)
    chosen = Settings(calibration=SETTINGS, dif=settings)
    return outcomes_of(engine, week(number), compute=calibrate_week, settings=chosen)


def check(outcomes: list[Outcome]) -> Any:
    return next(c for o in outcomes for c in o.checks if c.check.name == "dif_small")


@pytest.fixture
def two_schools(database: Engine) -> Engine:
    """Students v… are of organisation 2, classroom c2 (grade 5), Korean, weaker by 0.6; item 4 is harder for them by 2."""
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=27)
    store_answers(database, BANK.moved({4: 2.0}), week(0), THETA - 0.6, seed=28, prefix="v")
    execute(database, "INSERT INTO classroom (id, org_id, name, grade) VALUES ('c1', '1', 'a', 4), ('c2', '2', 'b', 5)")
    execute(
        database,
        "INSERT INTO session (id, user_id, classroom_id) SELECT DISTINCT session_id, user_id, "
        "CASE WHEN user_id LIKE 'v%' THEN 'c2' ELSE 'c1' END FROM attempt_log",
    )
    execute(
        database,
        "INSERT INTO exam_results (id, session_id, user_id, org_id, result_json) SELECT (array_agg(exam_result_id))[1], "
        "session_id, user_id, CASE WHEN user_id LIKE 'v%' THEN 2 ELSE 1 END, "
        "jsonb_build_object('metadata', jsonb_build_object('language', CASE WHEN user_id LIKE 'v%' THEN 'ko' ELSE 'en' END)) "
        "FROM attempt_log GROUP BY session_id, user_id",
    )
    return database


@pytest.mark.parametrize(
    ("covariate", "reference", "focal"),
    [
        ("org_id", "1", "2"),
        ("classroom_id", "c1", "c2"),
        ("grade", "4", "5"),
        ("result_json.metadata.language", "en", "ko"),
    ],
)
def test_the_item_that_is_harder_for_a_group_is_found_by_every_covariate(
    two_schools: Engine, covariate: str, reference: str, focal: str
) -> None:
    outcomes = calibrated(two_schools, covariate=covariate, reference=reference)
    failed = check(outcomes)
    assert not failed.is_passed
    assert "items 4)" in failed.description
    rows = {row["item_id"]: row["dif"] for row in rows_of(two_schools, ITEM_DIF)}
    assert len(rows) == 20
    (found,) = rows["4"]
    assert (found["group"], found["class"]) == (focal, "C")
    assert found["delta"] < -1.5
    assert found["p_adjusted"] < 0.05
    assert (found["n_reference"], found["n_focal"]) == (700, 700)
    assert sum(row[0]["class"] == "A" for row in rows.values()) >= 17
    (fit,) = rows_of(two_schools, "SELECT metrics -> 'dif' AS dif FROM mirt_fit_meta")
    assert fit["dif"]["covariate"] == covariate
    assert fit["dif"]["reference"] == reference
    assert fit["dif"]["items_c"] == ["4"]
    assert fit["dif"]["n_tests"] == 20
    means = {group["group"]: group["mean_logit"] for group in fit["dif"]["groups"]}
    assert means[focal] - means[reference] == pytest.approx(-0.6, abs=0.15)
    metadata = outcomes[1].metadata
    assert "| 4 |" in metadata["dif_items"].value
    assert metadata["dif_forest_in_full"].value.startswith("![plot](data:image/png")


def test_an_item_of_class_c_is_no_anchor(two_schools: Engine) -> None:
    calibrated(two_schools, covariate="org_id")
    outcomes_of(two_schools, week(0), compute=judge_candidates, is_dry_run=False)[0]
    reasons = {
        row["item_id"]: row["reason"] for row in rows_of(two_schools, "SELECT item_id, reason FROM anchor_candidates")
    }
    assert reasons["4"] == "flagged: DIF of class C"
    assert "flagged" not in reasons["5"]


def test_without_a_covariate_nothing_is_read_or_stored(two_schools: Engine) -> None:
    calibrated(two_schools, covariate="org_id")
    outcomes = calibrated(two_schools)
    silent = check(outcomes)
    assert silent.is_passed
    assert silent.description == "DIF_COVARIATE is not set: there are no groups to compare"
    assert {row["dif"] for row in rows_of(two_schools, ITEM_DIF)} == {None}
    assert rows_of(two_schools, "SELECT 1 FROM mirt_fit_meta WHERE metrics ? 'dif'") == []
    assert not [name for outcome in outcomes for name in outcome.metadata if name.startswith("dif")]


def test_a_covariate_that_nobody_has_is_said_and_stops_nothing(two_schools: Engine) -> None:
    outcomes = calibrated(two_schools, covariate="result_json.metadata.region")
    assert check(outcomes).is_passed
    assert "nothing to compare by result_json.metadata.region" in check(outcomes).description
    assert "groups: none" in outcomes[1].metadata["dif"]
    assert outcomes[0].published.staged == 20


def test_the_asset_reads_the_environment(two_schools: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "7")
    monkeypatch.setenv("DIF_COVARIATE", "org_id")
    result = dg.materialize(
        [irt_calibration], partition_key=week(0).key, resources={"postgres": postgres_of(two_schools), "r": RResource()}
    )
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert not checks["dif_small"].passed
    assert checks["dif_small"].severity == dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize("value", ["gender", "result_json", "result_json.", "result_json.a..b"])
def test_an_unknown_covariate_is_refused_with_what_is_allowed(value: str) -> None:
    with pytest.raises(SettingsError, match=r"org_id, classroom_id, grade, and not result_json\.KEY"):
        DifSettings.from_environment({"DIF_COVARIATE": value})
