"""P of a week that has no fit of its own: the newest fit's posterior as of that week."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.shards import WHOLE
from seedtest_analytics.assets.growth.bayesian.fit import fit_growth
from seedtest_analytics.assets.growth.bayesian.goals import week_numbers
from seedtest_analytics.assets.growth.bayesian.scores import load_scores
from seedtest_analytics.assets.kpis import goal
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import GrowthSettings, KpiSettings, Settings
from seedtest_analytics.stats.growth.prediction import GROWTH_WEEKS
from tests._database import execute, rows_of
from tests.assets._growth import FIRST_MONDAY, LAST_WEEK, store_answers, store_cohort, store_goal, week_of
from tests.assets._growth_runs import LAPLACE, fit, samplers
from tests.assets._week_runs import week_run
from tests.stats.growth.support import predict_students

TARGET = 0.5
GOAL_DAY = dt.date(2026, 5, 4)
AS_OF = (dt.date(2026, 3, 4), dt.date(2026, 3, 23), dt.date(2026, 4, 13))
"""The Wednesday after the fit, three weeks after it, and six."""


def at(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def p_as_of(engine: Engine, day: dt.date) -> dict[str, dict[str, Any]]:
    """Keys of P of the week that runs at the start of the day."""
    monday = day - dt.timedelta(days=day.weekday())
    settings = Settings(kpis=KpiSettings(default_target=TARGET), growth=GrowthSettings())
    with week_run(engine, Week(monday, at(day), timezone="UTC"), settings=settings, is_dry_run=True) as run:
        run.connection.exec_driver_sql(
            "CREATE TEMP TABLE population ON COMMIT DROP AS SELECT DISTINCT user_id FROM growth_prediction"
        )
        goal.stage_goal_probability(run)
        rows = run.connection.exec_driver_sql("SELECT user_id, kpis FROM staged_kpi").all()
    return {user: keys for user, keys in rows}


@pytest.fixture
def fitted(database: Engine) -> Engine:
    """Sixty students, of whom the first has a goal with a day, and the second and third are silent from week 3 on."""
    truth = store_cohort(database)
    store_goal(database, truth.users[0], "algebra", TARGET, target_date=GOAL_DAY)
    execute(
        database,
        "DELETE FROM attempt_log WHERE user_id = ANY(:users) AND completed_at >= '2026-01-26'",
        {"users": truth.users[1:3].tolist()},
    )
    fit(database, target=TARGET)
    return database


@pytest.mark.parametrize("day", AS_OF)
def test_p_is_what_the_posterior_gives_for_the_weeks_own_horizon(fitted: Engine, day: dt.date) -> None:
    """The expected values come from the scores and a second fit to them, not from what is stored."""
    with fitted.begin() as connection:
        scores = load_scores(connection, week_of(), settings=GrowthSettings(lookback_weeks=8))
    again = fit_growth(scores, LAPLACE.overridden_by({"lookback_weeks": 8}), samplers=samplers())
    is_dated = scores.users[again.data.students] == "student 000"
    horizon = np.where(is_dated, np.datetime64(GOAL_DAY), np.datetime64(day + dt.timedelta(weeks=4)))
    expected = predict_students(
        again.posterior,
        again.data,
        goal_week=week_numbers(horizon, FIRST_MONDAY),
        goal=TARGET,
        as_of_week=float(week_numbers(np.datetime64(day), FIRST_MONDAY)),
    )
    found = p_as_of(fitted, day)
    assert len(found) == 60
    for k, user in enumerate(scores.users[expected.students]):
        keys = found[user]
        assert (keys["P_method"], keys["P_horizon_date"]) == ("bayesian", str(horizon[k]))
        numbers = [keys[name] for name in ("P", "P_lower", "P_upper", "sigma", "P_projected")]
        exact = [expected.P, expected.P_lower, expected.P_upper, expected.sigma, expected.projected]
        assert numbers == pytest.approx([float(values[k]) for values in exact], abs=1e-6), user


def test_as_of_the_fits_own_instant_nothing_moves(fitted: Engine) -> None:
    """The running week on its Monday, with the closed week's fit: P of the page does not jump."""
    stored = {row["user_id"]: row for row in rows_of(fitted, "SELECT * FROM growth_prediction")}
    for user, keys in p_as_of(fitted, LAST_WEEK + dt.timedelta(days=7)).items():
        assert [keys["P"], keys["P_projected"]] == [stored[user]["p"], stored[user]["projected"]]


def test_who_answers_after_the_fit_is_not_silent(fitted: Engine) -> None:
    """Student 002 answers a new item three weeks after the fit, student 001 a known one, which gives no score."""
    day, slope = AS_OF[2], "SELECT slope_mean FROM growth_prediction WHERE user_id = 'student 002'"
    before = p_as_of(fitted, day)
    known = rows_of(fitted, "SELECT min(item_id) AS item FROM attempt_log WHERE user_id = 'student 001'")[0]["item"]
    new = pd.DataFrame(
        {
            "user_id": ["student 002", "student 001"],
            "item_id": [90, known],
            "correct": True,
            "completed_at": at(dt.date(2026, 3, 19)),
            "topic_id": "algebra",
        }
    )
    execute(fitted, "UPDATE attempt_log SET id = id + 1000000")
    store_answers(fitted, new)
    execute(
        fitted, "UPDATE attempt_log SET answer_no = 2 WHERE user_id = 'student 001' AND completed_at > '2026-03-02'"
    )
    after = p_as_of(fitted, day)
    grown = min(10 + GROWTH_WEEKS, 13.5) - 7.5
    gained = grown * rows_of(fitted, slope)[0]["slope_mean"]
    assert after["student 002"]["P_projected"] - before["student 002"]["P_projected"] == pytest.approx(gained)
    assert after["student 001"]["P"] == before["student 001"]["P"]


SHORT = LAPLACE.overridden_by({"lookback_weeks": 4})
SEEN_BY, AFTER = dt.date(2026, 1, 19), (dt.date(2026, 2, 9), dt.date(2026, 2, 16))
"""The first fit with the last score of the silent students, one whose look-back has a single one, and one that has none."""


def test_p_of_a_silent_student_stays_with_the_fit_that_has_the_last_score(fitted: Engine) -> None:
    """The look-back of later fits slides off the scores of students 001 and 002."""
    silent, practising = "student 001", "student 003"
    execute(fitted, "TRUNCATE growth_brms_meta, growth_prediction")
    fit(fitted, SHORT, target=TARGET, monday=SEEN_BY)
    day = AFTER[1] + dt.timedelta(days=7)
    alone = p_as_of(fitted, day)
    for monday in AFTER:
        fit(fitted, SHORT, target=TARGET, monday=monday)
    found = p_as_of(fitted, day)
    same = ("P", "P_lower", "P_upper", "sigma", "P_projected", "P_fit_week")
    assert {name: found[silent][name] for name in same} == {name: alone[silent][name] for name in same}
    assert found[silent]["P_fit_note"] == f"no score since the growth fit of {SEEN_BY}, which stays"
    assert found[practising]["P_fit_week"] == str(AFTER[1])
    assert "P_fit_note" not in found[practising]


def test_a_new_goal_of_a_silent_student_has_the_newest_fit(fitted: Engine) -> None:
    execute(fitted, "TRUNCATE growth_brms_meta, growth_prediction")
    fit(fitted, SHORT, target=TARGET, monday=SEEN_BY)
    store_goal(fitted, "student 001", "algebra", 1.5)
    fit(fitted, SHORT, target=TARGET, monday=AFTER[0])
    found = p_as_of(fitted, AFTER[1])
    assert [found[f"student 00{n}"]["P_fit_week"] for n in (1, 2)] == [str(AFTER[0]), str(SEEN_BY)]
    assert found["student 001"]["P_target"] == 1.5


def test_a_fit_without_sums_stays_at_its_day(fitted: Engine) -> None:
    execute(fitted, "UPDATE growth_prediction SET sum_weight = NULL")
    found = p_as_of(fitted, AS_OF[0])["student 003"]
    assert found["P_horizon_date"] == str(LAST_WEEK + dt.timedelta(weeks=5))


@pytest.mark.parametrize("week", [dt.date(2026, 3, 9), LAST_WEEK])
def test_the_page_shows_the_projection_that_is_published_with_p(fitted: Engine, week: dt.date) -> None:
    """P, its expected score and day are of one question, with the week's own fit and with a moved one, also where past
    outcomes corrected them.
    """
    user, published = "student 003", {"P": 0.31, "sigma": 0.9, "P_projected": 0.05}
    keys = {**p_as_of(fitted, week + dt.timedelta(days=7))[user], **published}
    names = {"P": "P", "projected": "P_projected", "sigma": "sigma", "horizon_date": "P_horizon_date"}
    found = page_of(fitted, user, week=week, keys=keys)
    assert {name: found[name] for name in names} == {name: keys[key] for name, key in names.items()}


@pytest.mark.parametrize("changes", [{"P_method": "normal"}, {"P": None, "sigma": None, "P_projected": None}])
def test_a_page_has_no_projection_beside_another_p(fitted: Engine, changes: dict[str, Any]) -> None:
    """P is by the Normal formula, or withheld: of the fit the page has the pace alone."""
    user = "student 003"
    keys = {**p_as_of(fitted, LAST_WEEK + dt.timedelta(days=7))[user], **changes}
    found = page_of(fitted, user, week=LAST_WEEK, keys=keys)
    assert [found.get(name) for name in ("P", "projected", "sigma")] == [None, None, None]
    assert found["slope_per_week"] is not None


def page_of(engine: Engine, user: str, *, week: dt.date, keys: dict[str, Any]) -> dict[str, Any]:
    """The growth model in the report's document of a week with these KPIs."""
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:keys AS jsonb))",
        {"user": user, "week": week, "keys": json.dumps(keys)},
    )
    parameters = {"week_start": week, "as_of": at(week + dt.timedelta(days=7)), "timezone": "UTC"}
    everybody = {"max_users": None, "user_id": None, **WHOLE.parameters}
    with engine.begin() as connection:
        found = connection.execute(statement("reports/documents.sql"), {**parameters, **everybody})
        document: dict[str, Any] = json.loads(found.scalar_one())["bayesian_growth"]
    return document
