"""P of a student without a new answer stays but for the time to the goal; the check sees every other move."""

import datetime as dt
import json
from typing import Any

import pytest
from scipy.special import ndtr
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.kpis.silence import silent_p
from seedtest_analytics.partitions import week_at
from seedtest_analytics.settings import PlatformSettings
from tests._database import execute
from tests.assets._week_runs import week_run

WEEK = dt.date(2026, 3, 2)
BEFORE = WEEK - dt.timedelta(days=7)
STUDENTS = 40
GOAL_DAY = dt.date(2026, 4, 27)


def store(engine: Engine, week: dt.date, *, score: float, sd: float = 0.6, **keys: Any) -> None:
    """The same P for everyone, of a goal at 0 on a fixed day."""
    kpis = {
        "P": float(ndtr(score / sd)),
        "sigma": sd,
        "P_method": "bayesian",
        "P_target": 0.0,
        "P_score_unit": "logit",
        "P_fit_run_id": f"brms-{week}",
        "P_horizon_date": GOAL_DAY.isoformat(),
        "P_horizon_source": "goal_date",
        "theta_answered_at": "2026-02-10T09:00:00+00:00",
        **keys,
    }
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) SELECT 'u' || i, :week, CAST(:kpis AS jsonb) "
        "FROM generate_series(1, :n) AS i",
        {"week": week, "kpis": json.dumps(kpis), "n": STUDENTS},
    )


def store_pace(engine: Engine, pace: float) -> None:
    """The pace is that of the fit; nothing else of its predictions is read."""
    execute(
        engine,
        "INSERT INTO growth_prediction (user_id, week_start, run_id, slope_mean, intercept_mean, intercept_sd, slope_sd, "
        "projected, projected_lower, projected_upper, sigma, p, p_lower, p_upper, target, target_level, target_source, "
        "horizon_date, horizon_source, n_weeks, n_answers) "
        "SELECT 'u' || i, :week, 'brms-' || :week, :pace, 0, 1, 1, 0, 0, 0, 1, 0.5, 0, 1, 0, 0, 'interest_goal', :goal, "
        "'goal_date', 5, 50 FROM generate_series(1, :n) AS i",
        {"week": WEEK, "pace": pace, "goal": GOAL_DAY, "n": STUDENTS},
    )


def checked(engine: Engine) -> CheckOutcome:
    seen = week_at(WEEK, dt.datetime(2026, 5, 1, tzinfo=dt.UTC), platform=PlatformSettings())
    with week_run(engine, seen) as run:
        return silent_p(run)


def test_a_week_less_to_the_goal_costs_a_week_of_the_pace(database: Engine) -> None:
    """P falls from 0.75 to 0.50 in silence, because a student who gains 0.4 a week has a week less."""
    store(database, BEFORE, score=0.4)
    store(database, WEEK, score=0.0)
    store_pace(database, 0.4)
    found = checked(database)
    assert found.is_passed
    assert found.metadata == {"silent": STUDENTS, "moved": 0, "largest_move": pytest.approx(0.0, abs=1e-9)}


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({}, False),
        ({"score": 1.2}, True),
        ({"score": -0.2}, True),
        ({"sd": 0.9}, False),
        ({"score": 0.35, "sd": 0.2, "P_horizon_date": "2026-05-04"}, True),
        ({"score": 1.2, "theta_answered_at": "2026-03-03T09:00:00+00:00"}, None),
        ({"score": 1.2, "P_target": 0.5}, None),
        ({"score": 1.2, "P_method": "normal"}, None),
        ({"score": 1.2, "P_model": float(ndtr(0.4 / 0.6)), "sigma_model": 0.6, "P_verdict": "recalibrated"}, False),
    ],
)
def test_a_p_that_moves_without_a_cause_is_seen(database: Engine, change: dict[str, Any], moves: bool | None) -> None:
    """None: the student answered, or the number is another one, so nobody is compared."""
    store(database, BEFORE, score=0.4)
    store(database, WEEK, **{"score": 0.4, **change})
    store_pace(database, 0.0)
    found = checked(database)
    assert found.is_passed == (not moves)
    assert found.metadata.get("moved") == {True: STUDENTS, False: 0, None: None}[moves]


@pytest.mark.parametrize(("score", "is_moved"), [(0.4, False), (0.0, True)])
def test_a_p_of_the_same_fit_moves_with_the_week_if_the_fit_can_be_moved(
    database: Engine, score: float, is_moved: bool
) -> None:
    """P of a silent student has the fit of the last score. A fit without sums says the same number at any pace."""
    store(database, BEFORE, score=0.4)
    store(database, WEEK, score=score, P_fit_run_id=f"brms-{BEFORE}")
    store_pace(database, 0.4)
    execute(
        database,
        "UPDATE growth_prediction SET run_id = :fit, week_start = :week, sum_weight = :sum",
        {"fit": f"brms-{BEFORE}", "week": BEFORE, "sum": 3.0 if is_moved else None},
    )
    assert checked(database).metadata["moved"] == 0


def test_one_student_of_a_few_is_chance_and_more_than_one_in_twenty_is_not(database: Engine) -> None:
    store(database, BEFORE, score=0.4)
    store(database, WEEK, score=0.4)
    for n, is_passed in ((1, True), (2, True), (3, False)):
        execute(
            database,
            "UPDATE weekly_kpi SET kpis = kpis || '{\"P\": 0.1}' WHERE week_start = :week AND user_id = :user",
            {"week": WEEK, "user": f"u{n}"},
        )
        assert checked(database).is_passed == is_passed
