"""Growth percentiles in the graph: from answers to rows, beside the goal, and what is said where they are missing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import Engine

from seedtest_analytics.assets.growth.percentiles.week import compute_student_growth
from seedtest_analytics.assets.psychometrics.ability.week import compute_state
from seedtest_analytics.settings import AbilitySettings, CalibrationSettings, Settings
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from tests._database import execute, rows_of
from tests.assets._ability import store_calibration, store_cohort
from tests.assets._growth import store_goal
from tests.assets._items import week
from tests.assets._week_runs import outcomes_of
from tests.stats.ability._simulation import Cohort, simulate

TRUTH = Hyperparameters(level_walk=0.02, topic_spread=0.1, slope_variance=4e-6)
WEEKS, SPAN = 8, 4
SETTINGS = Settings(calibration=CalibrationSettings(lookback_days=30), ability=AbilitySettings(growth_weeks=SPAN))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(TRUTH, seed=311, n_students=80, n_items=200, weeks=WEEKS, per_week=12)


def computed(engine: Engine, cohort: Cohort, chosen: np.ndarray | None = None) -> Any:
    store_cohort(engine, cohort, chosen=chosen)
    store_calibration(engine, week(0), cohort.difficulty)
    outcomes_of(engine, week(WEEKS - 1), compute=compute_state, settings=SETTINGS)
    (outcome,) = outcomes_of(engine, week(WEEKS - 1), compute=compute_student_growth, settings=SETTINGS)
    return outcome


def check(outcome: Any, name: str) -> Any:
    return next(c for c in outcome.checks if c.check.name == name)


def growth(engine: Engine) -> dict[str, Any]:
    return {row["user_id"]: row for row in rows_of(engine, "SELECT * FROM student_growth")}


def test_percentiles_and_paces_of_a_cohort_hold_the_truth(database: Engine, cohort: Cohort) -> None:
    """80 students: intervals of pace cover the true gain, and percentiles follow its rank."""
    outcome = computed(database, cohort)
    assert check(outcome, "compared").is_passed
    assert check(outcome, "centred").is_passed
    rows = growth(database)
    compared = {user: row for user, row in rows.items() if row["percentile"] is not None}
    assert len(compared) >= 60
    codes = np.array([int(user[1:]) for user in compared])
    gain = cohort.level[codes, -1] - cohort.level[codes, 7 * (WEEKS - SPAN)]
    pace, se, percentile = (np.array([r[n] for r in compared.values()]) for n in ("pace", "pace_se", "percentile"))
    inside = np.abs(pace - gain / SPAN) < 1.96 * se
    assert inside.mean() > 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(inside))
    assert stats.spearmanr(percentile, gain).statistic > 0.4
    for row in compared.values():
        assert row["weeks"] == SPAN
        assert row["percentile_lower"] <= row["percentile"] <= row["percentile_upper"]
        assert row["earlier_level"] + SPAN * row["pace"] == pytest.approx(row["level"])
        assert row["reason"] is None
        assert row["n_reference"] == len(compared)
        assert row["run_id"] == "run-1"


def test_percentile_and_criterion_stand_beside_each_other(database: Engine, cohort: Cohort) -> None:
    execute(database, "DELETE FROM interest_goal")
    due = week(WEEKS - 1).as_of.date() + dt.timedelta(days=28)
    set_at = {"created_at": week(0).as_of, "target_date": due}
    store_goal(database, "u0001", "a", 9.0, **set_at)
    store_goal(database, "u0002", "a", -9.0, **set_at)
    computed(database, cohort)
    rows = growth(database)
    far, reached, other = rows["u0001"], rows["u0002"], rows["u0003"]
    assert far["distance"] == pytest.approx(9.0 - far["level"])
    assert far["needed_pace"] == pytest.approx(far["distance"] / 4)
    assert far["needed_percentile"] == 99
    assert reached["needed_pace"] == 0
    assert reached["needed_percentile"] < 99
    assert (other["target_source"], other["target"]) == ("default", SETTINGS.kpis.default_target)
    assert all(row["needed_pace"] is not None and row["distance"] is not None for row in rows.values())


def test_newcomers_and_the_silent_are_told_why_they_have_no_percentile(database: Engine, cohort: Cohort) -> None:
    answers = cohort.answers
    early = answers.day < 7 * (WEEKS - SPAN)
    chosen = np.where(answers.student == 0, ~early, np.where(answers.student == 1, early, True))
    computed(database, cohort, chosen=chosen)
    rows = growth(database)
    assert rows["u0000"]["reason"] == "no level 4 weeks ago"
    assert rows["u0000"]["pace"] is None
    assert rows["u0001"]["reason"] == "no answer in the last 4 weeks"
    assert rows["u0001"]["percentile"] is None
    assert rows["u0001"]["needed_percentile"] is not None


def test_a_class_is_told_how_many_students_would_be_enough(database: Engine, cohort: Cohort) -> None:
    outcome = computed(database, cohort, chosen=cohort.answers.student < 30)
    assert "28 of 50 have a level before and now" in check(outcome, "compared").description
    rows = growth(database)
    assert len(rows) == 30
    reasons = [row["reason"] for row in rows.values()]
    assert sum(reason.startswith("not enough students to compare with") for reason in reasons) == 28
    for row in rows.values():
        assert (row["percentile"], row["typical_pace"]) == (None, None)
        assert row["pace"] is not None
        assert row["needed_pace"] is not None


def test_a_week_without_states_has_no_rows(database: Engine) -> None:
    (outcome,) = outcomes_of(database, week(0), compute=compute_student_growth, settings=SETTINGS)
    assert "no rows of ability_state" in check(outcome, "compared").description
    assert growth(database) == {}
    execute(
        database,
        "INSERT INTO ability_state (user_id, week_start, level, se, slope, slope_se, level_slope_covariance, change, "
        "change_se, n_answers, answered_at, fitted_at) VALUES ('a', :w, 0, 1, 0, 0, 0, 0, 0, 5, :at, :at)",
        {"w": week(0).start, "at": week(0).as_of},
    )
    outcomes_of(database, week(0), compute=compute_student_growth, settings=SETTINGS)
    assert growth(database)["a"]["reason"] == "the stored state has no earlier level: compute ability_state again"
