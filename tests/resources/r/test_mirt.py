"""The mirt backend: the request to R, retries, and the conversion of mirt's answer.

mirt is only on CRAN. A fake package with its functions and shapes tests the script and the conversion; agreement with
mirt itself is tested where mirt is installed.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.resources.r.errors import RPackageMissingError
from seedtest_analytics.resources.r.mirt import (
    CalibrationDataError,
    MirtOptions,
    calibrate_with_mirt,
    mirt_arguments,
    mirt_priors,
    mirt_request,
)
from seedtest_analytics.resources.r.session import RSession
from seedtest_analytics.stats.irt.config import Beta, CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from tests._shared import shared
from tests._waits import LIMIT_SECONDS


def some_answers(n_users=40, n_items=5, seed=3):
    """Sparse answers: each user leaves each item out with probability 0.3."""
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product(
        [[f"u{i:02d}" for i in range(n_users)], [f"q{i}" for i in range(n_items)]], names=["user_id", "item_id"]
    ).to_frame(index=False)
    grid["is_correct"] = rng.uniform(size=len(grid)) < 0.3 + 0.1 * grid["item_id"].str[1:].astype(int)
    return grid[rng.uniform(size=len(grid)) < 0.7].sample(frac=1, random_state=seed)


class TestRequest:
    def test_cells_name_the_same_answers(self):
        answers = some_answers()
        request = mirt_request(answers, MirtOptions())
        back = pd.DataFrame(
            {
                "user_id": request.user_ids[request.cells["person"] - 1],
                "item_id": request.item_ids[request.cells["item"] - 1],
                "is_correct": request.cells["correct"].astype(bool),
            }
        )
        pd.testing.assert_frame_equal(back, answers.reset_index(drop=True), check_dtype=False)

    def test_items_without_information_are_set_aside_with_the_reason(self):
        twelve = [f"u{i:02d}" for i in range(12)]
        answers = pd.concat(
            [
                some_answers(),
                pd.DataFrame({"user_id": twelve, "item_id": "easy", "is_correct": True}),
                pd.DataFrame({"user_id": twelve, "item_id": "hard", "is_correct": False}),
                pd.DataFrame({"user_id": ["x", "u01", "u02"], "item_id": "new", "is_correct": [True, False, True]}),
            ]
        )
        request = mirt_request(answers, MirtOptions())
        assert request.set_aside == (
            ("easy", "all 12 answers are right"),
            ("hard", "all 12 answers are wrong"),
            ("new", "3 answers, fewer than 10"),
        )
        assert "x" not in request.user_ids
        assert request.item_ids.tolist() == ["q0", "q1", "q2", "q3", "q4"]

    def test_anchors_are_numbered_and_unanswered_ones_ignored(self):
        anchors = pd.DataFrame({"item_id": ["q3", "gone", "q0"], "a": [1.2, 1, 0.8], "b": [0.1, 0, -1]})
        chosen = mirt_request(some_answers(), MirtOptions("3PL"), anchors=anchors.assign(c=[0.2, 0, None])).anchors
        assert chosen.to_dict("list") == {"item": [4, 1], "a": [1.2, 0.8], "b": [0.1, -1.0], "c": [0.2, 0.0]}

    @pytest.mark.parametrize(
        ("model", "anchor"),
        [("2PL", {"a": -1.0, "b": 0.0}), ("2PL", {"a": 1.0, "b": np.nan}), ("Rasch", {"a": 1.3, "b": 0.0})],
    )
    def test_impossible_anchors_are_named(self, model, anchor):
        with pytest.raises(CalibrationDataError, match=r"anchors \['q1'\]"):
            mirt_request(some_answers(), MirtOptions(model), anchors=pd.DataFrame([{"item_id": "q1", **anchor}]))

    def test_refuses_what_cannot_be_calibrated(self):
        answers = some_answers()
        with pytest.raises(CalibrationDataError, match="4PL"):
            mirt_request(answers, MirtOptions("4PL"))
        with pytest.raises(CalibrationDataError, match="repeat a user and item"):
            mirt_request(pd.concat([answers, answers.tail(1)]), MirtOptions())
        missing = answers["is_correct"].astype(object).mask(answers.index == answers.index[0])
        with pytest.raises(CalibrationDataError, match="do not count them as wrong"):
            mirt_request(answers.assign(is_correct=missing), MirtOptions())
        with pytest.raises(CalibrationDataError, match="only 0 items can be calibrated"):
            mirt_request(answers, MirtOptions(min_responses=1000))

    def test_priors_go_to_the_parameters_that_the_model_estimates(self):
        priors = ItemPriors(a=LogNormal(0.1, 0.5), d=Normal(0.0, 2.5), c=Normal(-1.4, 0.6))
        rows = {"a": ("a1", "lnorm", 0.1, 0.5), "d": ("d", "norm", 0.0, 2.5), "c": ("g", "norm", -1.4, 0.6)}
        for model, names in (("Rasch", "d"), ("2PL", "ad"), ("3PL", "adc")):
            options = MirtOptions(model, priors=priors)
            table = mirt_arguments(mirt_request(some_answers(), options), options)["priors"]
            assert list(table.itertuples(index=False, name=None)) == [rows[name] for name in names]
        assert mirt_priors(None, "3PL").empty

    @pytest.mark.parametrize("priors", [ItemPriors(b=Normal()), ItemPriors(c=Beta())])
    def test_priors_that_mirt_has_not_or_has_wrong_are_refused(self, priors):
        with pytest.raises(CalibrationDataError, match="intercept d and on logit"):
            mirt_priors(priors, "3PL")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A session that finds only the fake mirt."""
    library = tmp_path_factory.mktemp("library")
    source = Path(__file__).with_name("fake_mirt")
    command = ["R", "CMD", "INSTALL", "--no-docs", f"--library={library}", str(source)]
    subprocess.run(command, check=True, capture_output=True)
    with RSession(timeout_seconds=LIMIT_SECONDS, environment={**os.environ, "R_LIBS": str(library)}) as session:
        yield session


@pytest.mark.r
class TestStandIn:
    def test_answers_reach_their_cells_and_results_their_ids(self, stand_in, caplog):
        answers = some_answers()
        result = calibrate_with_mirt(stand_in, answers, options=MirtOptions())
        share = answers.groupby("item_id")["is_correct"].mean()
        assert result.item_ids.tolist() == share.index.tolist()
        np.testing.assert_allclose(result.b, -np.log(share / (1 - share)))
        np.testing.assert_allclose(result.a_se, 0.1)
        assert np.isnan(result.c_se).all()
        assert (result.group_mean, result.group_variance) == (0.0, 1.0)
        assert (result.log_likelihood, result.n_iterations, result.has_converged) == (-1.5, 12, True)
        assert result.is_maximum is True
        assert "asked for 61 points on -6..6, TOL 1e-04, NCYCLES 2000, priors none, SE TRUE Oakes" in caplog.text

    def test_anchors_are_fixed_and_free_the_group(self, stand_in):
        anchors = pd.DataFrame({"item_id": ["q1", "q4"], "a": [1.4, 0.7], "b": [0.3, -0.5]})
        result = calibrate_with_mirt(stand_in, some_answers(), options=MirtOptions(), anchors=anchors)
        assert result.is_fixed.tolist() == [False, True, False, False, True]
        np.testing.assert_allclose(result.a[result.is_fixed], [1.4, 0.7])
        np.testing.assert_allclose(result.b[result.is_fixed], [0.3, -0.5])
        assert np.isnan(result.b_se[result.is_fixed]).all()
        assert np.isfinite(result.b_se[~result.is_fixed]).all()
        assert (result.group_mean_se, result.group_variance_se) == (0.1, 0.1)

    def test_guessing(self, stand_in, caplog):
        anchors = pd.DataFrame({"item_id": ["q1"], "a": [1.0], "b": [0.0], "c": [0.25]})
        options = MirtOptions("3PL", priors=ItemPriors(c=Normal(-1.1, 0.5)))
        result = calibrate_with_mirt(stand_in, some_answers(), options=options, anchors=anchors)
        np.testing.assert_allclose(result.c, [0.15, 0.25, 0.15, 0.15, 0.15])
        # The fixed item has no prior.
        assert "priors g norm -1.1 0.5 x4," in caplog.text
        assert "seldom converges" not in caplog.text

    def test_priors_reach_mirts_table(self, stand_in, caplog):
        weak = ItemPriors(a=LogNormal(0.0, 0.5), d=Normal(0.0, 2.5))
        result = calibrate_with_mirt(stand_in, some_answers(), options=MirtOptions(priors=weak))
        assert "priors a1 lnorm 0 0.5 x5; d norm 0 2.5 x5," in caplog.text
        assert result.log_prior == -0.25

    def test_rasch_frees_the_variance_only(self, stand_in):
        result = calibrate_with_mirt(stand_in, some_answers(), options=MirtOptions("Rasch"))
        assert np.isnan(result.a_se).all()
        assert np.isnan(result.group_mean_se)
        assert result.group_variance_se == 0.1

    def test_no_standard_errors(self, stand_in):
        result = calibrate_with_mirt(stand_in, some_answers(), options=MirtOptions(standard_errors=False))
        assert np.isnan(result.b_se).all()
        assert result.is_maximum is None

    def test_3pl_without_prior_warns(self, stand_in, caplog):
        calibrate_with_mirt(stand_in, some_answers(), options=MirtOptions("3PL"))
        assert "3PL without a prior" in caplog.text


@pytest.fixture(scope="module")
def r():
    with RSession(timeout_seconds=LIMIT_SECONDS) as session:
        yield session


@pytest.mark.r
def test_missing_mirt_says_how_to_install_it(r):
    if r.package_versions(["mirt"])["mirt"]:
        pytest.skip("mirt is installed")
    with pytest.raises(RPackageMissingError, match=r"R package mirt.*install\.packages\(c\(\"mirt\"\)"):
        calibrate_with_mirt(r, some_answers(), options=MirtOptions())


@pytest.mark.reference
@pytest.mark.r
class TestAgainstMirt:
    """Only where mirt itself is installed."""

    @pytest.fixture(autouse=True)
    def _needs_mirt(self, r):
        if r.package_versions(["mirt"])["mirt"] is None:
            pytest.skip("R's package mirt is not installed (CRAN)")

    @pytest.mark.parametrize("name", ["LSAT6", "LSAT7"])
    def test_2pl_agrees_with_the_reference(self, r, name):
        data = pd.read_csv(shared(f"reference/irt/mirt_{name}_data.csv"))
        expected = json.loads(shared(f"reference/irt/mirt_{name}_2pl.json").read_text())
        long = data.reset_index(names="user_id").melt("user_id", var_name="item_id", value_name="is_correct")
        result = calibrate_with_mirt(r, long, options=MirtOptions(tolerance=1e-7))
        slopes = {row["item"].replace("_", "."): row["a1"] for row in expected["items_slope_intercept"]}
        found = {item.replace("_", "."): a for item, a in zip(result.item_ids, result.a, strict=True)}
        assert result.log_likelihood == pytest.approx(expected["logLik"], abs=1e-4)
        assert found == pytest.approx(slopes, abs=1e-3)

    def test_with_priors_it_agrees_with_the_platforms_engine(self, r):
        data = pd.read_csv(shared("reference/irt/mirt_LSAT7_data.csv"))
        long = data.reset_index(names="user_id").melt("user_id", var_name="item_id", value_name="is_correct")
        priors = ItemPriors(a=LogNormal(0.0, 0.5), d=Normal(0.0, 2.0))
        found = calibrate_with_mirt(r, long, options=MirtOptions(priors=priors, tolerance=1e-7))
        own = calibrate(
            ResponseData.from_long(long["user_id"], long["item_id"], correct=long["is_correct"]),
            CalibrationConfig(priors=priors, tolerance=1e-7),
        )
        assert found.item_ids.tolist() == own.items.item_ids.tolist()
        np.testing.assert_allclose(found.a, own.items.a, atol=2e-3)
        np.testing.assert_allclose(found.b, own.items.b, atol=2e-3)
        assert found.log_prior == pytest.approx(own.log_prior, abs=0.02)
