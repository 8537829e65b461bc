"""A log in which no item returns often: everyone has an ability, on one scale, with an honest interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.psychometrics.ability.week import compute_state
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.settings import CalibrationSettings, Settings
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from tests._database import execute, rows_of
from tests.assets._ability import store_cohort
from tests.assets._items import week
from tests.assets._week_runs import outcomes_of
from tests.stats.ability._simulation import Cohort, simulate

TRUTH = Hyperparameters(level_walk=0.003, topic_spread=0.2, item_spread=0.8, item_topic_spread=0.3)
WEEKS = 4


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(TRUTH, seed=911, n_students=60, n_items=900, n_topics=10, weeks=WEEKS, per_week=18.0)


def computed(engine: Engine, number: int, settings: Settings) -> None:
    for step in (calibrate_week, compute_state, score_week):
        outcomes_of(engine, week(number), compute=step, settings=settings)


def test_everyone_has_an_ability_whose_interval_holds(database: Engine, cohort: Cohort) -> None:
    """No item has ten answers. Of 60 levels and some 590 topics the covered shares are within four binomial errors."""
    store_cohort(database, cohort)
    execute(
        database,
        "DELETE FROM attempt_log WHERE item_id IN (SELECT item_id FROM attempt_log GROUP BY 1 HAVING count(*) > 9)",
    )
    settings = Settings(calibration=CalibrationSettings())
    computed(database, WEEKS - 2, settings)
    computed(database, WEEKS - 1, settings)
    fits = rows_of(database, "SELECT * FROM mirt_fit_meta ORDER BY week_start")
    assert [fit["is_usable"] for fit in fits] == [True, True]
    assert [fit["model_spec"]["scale_origin"] for fit in fits] == ["own", "linked"]
    assert len(fits[-1]["metrics"]["pool"]["topics"]) == 10
    assert any(text.startswith("rare items borrow") for text in fits[-1]["metrics"]["warnings"])
    (answered,) = rows_of(
        database, "SELECT count(DISTINCT item_id) AS items, count(DISTINCT user_id) AS users FROM attempt_log"
    )
    assert rows_of(database, "SELECT count(*) AS n FROM mirt_item_params")[0]["n"] == answered["items"]
    levels = rows_of(database, "SELECT * FROM mirt_ability WHERE week_start = :w", w=week(WEEKS - 1).start)
    assert len(levels) == answered["users"]
    assert {row["run_id"] for row in levels} == {fits[-1]["run_id"]}
    # The scale's unit and origin are those of the first calibration's students.
    assert covered(levels, [cohort.level[student(row), -1] for row in levels]) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 60)
    topics = rows_of(
        database, "SELECT *, ability AS theta FROM ability_topic_state WHERE week_start = :w", w=week(WEEKS - 1).start
    )
    truth = [
        cohort.level[student(row), -1] + cohort.deviation[student(row), int(row["topic_id"][1:])] for row in topics
    ]
    assert covered(topics, truth) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(topics))


def student(row: dict[str, Any]) -> int:
    return int(row["user_id"][1:])


def covered(rows: list[dict[str, Any]], truth: list[float]) -> float:
    """Share of the 95 % intervals that hold the truth, moved to its unit and origin."""
    theta, se = (np.array([row[name] for row in rows]) for name in ("theta", "se"))
    true = np.array(truth)
    unit = true.std() / np.sqrt(max(theta.var() - (se**2).mean(), 0.1))
    found = unit * (theta - theta.mean()) + true.mean()
    return float((np.abs(found - true) < 1.96 * unit * se).mean())
