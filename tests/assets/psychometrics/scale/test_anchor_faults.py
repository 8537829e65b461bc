"""Tagged anchors with invalid stored parameters are set aside and named; the calibration succeeds without them."""

import logging
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.psychometrics.anchors.choice import verify_anchors
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.settings import CalibrationSettings, Settings
from seedtest_analytics.stats.irt.anchors import AnchorCriteria
from tests._database import execute, rows_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)
THETA = np.random.default_rng(6).normal(0.0, 1.0, 500)
ANCHORS = (6, 7, 8, 9, 10, 11)
FAULTS = {"a": "0", "c": "1.5", "b": "1e400"}


@pytest.fixture
def anchored(database: Engine) -> Engine:
    """One week of answers to a bank with six anchors."""
    BANK.store(database, ANCHORS)
    store_answers(database, BANK, week(0), THETA, seed=7)
    return database


def damage(engine: Engine, item: int, name: str, value: str) -> None:
    execute(
        engine,
        "UPDATE question SET meta = jsonb_set(meta, ARRAY['irt', :name], CAST(:value AS jsonb)) WHERE id = :item",
        {"item": item, "name": name, "value": value},
    )


def calibrated(engine: Engine, **changes: Any) -> dict[str, CheckOutcome]:
    settings = CalibrationSettings(lookback_days=7).overridden_by(changes)
    outcomes = outcomes_of(
        engine, week(0), compute=calibrate_week, settings=Settings(calibration=settings), is_dry_run=False
    )
    return {check.check.name: check for outcome in outcomes for check in outcome.checks}


def dropped(engine: Engine) -> dict[str, str]:
    (row,) = rows_of(engine, "SELECT model_spec #> '{linking_constants,dropped}' AS d FROM mirt_fit_meta")
    return {each["item_id"]: each["reason"] for each in row["d"]}


def held(engine: Engine) -> set[int]:
    rows = rows_of(engine, "SELECT item_id FROM mirt_item_params_history WHERE is_anchor")
    return {int(row["item_id"]) for row in rows}


@pytest.mark.parametrize("name", FAULTS)
def test_a_malformed_anchor_is_set_aside_alone_and_named(
    anchored: Engine, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(anchored, 6, name, FAULTS[name])
    checks = calibrated(anchored)
    assert checks["usable"].is_passed
    assert checks["anchors_enough"].is_passed
    assert not checks["anchors_stable"].is_passed
    assert f"6: question.meta.irt has {name} = " in checks["anchors_stable"].description
    assert set(dropped(anchored)) == {"6"}
    assert held(anchored) == set(ANCHORS) - {6}
    assert f"anchor 6 is set aside: question.meta.irt has {name} = " in caplog.text


@pytest.mark.parametrize("linking", ["fixed", "stocking-lord"])
def test_an_anchor_with_a_negative_slope_does_not_move_the_scale(anchored: Engine, linking: str) -> None:
    damage(anchored, 6, "a", "-1.2")
    checks = calibrated(anchored, linking=linking)
    assert "6: question.meta.irt has a = -1.2" in checks["anchors_stable"].description
    assert dropped(anchored) == {"6": "question.meta.irt has a = -1.2, which is not above 0"}
    (row,) = rows_of(anchored, "SELECT a, flag FROM mirt_item_params_history WHERE item_id = '6'")
    assert row["a"] == pytest.approx(BANK.a[5], abs=0.5)
    (fit,) = rows_of(anchored, "SELECT metrics -> 'group_sd' AS sd FROM mirt_fit_meta")
    assert fit["sd"] == pytest.approx(THETA.std(), abs=0.15)


def test_malformed_anchors_are_named_where_too_few_are_left_for_a_scale(anchored: Engine) -> None:
    damage(anchored, 6, "a", "0")
    damage(anchored, 7, "c", "1")
    checks = calibrated(anchored)
    (fit,) = rows_of(anchored, "SELECT model_spec ->> 'scale_origin' AS origin FROM mirt_fit_meta")
    assert fit["origin"] == "own"
    assert not checks["anchors_stable"].is_passed
    assert "6: " in checks["anchors_stable"].description
    assert "7: " in checks["anchors_stable"].description
    with anchored.connect() as connection:
        found = verify_anchors(connection, week(0), criteria=AnchorCriteria()).set_index("item_id")["reason"]
    assert found[6] == "question.meta.irt has a = 0, which is not above 0: it is never used as an anchor"
    assert found[7] == "question.meta.irt has c = 1, which is not in [0, 1): it is never used as an anchor"
