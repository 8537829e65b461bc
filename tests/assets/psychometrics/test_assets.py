"""Calibration and scoring in the graph: scale, link, checks, what is stored."""

import logging
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.assets import irt_calibration, irt_scoring
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.engine import item_priors, priors_for_mirt
from seedtest_analytics.assets.psychometrics.scoring.checks import judge_stability
from seedtest_analytics.assets.psychometrics.scoring.week import score_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.r.errors import RCrashedError, RPackageMissingError, RTimeoutError
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import CalibrationSettings, Settings
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import Calibration
from tests._database import execute, rows_of
from tests.assets._activity import postgres_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)
THETA = np.random.default_rng(6).normal(0.0, 1.0, 500)
SETTINGS = CalibrationSettings(lookback_days=7)


def calibrated(engine: Engine, at: Week, settings: CalibrationSettings = SETTINGS) -> list[Outcome]:
    return outcomes_of(engine, at, compute=calibrate_week, settings=Settings(calibration=settings), is_dry_run=False)


def scored(engine: Engine, at: Week) -> list[Outcome]:
    return outcomes_of(engine, at, compute=score_week, settings=Settings(calibration=SETTINGS), is_dry_run=False)


def constants(engine: Engine, at: Week) -> dict[str, Any]:
    query = "SELECT model_spec -> 'linking_constants' AS c FROM mirt_fit_meta WHERE week_start = :w"
    return rows_of(engine, query, w=at.start)[0]["c"]


def check(outcomes: list[Outcome], name: str) -> Any:
    return next(c for o in outcomes for c in o.checks if c.check.name == name)


def difficulties(engine: Engine, at: Week) -> np.ndarray:
    query = "SELECT b FROM mirt_item_params_history WHERE week_start = :w ORDER BY item_id::integer"
    return np.array([row["b"] for row in rows_of(engine, query, w=at.start)])


@pytest.fixture
def two_cohorts(database: Engine) -> Engine:
    """The second week's students are abler by 0.8 and more alike (SD 0.7); item 3 is harder by 1.5 for them."""
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=7)
    store_answers(database, BANK.moved({3: 1.5}), week(1), 0.8 + 0.7 * THETA, seed=8, prefix="v")
    return database


def test_an_item_with_a_wrong_key_is_neither_scored_nor_linked_with_and_stays_in_the_tables(database: Engine) -> None:
    a = BANK.a.copy()
    a[3] = -1.0
    BANK.store(database)
    for number, prefix in ((0, "u"), (1, "v")):
        store_answers(database, Bank(a, BANK.b), week(number), THETA, seed=7 + number, prefix=prefix)
    # Weak priors keep every slope above 0.
    settings = SETTINGS.overridden_by({"priors": "none"})
    calibrated(database, week(0), settings)
    calibrated(database, week(1), settings)
    flagged = rows_of(database, "SELECT item_id, a FROM mirt_item_params_history WHERE flag LIKE 'negative%'")
    assert [row["item_id"] for row in flagged] == ["4", "4"]
    assert all(row["a"] < -0.5 for row in flagged)
    (current,) = rows_of(database, "SELECT params FROM mirt_item_params WHERE item_id = '4'")
    assert current["params"]["flag"] == "negative_discrimination"
    scored(database, week(0))
    (row,) = rows_of(database, "SELECT min(n_answers) AS least, max(n_answers) AS most FROM mirt_ability")
    assert (row["least"], row["most"]) == (23, 23)
    # After the key is corrected, the slope of the reference is still the wrong one.
    execute(database, "UPDATE attempt_log SET correct = NOT correct WHERE item_id = 4 AND user_id LIKE 'v%'")
    calibrated(database, week(1), settings)
    found = constants(database, week(1))
    assert (found["n_common"], found["n_anchors_used"]) == (23, 23)


@pytest.mark.parametrize("method", ["fixed", "mean-mean", "mean-sigma", "haebara", "stocking-lord"])
def test_a_later_cohort_is_linked_to_the_first_and_the_drifted_item_dropped(two_cohorts: Engine, method: str) -> None:
    settings = SETTINGS.overridden_by({"linking": method})
    calibrated(two_cohorts, week(0), settings)
    outcomes = calibrated(two_cohorts, week(1), settings)
    found = constants(two_cohorts, week(1))
    assert found["method"] == ("stocking-lord" if method == "fixed" else method)
    assert found["onto"] == "2025-W10"
    assert found["A"] == found["slope"] == pytest.approx(0.7, abs=4 * found["se_slope"])
    assert found["B"] == found["intercept"] == pytest.approx(0.8, abs=4 * found["se_intercept"] + 0.1)
    assert 0.005 < found["se_slope"] < 0.1
    assert [d["item_id"] for d in found["dropped"]] == ["3"]
    assert found["n_anchors_used"] == 23
    assert found["dropped"][0]["shift_b_logit"] == pytest.approx(-1.5, abs=0.4)
    kept = np.arange(24) != 2
    error = (difficulties(two_cohorts, week(1)) - BANK.b)[kept]
    # Without the link it would be above 1: (b − 0.8) / 0.7.
    assert np.sqrt(np.mean(error**2)) < 0.45
    assert check(outcomes, "on_the_scale").is_passed
    assert not check(outcomes, "anchors_enough").is_passed


def test_too_few_common_items_are_refused_with_the_reason_stored_and_told(
    two_cohorts: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    calibrated(two_cohorts, week(0))
    assert "not usable" not in caplog.text
    outcomes = calibrated(two_cohorts, week(1), SETTINGS.overridden_by({"min_anchors": 30}))
    found = constants(two_cohorts, week(1))
    assert found["A"] is None
    assert found["n_anchors_used"] == 0
    assert "24 common items" in found["refused"]
    assert "30 are needed" in found["refused"]
    assert "the calibration is not usable (not linked to 2025-W10" in caplog.text
    assert "; the last usable one scores, if there is one" in caplog.text
    assert not check(outcomes, "on_the_scale").is_passed
    scored(two_cohorts, week(1))
    # Neither scores nor current parameters come from the unlinked scale.
    used = rows_of(two_cohorts, "SELECT DISTINCT run_id FROM mirt_ability UNION SELECT run_id FROM mirt_item_params")
    first = rows_of(two_cohorts, "SELECT run_id FROM mirt_fit_meta WHERE week_start = :w", w=week(0).start)
    assert used == first


def test_tagged_anchors_are_fixed_and_the_population_is_free(two_cohorts: Engine) -> None:
    anchors = tuple(range(5, 20))
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
    BANK.store(two_cohorts, anchors)
    outcomes = calibrated(two_cohorts, week(1))
    b = difficulties(two_cohorts, week(1))
    np.testing.assert_allclose(b[4:19], BANK.b[4:19], rtol=1e-12)
    metrics = rows_of(two_cohorts, "SELECT metrics FROM mirt_fit_meta")[0]["metrics"]
    assert metrics["group_mean"] == pytest.approx(0.8, abs=0.15)
    assert metrics["group_sd"] == pytest.approx(0.7, abs=0.1)
    assert check(outcomes, "anchors_enough").is_passed
    linked = calibrated(two_cohorts, week(1), SETTINGS.overridden_by({"linking": "haebara"}))
    found = constants(two_cohorts, week(1))
    assert found["method"] == "haebara"
    assert found["onto"] == "question.meta"
    assert found["n_anchors_used"] == 15
    assert check(linked, "on_the_scale").is_passed


def test_a_drifted_anchor_is_not_fixed_but_estimated_anew(two_cohorts: Engine) -> None:
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
    BANK.store(two_cohorts, tuple(range(1, 11)))
    outcomes = calibrated(two_cohorts, week(1))
    found = constants(two_cohorts, week(1))
    assert [d["item_id"] for d in found["dropped"]] == ["3"]
    assert found["dropped"][0]["shift_b_logit"] == pytest.approx(-1.5, abs=0.5)
    assert (found["method"], found["n_anchors_used"], found["n_screened"]) == ("fixed", 9, 10)
    rows = {row["item_id"]: row for row in rows_of(two_cohorts, "SELECT * FROM mirt_item_params_history ORDER BY 1")}
    assert {item for item, row in rows.items() if row["is_anchor"]} == {str(i) for i in range(1, 11) if i != 3}
    assert rows["3"]["b"] == pytest.approx(BANK.b[2] + 1.5, abs=0.6)
    assert rows["1"]["b"] == pytest.approx(BANK.b[0], rel=1e-12)
    assert check(outcomes, "on_the_scale").is_passed
    moved = check(outcomes, "anchors_stable")
    assert not moved.is_passed
    assert "3: difficulty moved by" in moved.description
    assert check(calibrated(two_cohorts, week(0)), "anchors_stable").is_passed


def with_anchors_that_moved_apart(engine: Engine) -> Week:
    """Of ten tagged anchors seven have moved in a later week, in two directions."""
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
    BANK.store(engine, tuple(range(1, 11)))
    drifted = BANK.moved(dict.fromkeys(range(1, 6), 1.5) | dict.fromkeys(range(6, 8), -1.5))
    store_answers(engine, drifted, week(2), THETA, seed=31, prefix="w")
    return week(2)


def test_anchors_that_moved_apart_give_way_to_the_last_usable_calibration(two_cohorts: Engine) -> None:
    """The scale stays: by the items that have not moved, anchors or not. Once the week was lost."""
    later = with_anchors_that_moved_apart(two_cohorts)
    calibrated(two_cohorts, week(0))
    outcomes = calibrated(two_cohorts, later)
    assert check(outcomes, "on_the_scale").is_passed
    assert check(outcomes, "usable").is_passed
    found = constants(two_cohorts, later)
    (first,) = rows_of(two_cohorts, "SELECT run_id FROM mirt_fit_meta WHERE week_start = :w", w=week(0).start)
    assert (found["method"], found["onto_run_id"]) == ("stocking-lord", first["run_id"])
    moved = {int(d["item_id"]) for d in found["dropped"]}
    assert moved <= set(range(1, 8))
    assert len(moved) >= 6
    assert "anchors" in found["refused"]
    error = (difficulties(two_cohorts, later) - BANK.b)[7:]
    assert np.sqrt(np.mean(error**2)) < 0.3
    stable = check(outcomes, "anchors_stable")
    assert not stable.is_passed
    assert found["refused"] in stable.description
    scored(two_cohorts, later)
    (row,) = rows_of(two_cohorts, "SELECT DISTINCT run_id FROM mirt_ability WHERE week_start = :w", w=later.start)
    assert row["run_id"] != first["run_id"]


def test_refused_anchors_without_an_earlier_calibration_leave_the_week_off_the_scale(two_cohorts: Engine) -> None:
    later = with_anchors_that_moved_apart(two_cohorts)
    outcomes = calibrated(two_cohorts, later)
    assert not check(outcomes, "on_the_scale").is_passed
    assert not check(outcomes, "usable").is_passed
    assert "anchors" in check(outcomes, "usable").description
    found = constants(two_cohorts, later)
    assert (found["A"], found["n_anchors_used"], found["method"]) == (None, 0, "fixed")
    assert "anchors" in found["refused"]
    assert not check(outcomes, "anchors_stable").is_passed


def test_anchors_of_one_difficulty_give_way_where_the_link_needs_their_spread(two_cohorts: Engine) -> None:
    settings = SETTINGS.overridden_by({"linking": "mean-sigma"})
    calibrated(two_cohorts, week(0), settings)
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
    BANK.store(two_cohorts, tuple(range(5, 15)))
    execute(
        two_cohorts,
        "UPDATE question SET meta = jsonb_set(meta, '{irt,b}', '0.5') WHERE meta -> 'tags' @> '[\"anchor\"]'",
    )
    outcomes = calibrated(two_cohorts, week(1), settings)
    found = constants(two_cohorts, week(1))
    assert check(outcomes, "usable").is_passed
    assert (found["onto"], found["method"]) == ("2025-W10", "mean-sigma")
    assert found["A"] == pytest.approx(0.7, abs=0.15)
    assert check(outcomes, "anchors_enough").is_passed
    assert not check(outcomes, "anchors_stable").is_passed


def test_anchors_with_few_answers_carry_no_scale(two_cohorts: Engine) -> None:
    """Items 1 to 3 have five answers each, of the first students."""
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
        connection.exec_driver_sql("DELETE FROM attempt_log WHERE item_id <= 3 AND id > 120")
    anchors = (1, 2, 3, *range(10, 20))
    BANK.store(two_cohorts, anchors)
    outcomes = calibrated(two_cohorts, week(0))
    found = constants(two_cohorts, week(0))
    assert (found["n_screened"], found["n_anchors_used"], found["dropped"]) == (10, 13, [])
    (row,) = rows_of(two_cohorts, "SELECT count(*) AS n FROM mirt_item_params_history WHERE is_anchor")
    assert row["n"] == 13
    assert check(outcomes, "anchors_enough").is_passed
    calibrated(two_cohorts, week(0), SETTINGS.overridden_by({"min_anchors": 11}))
    assert constants(two_cohorts, week(0)) is None


def test_rasch_is_linked_by_a_shift_alone(two_cohorts: Engine) -> None:
    settings = SETTINGS.overridden_by({"model": "Rasch", "linking": "haebara"})
    calibrated(two_cohorts, week(0), settings)
    calibrated(two_cohorts, week(1), settings)
    found = constants(two_cohorts, week(1))
    assert (found["A"], found["method"]) == (1.0, "mean-mean")
    assert {row["a"] for row in rows_of(two_cohorts, "SELECT DISTINCT a FROM mirt_item_params_history")} == {1.0}


def test_abilities_predict_the_next_answers(database: Engine) -> None:
    BANK.store(database)
    half = Bank(BANK.a[:12], BANK.b[:12])
    store_answers(database, half, week(0), THETA, seed=9)
    calibrated(database, week(0))
    assert next(iter(scored(database, week(0)))).metadata["next_answers"] == 0
    # Answers of other students under their names: θ must do worse than the base rate.
    store_answers(database, half, week(1), THETA[::-1], seed=10)
    outcomes = scored(database, week(1))
    metadata = outcomes[0].metadata
    assert metadata["next_answers"] == 500 * 12
    assert metadata["next_answer_log_skill"] < 0
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM attempt_log WHERE id > 6000")
    store_answers(database, half, week(1), THETA, seed=11)
    metadata = scored(database, week(1))[0].metadata
    assert metadata["next_answer_log_skill"] > 0.03
    assert metadata["next_answer_log_loss"] < metadata["next_answer_log_loss_of_base_rate"]
    assert check(scored(database, week(1)), "scale_stable").is_passed


@pytest.mark.parametrize(
    ("mean", "sd", "n", "passed"),
    [
        (0.1, 1.0, 500, True),
        (0.5, 1.0, 500, False),
        (0.5, 1.0, 20, True),
        (0.0, 1.4, 500, False),
        (0.0, 0.7, 500, False),
        (0.0, 0.7, 15, True),
        (0.0, 0.0, 500, True),
    ],
)
def test_a_jump_of_the_scale_is_noticed_and_chance_is_not(mean: float, sd: float, n: int, passed: bool) -> None:
    found = judge_stability({"n": n, "mean": 0.0, "sd": 1.0}, {"n": n, "mean": mean, "sd": sd})
    assert found.is_passed is passed, found.description


def test_a_scale_that_jumps_fails_its_check_in_the_graph(two_cohorts: Engine) -> None:
    calibrated(two_cohorts, week(0))
    scored(two_cohorts, week(0))
    calibrated(two_cohorts, week(1), SETTINGS.overridden_by({"min_anchors": 30}))
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("UPDATE mirt_ability SET theta = theta - 1")
    assert not check(scored(two_cohorts, week(1)), "scale_stable").is_passed


def test_the_assets_run_with_their_checks(two_cohorts: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "7")
    result = dg.materialize(
        [irt_calibration, irt_scoring],
        partition_key=week(0).key,
        resources={"postgres": postgres_of(two_cohorts), "r": RResource()},
    )
    names = {(e.asset_key.path[0], e.check_name): e.passed for e in result.get_asset_check_evaluations()}
    assert names["mirt_ability", "scale_stable"]
    assert names["mirt_fit_meta", "anchors_enough"]


def test_operators_queries_return_rows(two_cohorts: Engine) -> None:
    for number in (0, 1):
        calibrated(two_cohorts, week(number))
        scored(two_cohorts, week(number))
    last_five = rows_of(
        two_cohorts,
        "SELECT run_id, model_spec -> 'linking_constants' AS linking FROM mirt_fit_meta "
        "ORDER BY fitted_at DESC LIMIT 5",
    )
    assert len(last_five) == 2
    assert {"A", "B", "slope", "intercept", "n_anchors_used"} <= set(last_five[0]["linking"])
    for table, least in (("mirt_item_params", 24), ("mirt_ability", 1000)):
        (row,) = rows_of(two_cohorts, f"SELECT count(*) AS n, max(fitted_at) AS newest FROM {table}")
        assert row["n"] >= least
        assert row["newest"] == week(1).as_of


class StandInR:
    """Answers as R's script does, with the maximum that the platform's engine finds.

    ``is_early``: it stops at a = 1 and the logit of the share, and says that it converged.
    """

    def __init__(self, n_crashes: int = 0, error: Exception | None = None, *, is_early: bool = False) -> None:
        self.n_calls, self.n_crashes, self.error, self.is_early = 0, n_crashes, error, is_early

    def call(self, script: str, function: str, **arguments: Any) -> dict[str, Any]:
        self.n_calls += 1
        self.priors, self.timeout_seconds = arguments["priors"], arguments["timeout_seconds"]
        if self.error is not None:
            raise self.error
        if self.n_calls <= self.n_crashes:
            raise RCrashedError("R was killed")
        found = self.maximum(arguments)
        self.items = items = pd.DataFrame(
            {"a": found.items.a, "b": found.items.b, "c": 0.0, "a_se": 0.1, "b_se": 0.1, "c_se": np.nan}
        )
        if self.is_early:
            share = arguments["cells"].groupby("item")["correct"].mean().to_numpy()
            items["a"], items["b"] = 1.0, -np.log(share / (1 - share))
        for row in arguments["anchors"].itertuples():
            items.loc[row.item - 1, ["a_se", "b_se"]] = np.nan
        n_free = 2 * (len(items) - len(arguments["anchors"]))
        fit = {
            "group_mean": found.group_mean[0],
            "group_mean_se": np.nan,
            "group_variance": found.group_sd[0] ** 2,
            "group_variance_se": np.nan,
            "log_likelihood": -100.0,
            "log_prior": -7.0,
            "aic": 200.0 + 2 * n_free,
            "bic": 250.0,
            "n_iterations": 12,
            "has_converged": True,
            "is_maximum": True,
        }
        persons = pd.DataFrame({"theta": np.zeros(arguments["n_persons"]), "theta_sd": 1.0})
        versions = pd.DataFrame([{"mirt": "1.44", "r": "R 4.4"}])
        return {"items": items, "fit": pd.DataFrame([fit]), "persons": persons, "versions": versions}

    @staticmethod
    def maximum(arguments: dict[str, Any]) -> Calibration:
        cells, held = arguments["cells"], arguments["anchors"]
        prior = {row.parameter: (row.first, row.second) for row in arguments["priors"].itertuples()}
        return calibrate(
            ResponseData.from_long(cells["person"], cells["item"].to_numpy(), correct=cells["correct"].to_numpy()),
            CalibrationConfig(
                min_responses=1,
                priors=ItemPriors(
                    a=LogNormal(*prior["a1"]) if "a1" in prior else None,
                    d=Normal(*prior["d"]) if "d" in prior else None,
                ),
                anchors=ItemParameters.of(held["item"], held["a"], b=held["b"]) if len(held) else None,
            ),
        )


BY_MIRT = SETTINGS.overridden_by({"backend": "mirt", "retry_delay_secs": 0.01})


def by_mirt(engine: Engine, r: StandInR, at: Week, settings: CalibrationSettings = BY_MIRT) -> list[Outcome]:
    return outcomes_of(
        engine,
        at,
        compute=lambda run: calibrate_week(run, r),
        settings=Settings(calibration=settings),
        is_dry_run=False,
    )


def test_the_mirt_backend_writes_the_same_tables(two_cohorts: Engine) -> None:
    r = StandInR(n_crashes=2)
    outcomes = by_mirt(two_cohorts, r, week(0))
    assert check(outcomes, "usable").is_passed
    (fit,) = rows_of(two_cohorts, "SELECT model_spec, metrics FROM mirt_fit_meta")
    assert fit["model_spec"]["backend"] == "mirt 1.44, R 4.4"
    assert fit["model_spec"]["n_items"] == 24
    assert fit["metrics"]["log_prior"] == -7.0
    assert fit["metrics"]["aic"] == pytest.approx(200 + 2 * 48)
    assert fit["metrics"]["group_sd"] == pytest.approx(1.0)
    assert fit["metrics"]["max_gradient"] is None
    np.testing.assert_allclose(difficulties(two_cohorts, week(0)), r.items["b"], rtol=1e-12)
    assert scored(two_cohorts, week(0))[0].published.staged == 500


def test_priors_are_stored_and_those_of_mirt_are_what_it_was_given(two_cohorts: Engine) -> None:
    def stored() -> dict[str, Any]:
        priors: dict[str, Any] = rows_of(two_cohorts, "SELECT model_spec -> 'priors' AS p FROM mirt_fit_meta")[0]["p"]
        return priors

    calibrated(two_cohorts, week(0))
    slope = {"dist": "lognormal", "mean_log": 0.25, "sd_log": 0.5}
    assert stored() == {"a": slope, "b": {"dist": "normal", "mean": 0.0, "sd": 2.0}}
    r = StandInR()
    by_mirt(two_cohorts, r, week(0))
    intercept = {"dist": "normal", "mean": 0.0, "sd": pytest.approx(2 * np.exp(0.5))}
    assert stored() == {"a": slope, "d": intercept}
    assert r.priors.to_dict("list") == {
        "parameter": ["a1", "d"],
        "type": ["lnorm", "norm"],
        "first": [0.25, 0.0],
        "second": [0.5, intercept["sd"]],
    }
    by_mirt(two_cohorts, r, week(0), BY_MIRT.overridden_by({"priors": "none"}))
    assert stored() == {}
    assert r.priors.empty


def test_the_mirt_backend_holds_anchors_and_links(two_cohorts: Engine) -> None:
    by_mirt(two_cohorts, StandInR(), week(0))
    by_mirt(two_cohorts, StandInR(), week(1))
    assert constants(two_cohorts, week(1))["method"] == "stocking-lord"
    with two_cohorts.begin() as connection:
        connection.exec_driver_sql("TRUNCATE question")
    BANK.store(two_cohorts, tuple(range(5, 20)))
    by_mirt(two_cohorts, StandInR(), week(1))
    np.testing.assert_allclose(difficulties(two_cohorts, week(1))[4:19], BANK.b[4:19], rtol=1e-12)
    (row,) = rows_of(two_cohorts, "SELECT count(*) AS n FROM mirt_item_params_history WHERE is_anchor")
    assert row["n"] == 15


def test_the_mirt_backend_gives_up_after_its_tries(two_cohorts: Engine, caplog: Any) -> None:
    r = StandInR(n_crashes=9)
    with caplog.at_level(logging.INFO), pytest.raises(dg.Failure, match="R was killed"):
        by_mirt(two_cohorts, r, week(0), BY_MIRT.overridden_by({"max_retries": 2}))
    assert r.n_calls == 2
    assert "try 2 of 2" in caplog.text


def test_an_answer_of_mirt_short_of_the_maximum_is_not_usable(two_cohorts: Engine) -> None:
    """It once stopped after three cycles, called that converged, and was a quarter of the log-likelihood short."""
    outcomes = by_mirt(two_cohorts, StandInR(is_early=True), week(0))
    found = check(outcomes, "usable")
    assert not found.is_passed
    assert "stopped short of the maximum; set MIRT_BACKEND=native" in found.description
    (fit,) = rows_of(two_cohorts, "SELECT is_usable, metrics -> 'converged' AS converged FROM mirt_fit_meta")
    assert fit == {"is_usable": False, "converged": True}


def test_a_time_out_of_mirt_names_its_setting_and_is_not_tried_again(two_cohorts: Engine) -> None:
    r = StandInR(error=RTimeoutError("longer than its time-out of 7 s"))
    with pytest.raises(dg.Failure, match="raise MIRT_TIMEOUT_SECS"):
        by_mirt(two_cohorts, r, week(0), BY_MIRT.overridden_by({"timeout_secs": 7.0}))
    assert (r.n_calls, r.timeout_seconds) == (1, 7.0)


def test_a_missing_package_fails_the_step_with_the_remedy_and_is_not_tried_again(
    two_cohorts: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = StandInR(error=RPackageMissingError("missing R packages: mirt. Install: apt-get install", ("mirt",)))
    with pytest.raises(dg.Failure, match="Install"):
        by_mirt(two_cohorts, r, week(0))
    assert r.n_calls == 1
    monkeypatch.setattr(RResource, "call", r.call)
    monkeypatch.setenv("MIRT_BACKEND", "mirt")
    with pytest.raises(dg.Failure, match="Install") as failure:
        dg.materialize(
            [irt_calibration],
            partition_key=week(0).key,
            resources={"postgres": postgres_of(two_cohorts), "r": RResource()},
        )
    assert failure.value.allow_retries is False


def test_items_and_students_who_do_not_follow_the_model_show_in_the_metadata(database: Engine) -> None:
    BANK.store(database)
    store_answers(database, BANK, week(0), THETA, seed=21)
    well = calibrated(database, week(0))[0].metadata
    assert well["items_tested_for_fit"] == 24
    assert well["items_misfitting"] <= 1
    students = scored(database, week(0))[0].metadata
    assert students["students_tested_for_fit"] == 500
    assert students["share_of_students_misfitting"] < 0.09
    # Every third student answers against the ability, and item 2 is answered right by the middle only.
    execute(database, "UPDATE attempt_log SET correct = item_id % 2 = 0 WHERE substr(user_id, 2)::integer % 3 = 0")
    middle = [f"u{k}" for k in np.flatnonzero(np.abs(THETA) < 0.7)]
    execute(database, "UPDATE attempt_log SET correct = user_id = ANY(:m) WHERE item_id = 2", {"m": middle})
    badly = calibrated(database, week(0))[0].metadata
    assert badly["items_misfitting"] > well["items_misfitting"]
    assert "| 2 |" in badly["worst_item_fit"].value
    assert scored(database, week(0))[0].metadata["share_of_students_misfitting"] > 0.1


def test_the_priors_for_mirt_have_the_moments_of_the_platforms() -> None:
    weak = item_priors(CalibrationSettings(model="3PL"))
    found = priors_for_mirt(weak)
    assert weak.a is not None
    assert weak.b is not None
    assert found.d is not None
    rng = np.random.default_rng(1)
    a = rng.lognormal(weak.a.mean_log, weak.a.sd_log, 1_000_000)
    d = -a * rng.normal(weak.b.mean, weak.b.sd, 1_000_000)
    assert d.std() == pytest.approx(found.d.sd, rel=0.01)
    # On the logit of c: the same mode, and the same curvature there.
    logit = np.linspace(-6, 2, 8001)
    c = 1 / (1 + np.exp(-logit))
    beta = 4 * np.log(c) + 16 * np.log1p(-c)
    top = int(beta.argmax())
    assert found.c is not None
    assert logit[top] == pytest.approx(found.c.mean, abs=0.002)  # type: ignore[union-attr]
    curvature = (beta[top + 1] - 2 * beta[top] + beta[top - 1]) / (logit[1] - logit[0]) ** 2
    assert curvature == pytest.approx(-1 / found.c.sd**2, rel=1e-3)  # type: ignore[union-attr]
    rasch = priors_for_mirt(item_priors(CalibrationSettings(model="Rasch")))
    assert (rasch.a, rasch.d) == (None, weak.b)
