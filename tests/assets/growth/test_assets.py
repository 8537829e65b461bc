"""Growth in the graph: both fits, what they store, how they feed P, and what happens where they cannot be made."""

import dataclasses
import datetime as dt
import json
import logging
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.backtest.assets import verdicts
from seedtest_analytics.assets.growth.assets import bayesian_growth, glmm_growth, growth_percentiles
from seedtest_analytics.assets.growth.bayesian import fit as growth_fit
from seedtest_analytics.assets.growth.bayesian.draws import stored_fit
from seedtest_analytics.assets.growth.bayesian.fit import fit_growth
from seedtest_analytics.assets.growth.bayesian.goals import MAX_HORIZON_WEEKS, Goals, load_goals
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores, load_scores
from seedtest_analytics.assets.kpis import goal
from seedtest_analytics.assets.kpis.assets import weekly_kpi_p
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.schedules import chain, jobs
from seedtest_analytics.settings import GrowthSettings, KpiSettings, Settings
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, SamplerRun
from seedtest_analytics.stats.growth.priors import GrowthPriors
from tests._database import execute, rows_of, snapshot
from tests.assets._growth import (
    FIRST_MONDAY,
    LAST_WEEK,
    store_answers,
    store_calibration,
    store_cohort,
    store_goal,
    week_of,
)
from tests.assets._growth_runs import LAPLACE, STAN, TABLES, checks_of, fit, fit_glmm, materialise, samplers, store_fit
from tests.assets._week_runs import LOG, week_run


def kpis_of(engine: Engine) -> dict[str, dict[str, Any]]:
    rows = rows_of(engine, "SELECT user_id, kpis FROM weekly_kpi WHERE week_start = :w", w=LAST_WEEK)
    return {row["user_id"]: row["kpis"] for row in rows}


def test_a_stan_fit_is_stored_in_the_contracts_shapes_and_feeds_p(database: Engine) -> None:
    truth = store_cohort(database)
    store_goal(database, truth.users[0], "algebra", -9.0, target_date=dt.date(2026, 3, 30))
    store_goal(database, truth.users[1], "algebra", 9.0)
    execute(
        database,
        'INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:u, :w, \'{"S": 0.25, "sigma": 9}\'), '
        "(:u, '2026-03-02', '{\"P\": 0.125}')",
        {"u": truth.users[0], "w": LAST_WEEK},
    )
    result, log = materialise(
        database, [bayesian_growth, weekly_kpi_p], weekly_kpi_P={"use_bayesian": True, "default_target": 0.5}
    )
    assert result.success
    assert all(check.passed for check in checks_of(result).values())

    (meta,) = rows_of(database, "SELECT * FROM growth_brms_meta")
    summary, diagnostics = meta["posterior_summary"], meta["diagnostics"]
    for name in ("intercept", "week", "sigma"):
        assert set(summary[name]) >= {"mean", "sd", "q2.5", "q97.5"}
    assert diagnostics["rhat"]["max"] <= 1.01
    assert diagnostics["ess_bulk"]["min"] >= 400
    assert diagnostics["ess_tail"]["min"] >= 400
    assert diagnostics["divergences"] == 0
    assert meta["priors"]["intercept"] == {"dist": "normal", "mean": 0, "sd": 1}
    assert meta["priors"]["week"] == {"dist": "normal", "mean": 0, "sd": 0.5}
    assert meta["priors"]["sd"] == {"dist": "cauchy", "location": 0, "scale": 1}
    assert meta["model_spec"]["method"] == "stan"
    assert meta["model_spec"]["score_unit"] == "logit"
    assert meta["run_id"].startswith("brms-2026-W09-")
    # The population's gain is estimated within four of its own SDs.
    assert abs(summary["week"]["mean"] - truth.gain.mean()) < 4 * summary["week"]["sd"]
    # What operators run by hand.
    query = (
        "SELECT run_id, fitted_at, posterior_summary->'week' AS week FROM growth_brms_meta "
        "ORDER BY fitted_at DESC LIMIT 1"
    )
    assert rows_of(database, query)[0]["week"] == summary["week"]
    query = (
        "SELECT user_id, kpis->>'P' AS p, kpis->>'sigma' AS s FROM weekly_kpi WHERE week_start = :w "
        "AND kpis ? 'P' AND (kpis->>'P')::float > 0.5"
    )
    likely = rows_of(database, query, w=LAST_WEEK)
    assert 0 < len(likely) < 60
    assert all(float(row["s"]) > 0 for row in likely)

    predictions = {r["user_id"]: r for r in rows_of(database, "SELECT * FROM growth_prediction")}
    stored = kpis_of(database)
    assert len(predictions) == len(stored) == 60
    for user, row in predictions.items():
        keys = stored[user]
        assert (keys["P"], keys["sigma"]) == pytest.approx((row["p"], row["sigma"]))
        # Nothing is known yet about what became of earlier predictions: the limits of the model are not taken at their word.
        assert keys["P_verdict"] == "too_early"
        assert keys["P_lower"] <= keys["P"] <= keys["P_upper"]
        assert row["p_lower"] <= row["p"] <= row["p_upper"]
        assert (keys["P_method"], keys["P_fit_run_id"]) == ("bayesian", meta["run_id"])
        assert keys["P_assumption"].startswith("practice continues")
    easy, hard, other = (stored[user] for user in truth.users[:3])
    assert easy["P"] > 0.999
    assert hard["P"] < 0.001
    assert (easy["P_horizon_date"], easy["P_horizon_source"]) == ("2026-03-30", "goal_date")
    # Four weeks after the end of the week.
    assert (hard["P_horizon_date"], hard["P_horizon_source"]) == ("2026-03-30", "configured")
    assert (easy["P_target_source"], other["P_target_source"]) == ("interest_goal", "default")
    # Keys of others stay, and no other week's row is touched.
    assert easy["S"] == 0.25
    other_week = rows_of(database, "SELECT kpis FROM weekly_kpi WHERE week_start = '2026-03-02'")
    assert other_week == [{"kpis": {"P": 0.125}}]
    assert "Stan: Chain [1] start processing" in log
    assert f"updated P and sigma for 60 users from growth fit {meta['run_id']}" in log
    # Lines are found: the projection follows the true one.
    projected = np.array([predictions[user]["projected"] for user in truth.users])
    true_level = truth.level + truth.gain * ((dt.date(2026, 3, 30) - FIRST_MONDAY).days / 7 - 0.5)
    sigma = np.array([predictions[user]["sigma"] for user in truth.users])
    z = (projected - true_level) / sigma
    assert np.corrcoef(projected, true_level)[0, 1] > 0.85
    assert 0.6 < z.std() < 1.4
    plots = [m for e in result.get_asset_materialization_events() for m in e.materialization.metadata]
    assert {"intervals", "chains", "predictive_check", "fans", "P"} <= set(plots)
    texts = [
        str(v.value) for e in result.get_asset_materialization_events() for v in e.materialization.metadata.values()
    ]
    assert not any("student 0" in text for text in texts)


def test_twice_gives_the_same_as_once_and_a_dry_run_writes_nothing(database: Engine) -> None:
    store_cohort(database)
    fit(database, STAN, dry=True)
    assert rows_of(database, "SELECT 1 FROM growth_brms_meta UNION ALL SELECT 1 FROM growth_prediction") == []
    fit(database, STAN)
    before = snapshot(database, *TABLES)
    fits, predictions = fit(database, STAN)
    assert snapshot(database, *TABLES) == before
    assert (fits.published.unchanged, predictions.published.unchanged) == (1, 60)


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ({}, False),
        ({"divergences": 1}, True),
        ({"divergences": 20}, True),
        ({"divergences": 21}, False),
        ({"divergences": 1, "treedepth_hits": 1}, False),
        ({"ebfmi": np.array([0.1, 1.0])}, False),
    ],
)
def test_only_what_more_and_smaller_steps_remedy_is_sampled_again(trouble: dict[str, Any], expected: bool) -> None:
    """Two chains of 1,000 independent draws; up to one divergence in a hundred draws is few."""
    sampler = SamplerRun(0, np.array([1.0, 1.0]), treedepth_max=3, treedepth_hits=0)
    posterior = GrowthPosterior(
        family="gaussian",
        method="stan",
        theta=np.random.default_rng(1).standard_normal((2, 1000, 6)),
        weights=None,
        priors=GrowthPriors(),
        seed=1,
        week_mean=3.0,
        last_week=7.0,
        n_students=100,
        n_scores=700,
        sampler=dataclasses.replace(sampler, **trouble),
    )
    assert growth_fit._needs_care(posterior) is expected


def test_too_few_draws_are_mended_by_a_second_more_careful_run(
    database: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 x 100 draws are never 400 effective ones; whether they are *nearly* mixed is the seed's luck, hence the patch."""
    monkeypatch.setattr(growth_fit, "NEARLY_MIXED_RHAT", 2.0)
    rng = np.random.default_rng(7)
    student, week = np.repeat(np.arange(300), 8), np.tile(np.arange(8.0), 300)
    level, gain = rng.normal(0.3, 1.0, 300)[student], rng.normal(0.03, 0.3, 300)[student]
    score = level + gain * week + rng.normal(0, 0.65, len(week))
    with database.begin() as connection:
        scores = dataclasses.replace(
            load_scores(connection, week_of(), settings=GrowthSettings(lookback_weeks=8)),
            student=student,
            week=week,
            score=score,
            weight=rng.lognormal(0, 0.4, len(week)),
        )
    # A separate logger: loading an instance's log configuration silences the named ones.
    log = logging.Logger("growth")
    log.addHandler(caplog.handler)
    heard = dataclasses.replace(samplers(), log=log)
    posterior = fit_growth(scores, GrowthSettings(n_samples=100, seed=45), samplers=heard).posterior
    assert "sampling 4 times as many in smaller steps" in caplog.text
    assert posterior.theta.shape[:2] == (2, 400)
    assert posterior.sampler is not None
    assert posterior.sampler.divergences == 0


def test_a_fit_that_falls_short_is_stored_red_not_tried_again_and_feeds_nothing(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_cohort(database, n_students=20)
    monkeypatch.setattr(growth_fit, "MORE_DRAWS", 1)
    fit(database)
    result, log = materialise(
        database,
        [bayesian_growth, weekly_kpi_p],
        bayesian_growth={"n_samples": 100, "n_chains": 1},
        weekly_kpi_P={"use_bayesian": True},
    )
    assert not result.success
    check = checks_of(result)["growth_brms_meta", "diagnostics"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "ess_bulk" in check.description
    assert not [e for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]
    (meta,) = rows_of(database, "SELECT is_usable, diagnostics FROM growth_brms_meta")
    assert meta["is_usable"] is False
    assert meta["diagnostics"]["reasons"]
    # The predictions of the usable fit that stood there are gone with it, and P was not computed from this one.
    assert rows_of(database, "SELECT 1 FROM growth_prediction") == []
    assert rows_of(database, "SELECT 1 FROM weekly_kpi") == []
    assert "is not usable" in log


def computed_p(
    engine: Engine, growth: GrowthSettings, caplog: pytest.LogCaptureFixture, *, week: Week | None = None, **kpis: Any
) -> dict[str, dict[str, Any]]:
    """Keys that the stage of P gives the students kim (in the fit) and lee (not in it)."""
    settings = Settings(kpis=KpiSettings(**{"use_bayesian": True, **kpis}), growth=growth)
    with week_run(engine, week or week_of(), settings=settings, is_dry_run=True) as run:
        connection = run.connection
        connection.exec_driver_sql("CREATE TEMP TABLE population ON COMMIT DROP AS VALUES ('kim'), ('lee')")
        connection.exec_driver_sql("ALTER TABLE population RENAME column1 TO user_id")
        with caplog.at_level(logging.INFO, LOG.name):
            goal.stage_goal_probability(run)
        rows = connection.exec_driver_sql("SELECT user_id, kpis FROM staged_kpi").all()
    return {user: keys for user, keys in rows}


@pytest.fixture
def abilities(database: Engine) -> Engine:
    execute(
        database,
        "INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, week_start, n_answers) VALUES "
        "('kim', 0.5, 0.5, 'v', :at, :w, 9), ('lee', 0.5, 0.5, 'v', :at, :w, 9)",
        {"at": week_of().as_of, "w": LAST_WEEK},
    )
    return database


NORMAL = 0.8413447460685429  # 1 - Phi((0 - 0.5) / 0.5)


@pytest.mark.parametrize(("use_bayesian", "update_kpi"), [(True, False), (False, True)])
def test_either_of_the_two_legacy_settings_asks_for_the_posterior(
    abilities: Engine, caplog: pytest.LogCaptureFixture, use_bayesian: bool, update_kpi: bool
) -> None:
    store_fit(abilities, LAST_WEEK)
    keys = computed_p(abilities, GrowthSettings(update_kpi=update_kpi), caplog, use_bayesian=use_bayesian)["kim"]
    assert (keys["P"], keys["P_method"]) == (0.9, "bayesian")


def test_p_is_normal_unless_asked_for(abilities: Engine, caplog: pytest.LogCaptureFixture) -> None:
    store_fit(abilities, LAST_WEEK)
    keys = computed_p(abilities, GrowthSettings(update_kpi=False), caplog, use_bayesian=False)["kim"]
    assert keys["P"] == pytest.approx(NORMAL)
    assert keys["P_method"] == "normal"
    assert "P_method_reason" not in keys
    assert "fallback" not in caplog.text


def test_p_by_the_weeks_own_fit_and_normal_for_who_is_not_in_it(
    abilities: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = store_fit(abilities, LAST_WEEK)
    keys = computed_p(abilities, GrowthSettings(), caplog)
    assert (keys["kim"]["P"], keys["kim"]["P_fit_run_id"]) == (0.9, run_id)
    assert keys["kim"]["theta"] == 0.5
    assert "P_fit_note" not in keys["kim"]
    assert keys["lee"]["P"] == pytest.approx(NORMAL)
    assert keys["lee"]["P_method_reason"] == "no score in the look-back of the growth fit"
    assert "updated P and sigma for 1 users" in caplog.text
    assert "fallback to the Normal approximation of P for 1 users" in caplog.text


def test_after_a_bad_fit_the_last_good_one_is_used_and_says_so(
    abilities: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store_fit(abilities, LAST_WEEK, is_usable=False)
    store_fit(abilities, dt.date(2026, 2, 16), is_usable=False)
    run_id = store_fit(abilities, dt.date(2026, 2, 9), p=0.7)
    keys = computed_p(abilities, GrowthSettings(), caplog)["kim"]
    assert (keys["P"], keys["P_fit_run_id"], keys["P_fit_week"]) == (0.7, run_id, "2026-02-09")
    assert "R-hat 2 above 1.01" in keys["P_fit_note"]
    assert "the last good one, of 2026-02-09, is used" in keys["P_fit_note"]
    assert keys["P_fit_note"] in caplog.text


@pytest.mark.parametrize(
    ("fits", "growth", "reason"),
    [
        ([], {}, "there is no growth fit"),
        ([("2026-02-23", False)], {}, "fell short"),
        # Too old to stand in.
        ([("2026-02-23", False), ("2026-02-09", True)], {"lookback_weeks": 1}, "fell short"),
    ],
)
def test_p_falls_back_to_normal_with_its_reason(
    abilities: Engine, caplog: pytest.LogCaptureFixture, fits: Any, growth: Any, reason: str
) -> None:
    for week, is_usable in fits:
        store_fit(abilities, dt.date.fromisoformat(week), is_usable)
    keys = computed_p(abilities, GrowthSettings(**growth), caplog)["kim"]
    assert keys["P"] == pytest.approx(NORMAL)
    assert keys["P_method"] == "normal"
    assert reason in keys["P_method_reason"]
    assert "fallback to the Normal approximation of P for 2 users" in caplog.text


def test_a_week_without_a_fit_takes_the_newest_one_and_says_so(
    abilities: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store_fit(abilities, dt.date(2026, 2, 16), p=0.7)
    keys = computed_p(abilities, GrowthSettings(), caplog)["kim"]
    assert (keys["P"], keys["P_fit_week"]) == (0.7, "2026-02-16")
    assert keys["P_fit_note"] == "the week has no growth fit; the last good one, of 2026-02-16, is used"


def test_the_running_week_has_the_fit_of_the_week_before_without_a_note(
    abilities: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Between the closed and the running week P moves by new answers only."""
    run_id = store_fit(abilities, LAST_WEEK)
    wednesday = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    running = Week(LAST_WEEK + dt.timedelta(7), wednesday, timezone="UTC")
    keys = computed_p(abilities, GrowthSettings(), caplog, week=running)["kim"]
    assert (keys["P"], keys["P_fit_run_id"]) == (0.9, run_id)
    assert "P_fit_note" not in keys


@pytest.mark.parametrize("horizon_date", [dt.date(2026, 2, 16), dt.date(2026, 3, 1)])
def test_a_stand_in_fit_gives_no_p_for_a_day_that_has_passed(
    abilities: Engine, caplog: pytest.LogCaptureFixture, horizon_date: dt.date
) -> None:
    """Within the look-back of eight weeks, but it looked four weeks ahead: before the as-of day, 2026-03-02."""
    store_fit(abilities, LAST_WEEK, is_usable=False)
    store_fit(abilities, dt.date(2026, 1, 12), p=0.7, horizon_date=horizon_date)
    keys = computed_p(abilities, GrowthSettings(), caplog)
    assert keys["kim"]["P"] == pytest.approx(NORMAL)
    assert keys["kim"]["P_method"] == "normal"
    assert "R-hat 2 above 1.01" in keys["kim"]["P_method_reason"]
    assert "of 2026-01-12, is about a day that has passed" in keys["kim"]["P_method_reason"]
    assert "P_horizon_date" not in keys["kim"]
    assert keys["lee"]["P_method_reason"] == "no score in the look-back of the growth fit"
    for user in ("kim", "lee"):
        said = f"Normal approximation of P for 1 users: {keys[user]['P_method_reason']}"
        assert said in caplog.text


@pytest.mark.parametrize("fitted", [LAST_WEEK, dt.date(2026, 2, 2)])
def test_p_of_a_day_that_is_the_as_of_day_comes_from_the_fit(
    abilities: Engine, caplog: pytest.LogCaptureFixture, fitted: dt.date
) -> None:
    """Nothing of the as-of day is seen yet, and a goal of that day still counts."""
    store_fit(abilities, LAST_WEEK, is_usable=fitted == LAST_WEEK, horizon_date=dt.date(2026, 3, 2))
    if fitted != LAST_WEEK:
        store_fit(abilities, fitted, horizon_date=dt.date(2026, 3, 2))
    keys = computed_p(abilities, GrowthSettings(), caplog)["kim"]
    assert (keys["P_method"], keys["P"], keys["P_horizon_date"]) == ("bayesian", 0.9, "2026-03-02")


def goals_of(engine: Engine, users: list[str], horizon_weeks: int = 4, source: str = "theta") -> Goals:
    none = np.zeros(0)
    scores = WeeklyScores(
        np.array(users, dtype=object),
        none,
        week=none,
        score=none,
        weight=none,
        answered=none,
        right=none,
        first_monday=FIRST_MONDAY,
        source=source,
        scale=None,
        item_answers=(none, none),
    )
    with engine.begin() as connection:
        return load_goals(
            connection,
            week_of(),
            scores=scores,
            students=np.arange(len(users)),
            default_target=0.25,
            horizon_weeks=horizon_weeks,
        )


def test_goals_are_combined_by_priority_and_the_nearest_day_counts(database: Engine) -> None:
    day = dt.date(2026, 4, 6)
    store_goal(database, "two", "a", 1.0, priority=30, target_date=day)
    store_goal(database, "two", "b", 2.0, priority=10, target_date=day + dt.timedelta(days=70))
    store_goal(database, "equal", "a", 1.0)
    store_goal(database, "equal", "b", 2.0)
    store_goal(database, "negative", "a", 1.0, priority=-5)
    store_goal(database, "negative", "b", 3.0, priority=5)
    store_goal(database, "passed", "a", 3.0, target_date=dt.date(2026, 3, 1))
    store_goal(database, "later", "a", 3.0, created_at=week_of().as_of)
    store_goal(database, "far", "a", 1.0, target_date="infinity")
    store_goal(database, "007", "a", 1.5)
    execute(database, "INSERT INTO interest_goal (user_id, topic_id, target_level) VALUES ('nan', 'a', 'NaN')")
    users = ["two", "equal", "negative", "passed", "later", "far", "007", "7", "nan"]
    goals = goals_of(database, users)
    assert goals.level.tolist() == [1.25, 1.5, 3.0, 0.25, 0.25, 1.0, 1.5, 0.25, 0.25]
    assert goals.is_own.tolist() == [True, True, True, False, False, True, True, False, False]
    assert goals.horizon_source.tolist()[:2] == ["goal_date", "configured"]
    assert goals.horizon_source.tolist()[5] == "goal_date_capped"
    as_of = np.datetime64("2026-03-02")
    assert goals.horizon_date[0] == np.datetime64(day)
    assert goals.horizon_date[1] == as_of + 28
    assert goals.horizon_date[5] == as_of + 7 * MAX_HORIZON_WEEKS
    # A week's score stands for its middle: the day after week 0 is week 0.5.
    assert goals.week[0] == pytest.approx(13 - 0.5)
    assert goals.as_of_week == pytest.approx(8 - 0.5)


def test_the_furthest_horizon_is_that_of_goals_and_is_predicted(database: Engine) -> None:
    store_cohort(database, n_students=40)
    assert GrowthSettings(goal_horizon_weeks=MAX_HORIZON_WEEKS).goal_horizon_weeks == MAX_HORIZON_WEEKS
    with pytest.raises(ValueError, match="less than or equal to 104"):
        GrowthSettings(goal_horizon_weeks=MAX_HORIZON_WEEKS + 1)
    fit(database, LAPLACE.overridden_by({"goal_horizon_weeks": MAX_HORIZON_WEEKS}))
    days = rows_of(database, "SELECT DISTINCT horizon_date FROM growth_prediction")
    assert days == [{"horizon_date": week_of().as_of.date() + dt.timedelta(weeks=MAX_HORIZON_WEEKS)}]


def test_a_silent_student_stays_until_the_week_and_grows_from_there(database: Engine) -> None:
    """Silent from week 3 on, as of the end of week 7; growth goes on for two weeks, and for the four weeks ahead."""
    truth = store_cohort(database)
    silent, other = truth.users[2], truth.users[3]
    execute(
        database,
        "DELETE FROM attempt_log WHERE user_id = :user AND completed_at >= '2026-01-26' AND completed_at < '2026-03-02'",
        {"user": silent},
    )
    fit(database)
    rows = {row["user_id"]: row for row in rows_of(database, "SELECT * FROM growth_prediction")}
    last = "SELECT user_id, (max(completed_at)::date - CAST(:first AS date)) / 7 AS week FROM attempt GROUP BY user_id"
    weeks = {row["user_id"]: row["week"] for row in rows_of(database, last, first=FIRST_MONDAY)}
    assert weeks[silent] <= 2
    assert weeks[other] >= 6
    expected = {silent: weeks[silent] + 2.0 + 4.0, other: 7.5 + 4.0}
    for user, week in expected.items():
        row = rows[user]
        assert row["projected"] == pytest.approx(row["intercept_mean"] + week * row["slope_mean"])
    assert rows[silent]["sigma"] > rows[other]["sigma"]


def test_the_score_of_a_week_has_the_pull_of_the_prior_taken_out(database: Engine) -> None:
    """500 students of ability 1.5 with six answers a week: EAPs lie near 1, the scores about 1.5 (seed 11)."""
    rng = np.random.default_rng(11)
    difficulty = rng.normal(0, 1, 6)
    store_calibration(database, difficulty)
    n = 500
    chance = 1 / (1 + np.exp(-(1.5 - np.tile(difficulty, n))))
    at = dt.datetime(2026, 2, 24, tzinfo=dt.UTC)
    answers = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{k}" for k in range(n)], 6),
            "item_id": np.tile(np.arange(1, 7), n),
            "correct": rng.random(6 * n) < chance,
            "completed_at": at,
            "topic_id": "t",
        }
    )
    store_answers(database, answers)
    with database.begin() as connection:
        scores = load_scores(connection, week_of(), settings=GrowthSettings(lookback_weeks=1))
    mean = np.average(scores.score, weights=scores.weight)
    error = np.sqrt(np.average((scores.score - mean) ** 2, weights=scores.weight) / n)
    assert len(scores.score) + scores.set_aside == n
    assert abs(mean - 1.5) < 0.15 + 4 * error
    assert mean > 1.3
    assert scores.weight.mean() == pytest.approx(1)


@pytest.mark.parametrize("source", ["theta", "accuracy"])
def test_the_lookback_is_whole_calendar_weeks_of_the_platforms_zone(database: Engine, source: str) -> None:
    """Answers one microsecond outside are not seen; a week without answers leaves a gap."""
    store_calibration(database, np.zeros(9))
    zone = "Asia/Seoul"
    seoul = dt.timezone(dt.timedelta(hours=9))
    first = dt.datetime(2026, 1, 5, tzinfo=seoul)
    end = first + dt.timedelta(weeks=8)
    tick = dt.timedelta(microseconds=1)
    times = [first - tick, first, first + dt.timedelta(days=7), end - tick, end]
    answers = pd.DataFrame(
        {"user_id": "u", "item_id": range(1, 6), "correct": True, "completed_at": times, "topic_id": "t"}
    )
    # The same item again: not a first answer, so not evidence of ability, but still an answer.
    repeat = answers.iloc[[1]].assign(completed_at=first + dt.timedelta(days=21))
    store_answers(database, pd.concat([answers, repeat]))
    settings = GrowthSettings(lookback_weeks=8, score_source=source)
    with database.begin() as connection:
        scores = load_scores(connection, week_of(zone=zone), settings=settings)
    expected = [0, 1, 7] if source == "theta" else [0, 1, 3, 7]
    assert sorted(scores.week.tolist()) == expected
    assert scores.first_monday == FIRST_MONDAY


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_accuracy_is_weighed_by_its_answers_and_targets_become_shares(database: Engine, family: str) -> None:
    truth = store_cohort(database, n_students=40)
    store_goal(database, truth.users[0], "a", -6.0)
    store_goal(database, truth.users[1], "a", 6.0)
    settings = GrowthSettings(backend="laplace", score_source="accuracy", family=family, n_samples=2000)
    fits, _ = fit(database, settings)
    (meta,) = rows_of(database, "SELECT is_usable, model_spec, diagnostics FROM growth_brms_meta")
    assert meta["model_spec"]["score_unit"] == "share right"
    assert meta["model_spec"]["family"] == family
    rows = {r["user_id"]: r for r in rows_of(database, "SELECT * FROM growth_prediction")}
    if not meta["is_usable"]:
        assert not fits.checks[1].is_passed
        assert rows == {}
        pytest.fail(f"the seeded cohort has a usable fit: {meta['diagnostics']['reasons']}")
    assert rows[truth.users[0]]["target"] < 0.05
    assert rows[truth.users[1]]["target"] > 0.95
    assert rows[truth.users[0]]["p"] > 0.9 > 0.1 > rows[truth.users[1]]["p"]
    # An ability of 0.5 is a bit more than half of these items.
    assert 0.5 < rows[truth.users[2]]["target"] < 0.75


def test_the_draws_are_stored_for_predictions_on_demand(database: Engine) -> None:
    store_cohort(database)
    fit(database, STAN)
    with database.connect() as connection:
        stored = stored_fit(connection)
        scores = load_scores(connection, week_of(), settings=GrowthSettings(lookback_weeks=8))
    fresh = fit_growth(scores, STAN, samplers=samplers()).posterior
    for name, summary in fresh.summary().items():
        again = stored.posterior.summary()[name]
        assert again["mean"] == pytest.approx(summary["mean"], abs=0.25 * summary["sd"])
        assert again["sd"] == pytest.approx(summary["sd"], rel=0.25)
    assert stored.posterior.verdict.usable


@pytest.mark.r
def test_the_mixed_model_is_stored_and_slopes_are_merged_on_request(database: Engine) -> None:
    truth = store_cohort(database)
    quiet = pd.DataFrame(
        {"user_id": "quiet", "item_id": [1], "correct": True, "completed_at": week_of().as_of, "topic_id": "t"}
    ).assign(completed_at=lambda f: f["completed_at"] - dt.timedelta(days=1))
    execute(database, "UPDATE attempt_log SET id = id + 1000000")
    store_answers(database, quiet)
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:u, :w, '{\"S\": 0.25}'), "
        "(:u, '2026-02-16', '{\"P\": 0.125}')",
        {"u": truth.users[0], "w": LAST_WEEK},
    )
    result, _ = materialise(database, [glmm_growth])
    assert result.success
    assert checks_of(result)["growth_glmm_meta", "fitted"].passed
    assert checks_of(result)["growth_glmm_meta", "predicts"].passed
    (meta,) = rows_of(database, "SELECT * FROM growth_glmm_meta")
    spec, metrics = meta["model_spec"], meta["metrics"]
    assert spec["formula"] == "score ~ week + (week | student) + (1 | topic)"
    assert (spec["family"], spec["lookback_weeks"], spec["students_left_out"]) == ("gaussian", 12, 1)
    counted = rows_of(
        database,
        "SELECT count(*) AS n FROM (SELECT DISTINCT user_id, topic_id, date_trunc('week', completed_at) FROM attempt "
        "WHERE user_id <> 'quiet') AS d",
    )
    assert spec["rows_count"] == counted[0]["n"]
    assert {"logLik", "AIC", "BIC", "RMSE", "held_out", "singular", "converged", "messages"} <= set(metrics)
    assert metrics["RMSE"] < metrics["held_out"]["RMSE"] < metrics["held_out"]["RMSE_of_mean"]
    gain = metrics["fixed_effects"]["week"]
    assert gain["estimate"] > 2 * gain["se"]
    effects = metrics["random_effects"]
    topics = rows_of(database, "SELECT DISTINCT topic_id FROM attempt WHERE user_id <> 'quiet'")
    assert set(effects["topic"]["effects"]) == {row["topic_id"] for row in topics}
    assert all(e["(Intercept)"]["sd"] >= 0 for e in effects["topic"]["effects"].values())
    assert effects["student"]["levels"] == len(truth.users)
    assert set(effects["student"]["terms"]) == {"(Intercept)", "week"}
    assert "effects" not in effects["student"]
    # Nothing of it in weekly_kpi unless asked for.
    assert rows_of(database, "SELECT 1 FROM weekly_kpi WHERE kpis ? 'growth_slope'") == []

    fit_glmm(database, update_kpi=True)
    slopes = kpis_of(database)
    assert slopes[truth.users[0]]["S"] == 0.25
    known = np.array([slopes[user]["growth_slope"] for user in truth.users])
    assert np.corrcoef(known, truth.gain)[0, 1] > 0.3
    assert slopes["quiet"]["growth_slope"] is None
    assert "too few answers" in slopes["quiet"]["growth_slope_reason"]
    (other,) = rows_of(database, "SELECT kpis FROM weekly_kpi WHERE week_start = '2026-02-16'")
    assert other["kpis"] == {"P": 0.125}
    before = snapshot(database, *TABLES)
    fit_glmm(database, update_kpi=True)
    assert snapshot(database, *TABLES) == before


def test_on_mondays_the_models_run_after_what_they_read_and_before_the_report() -> None:
    links = {link.name: link for link in chain.LINKS}
    crons = {"fit_growth_glmm": "30 3 * * 1", "fit_bayesian_growth": "30 4 * * 1"}
    assert {name: links[name].cron for name in crons} == crons
    # The report reads P, which a fit that falls short leaves to the refresh after it.
    assert links["refresh_goal_probability"] in links["generate_weekly_report"].after
    assert links["refresh_goal_probability"].after == (links["fit_bayesian_growth"],)
    assert links["fit_bayesian_growth"].after == (links["compute_daily_kpis"],)
    monday = dt.date(2026, 3, 2)
    for name in (*crons, "refresh_goal_probability"):
        assert links[name].partitions(monday, monday) == (LAST_WEEK, LAST_WEEK)
        minute, hour = links[name].cron.split()[:2]
        assert (int(hour), int(minute)) < (6, 0)
    selected = jobs.fit_bayesian_growth.selection.resolve([bayesian_growth, growth_percentiles, weekly_kpi_p, verdicts])
    assert dg.AssetKey(["weekly_kpi", "P"]) in selected


def test_the_stored_json_is_json(database: Engine) -> None:
    """No NaN or infinity reaches the database, also from a fit that falls short."""
    store_cohort(database, n_students=3, n_weeks=3, answers_a_week=2)
    fit(database)
    for row in rows_of(database, "SELECT posterior_summary, diagnostics, model_spec, draws FROM growth_brms_meta"):
        json.dumps(row, allow_nan=False)
    assert statement("growth/goals.sql", "stage") is not None
