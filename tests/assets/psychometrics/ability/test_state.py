"""Ability over time in the graph: on the scale, still in silence, the same on repetition, and what is published from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.psychometrics.ability import week as ability_week
from seedtest_analytics.assets.psychometrics.ability.week import compute_state
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.settings import AbilitySettings, CalibrationSettings, KpiSettings, Settings
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from tests._database import execute, rows_of
from tests.assets._ability import store_calibration, store_cohort
from tests.assets._items import week
from tests.assets._week_runs import outcomes_of
from tests.stats.ability._simulation import Cohort, simulate

TRUTH = Hyperparameters(level_walk=0.004, topic_spread=0.2, slope_variance=4e-6)
WEEKS = 8
LAST = week(WEEKS - 1)
SETTINGS = Settings(calibration=CalibrationSettings(lookback_days=30))
STATIC = SETTINGS.model_copy(update={"ability": AbilitySettings(method="static")})


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(TRUTH, seed=301, n_students=80, n_items=200, weeks=WEEKS)


def computed(engine: Engine, number: int, settings: Settings = SETTINGS) -> list[Any]:
    return outcomes_of(engine, week(number), compute=compute_state, settings=settings)


def scored(engine: Engine, number: int, settings: Settings = SETTINGS) -> list[Any]:
    return outcomes_of(engine, week(number), compute=score_week, settings=settings)


def check(outcomes: list[Any], name: str) -> Any:
    return next(c for o in outcomes for c in o.checks if c.check.name == name)


def states(engine: Engine, number: int) -> dict[str, Any]:
    query = "SELECT * FROM ability_state WHERE week_start = :w"
    return {row["user_id"]: row for row in rows_of(engine, query, w=week(number).start)}


def test_levels_and_topics_cover_the_truth_on_the_calibrations_scale(database: Engine, cohort: Cohort) -> None:
    """Of 80 levels and about 480 topics, the shares that 95 % intervals cover are within four binomial errors."""
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    outcomes = computed(database, WEEKS - 1)
    assert check(outcomes, "hyperparameters_usable").is_passed
    found = states(database, WEEKS - 1)
    codes = np.array([int(user[1:]) for user in found])
    level, se = (np.array([row[name] for row in found.values()]) for name in ("level", "se"))
    inside = np.abs(level - cohort.level[codes, -1]) < 1.96 * se
    assert inside.mean() > 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(inside))
    assert abs((level - cohort.level[codes, -1]).mean()) < 4 * np.sqrt((se**2).mean() / len(se))
    topics = rows_of(database, "SELECT * FROM ability_topic_state")
    truth = np.array([cohort.level[int(r["user_id"][1:]), -1] for r in topics])
    truth += [cohort.deviation[int(r["user_id"][1:]), int(r["topic_id"][1:])] for r in topics]
    error = np.array([r["ability"] for r in topics]) - truth
    share = (np.abs(error) < 1.96 * np.array([r["se"] for r in topics])).mean()
    assert len(topics) > 400
    assert share > 0.95 - 4 * np.sqrt(0.95 * 0.05 / len(topics))
    assert {row["run_id"] for row in topics} == {"run-1"}


def test_one_level_beyond_the_limits_is_set_aside_and_the_others_are_published(
    database: Engine, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once cost the level, and so the page, of every student."""
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    rows_in_limits = ability_week.level_rows

    def with_one_beyond(*args: Any, **named: Any) -> Any:
        rows = rows_in_limits(*args, **named)
        return rows.assign(level=rows["level"].mask(rows["user_id"] == rows["user_id"].min(), 12.5))

    monkeypatch.setattr(ability_week, "level_rows", with_one_beyond)
    _, levels, _ = computed(database, WEEKS - 1)
    abilities, _, _ = scored(database, WEEKS - 1)
    assert (levels.published.staged, levels.published.quarantined) == (79, 1)
    assert abilities.published.staged == 79
    (row,) = rows_of(database, "SELECT asset, reason, element ->> 'level' AS level FROM row_quarantine")
    assert row == {"asset": "ability_state", "reason": "level: must be at most 12", "level": "12.5"}


def test_without_an_answer_the_level_stays_and_its_error_grows(database: Engine, cohort: Cohort) -> None:
    silent = cohort.answers.student % 2 == 0
    store_cohort(database, cohort, chosen=~silent | (cohort.answers.day < 28))
    store_calibration(database, week(0), cohort.difficulty)
    for number in (4, 5, WEEKS - 1):
        outcomes = computed(database, number)
    assert check(outcomes, "silent_stay").description.startswith("nobody to compare")
    early, late = states(database, 4), states(database, WEEKS - 1)
    still = [user for user in late if int(user[1:]) % 2 == 0]
    assert len(still) > 30
    for user in still:
        assert late[user]["answered_at"] == early[user]["answered_at"]
        assert late[user]["level"] == pytest.approx(early[user]["level"], abs=0.02)
        assert late[user]["se"] > early[user]["se"]
    moved = outcomes_of(database, week(5), compute=compute_state, settings=SETTINGS)
    found = check(moved, "silent_stay")
    assert found.is_passed
    assert found.metadata["silent"] >= len(still)
    execute(database, "UPDATE ability_state SET level = level + 1 WHERE week_start = :w", {"w": week(4).start})
    assert not check(computed(database, 5), "silent_stay").is_passed


def test_a_repetition_writes_nothing_and_hyperparameters_serve_for_a_month(database: Engine, cohort: Cohort) -> None:
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    for number in (2, 3, 7):
        computed(database, number)
    again = [o.published for o in computed(database, 7)]
    assert [(p.inserted, p.updated, p.deleted) for p in again] == [(0, 0, 0)] * 3
    rows = rows_of(database, "SELECT week_start, fit_week FROM ability_hyperparameters ORDER BY week_start")
    assert [row["fit_week"] for row in rows] == [week(n).start for n in (2, 2, 7)]


def test_hyperparameters_of_a_young_log_serve_until_it_has_half_as_many_answers_again(
    database: Engine, cohort: Cohort
) -> None:
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    for number in (0, 3, 4):
        computed(database, number)
    rows = rows_of(database, "SELECT fit_week FROM ability_hyperparameters ORDER BY week_start")
    assert [row["fit_week"] for row in rows] == [week(n).start for n in (0, 3, 3)]


def test_rare_items_without_any_calibration_give_everybody_an_ability(database: Engine) -> None:
    rare = simulate(TRUTH, seed=302, n_students=60, n_items=6000, weeks=4)
    store_cohort(database, rare)
    computed(database, 3)
    scored(database, 3)
    rows = rows_of(database, "SELECT theta, se, method, run_id, model FROM mirt_ability")
    assert len(rows) == len(np.unique(rare.answers.student))
    assert {(row["method"], row["run_id"], row["model"]) for row in rows} == {("dynamic", None, "Rasch")}
    assert rows_of(database, "SELECT count(*) AS n FROM student_topic_theta WHERE method = 'dynamic'")[0]["n"] > 200
    level = np.array([states(database, 3)[f"u{code:04}"]["level"] for code in np.unique(rare.answers.student)])
    assert np.corrcoef(level, rare.level[np.unique(rare.answers.student), -1])[0, 1] > 0.7


def test_the_setting_decides_which_ability_is_published(database: Engine, cohort: Cohort) -> None:
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    computed(database, 7)
    scored(database, 7)
    query = "SELECT user_id, theta, se, method, answered_at FROM mirt_ability"
    dynamic = {row["user_id"]: row for row in rows_of(database, query)}
    found = states(database, 7)
    assert {user: (row["theta"], row["se"], row["answered_at"]) for user, row in dynamic.items()} == {
        user: (row["level"], row["se"], row["answered_at"]) for user, row in found.items()
    }
    scored(database, 7, STATIC)
    static = {row["user_id"]: row for row in rows_of(database, query)}
    assert {row["method"] for row in static.values()} == {"EAP"}
    assert rows_of(database, "SELECT DISTINCT method FROM student_topic_theta") == [{"method": "EAP"}]
    newest = rows_of(database, "SELECT user_id, max(completed_at) AS at FROM attempt WHERE answer_no = 1 GROUP BY 1")
    first_answers = {row["user_id"]: row["at"] for row in newest}
    assert {user: row["answered_at"] for user, row in static.items()} == {user: first_answers[user] for user in static}
    assert rows_of(database, "SELECT 1 FROM student_topic_theta WHERE answered_at IS NULL") == []
    shared = sorted(set(static) & set(dynamic))
    assert np.corrcoef([static[u]["theta"] for u in shared], [dynamic[u]["theta"] for u in shared])[0, 1] > 0.9


def test_students_who_left_long_ago_have_no_state(database: Engine, cohort: Cohort) -> None:
    gone = cohort.answers.student < 10
    store_cohort(database, cohort, chosen=~gone | (cohort.answers.day < 7))
    settings = SETTINGS.model_copy(update={"kpis": KpiSettings(users_since_days=30)})
    computed(database, 7, settings)
    assert {user for user in states(database, 7) if int(user[1:]) < 10} == set()


def test_few_answers_leave_the_abilities_of_the_look_back(database: Engine, cohort: Cohort) -> None:
    store_cohort(database, cohort, chosen=(cohort.answers.student < 5) & (cohort.answers.day < 7))
    store_calibration(database, week(0), cohort.difficulty)
    outcomes = computed(database, 0)
    found = check(outcomes, "hyperparameters_usable")
    assert not found.is_passed
    assert "fewer than 500" in found.description
    scored(database, 0)
    assert rows_of(database, "SELECT DISTINCT method FROM mirt_ability") == [{"method": "EAP"}]


def test_items_with_a_lower_asymptote_are_scored_by_the_look_back(database: Engine, cohort: Cohort) -> None:
    store_cohort(database, cohort)
    store_calibration(database, week(0), cohort.difficulty)
    execute(database, "UPDATE mirt_item_params_history SET c = 0.2")
    computed(database, 7)
    assert states(database, 7) == {}
    scored(database, 7)
    assert rows_of(database, "SELECT DISTINCT method FROM mirt_ability") == [{"method": "EAP"}]
