"""Growth by brms: the request, the result, and (slow) agreement with a long run of brms."""

import json

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.resources.r.brms_growth import BrmsOptions, sample_growth_with_brms
from seedtest_analytics.resources.r.session import RSession
from seedtest_analytics.stats.growth.priors import GrowthPriors, Normal
from tests._shared import shared
from tests._waits import LIMIT_SECONDS


class FakeR:
    """Answers like R, which sorts the numbers of the students as text."""

    def __init__(self, n_draws=3, n_chains=2):
        self.n_draws, self.n_chains = n_draws, n_chains

    def call(self, script, function, **arguments):
        self.script, self.function, self.arguments = script, function, arguments
        levels = sorted(arguments["data"]["student_id"].unique().astype(str))
        by_level = np.array([float(level) for level in levels])
        shape = (self.n_draws, self.n_chains)
        numbers = arguments["prior_numbers"]
        return {
            "parameters": {"b_week": np.arange(6.0).reshape(shape)},
            "sampler": pd.DataFrame(
                {"divergences": [1, 2], "ebfmi": [0.9, 1.1], "treedepth_max": [4, 7], "treedepth_hits": [0, 3]}
            ),
            "priors_used": pd.DataFrame({"name": list(numbers), "value": list(numbers.values())}),
            "levels": np.array(levels, dtype=object),
            "student_intercept": np.broadcast_to(by_level, (*shape, len(levels))),
            "student_slope": np.broadcast_to(by_level / 10, (*shape, len(levels))),
            "program": np.array(["data {}"], dtype=object),
            "is_model_from_cache": np.array([True]),
            "versions": pd.DataFrame({"r": ["R"], "brms": ["2"], "rstan": ["2"]}),
        }


def some_rows():
    ids = [f"s{i:02d}" for i in range(1, 13)]
    grid = pd.MultiIndex.from_product([ids, range(4)], names=["student_id", "week"]).to_frame(index=False)
    return grid.assign(score=np.linspace(0, 1, len(grid)), right=1, attempts=3)


def sampled(r, rows, **options):
    return sample_growth_with_brms(r, rows, options=BrmsOptions(**options))


def test_contract_priors_are_sent_and_read_back(tmp_path):
    r = FakeR()
    draws = sampled(r, some_rows(), cache_folder=tmp_path)
    assert r.arguments["prior_numbers"] == {
        "intercept_mean": 0.0,
        "intercept_sd": 1.0,
        "week_mean": 0.0,
        "week_sd": 0.5,
        "sd_location": 0.0,
        "sd_scale": 1.0,
        "sigma_location": 0.0,
        "sigma_scale": 1.0,
        "lkj_eta": 1.0,
        "sd_week_location": 0.0,
        "sd_week_scale": 1.0,
    }
    assert draws.priors == GrowthPriors().to_json()


def test_draws_are_chains_first_and_students_in_order_of_their_ids(tmp_path):
    draws = sampled(FakeR(), some_rows(), cache_folder=tmp_path)
    np.testing.assert_array_equal(draws.parameters["b_week"], [[0, 2, 4], [1, 3, 5]])
    assert draws.student_ids.tolist() == [f"s{i:02d}" for i in range(1, 13)]
    assert draws.student_intercept.shape == (2, 3, 12)
    np.testing.assert_array_equal(draws.student_intercept[0, 0], np.arange(1, 13))
    means = draws.student_intercept + 5.0 * draws.student_slope
    np.testing.assert_allclose(means[1, 2], 1.5 * np.arange(1, 13))
    assert (draws.divergences, draws.treedepth_max, draws.treedepth_hits) == (3, 7, 3)


def test_binomial_sends_counts_and_has_no_sigma(tmp_path):
    r = FakeR()
    draws = sampled(r, some_rows(), cache_folder=tmp_path, family="binomial")
    assert list(r.arguments["data"]) == ["student_id", "week", "right", "attempts"]
    assert "sigma" not in draws.priors


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("brms")


@pytest.fixture(scope="module")
def of_reference(cache):
    rows = pd.read_csv(shared("reference/growth/growth_200.csv"))
    with RSession(timeout_seconds=LIMIT_SECONDS) as r:
        return sampled(r, rows, cache_folder=cache, n_chains=2, n_draws=1000, seed=7, cores=2)


@pytest.mark.reference
@pytest.mark.r
@pytest.mark.slow
class TestLive:
    """Compiles the gaussian model twice and the binomial one once; takes three minutes or more."""

    def test_agrees_with_a_long_run(self, of_reference):
        expected = json.loads(shared("reference/growth/brms_growth_200.json").read_text())
        share = of_reference.parameters["b_week"].size / (expected["chains"] * expected["post_warmup"])
        for row in expected["summary"]:
            draws = of_reference.parameters[row["variable"]]
            ess = share * row["ess_bulk"]
            error = row["sd"] * np.sqrt(1 / ess + 1 / row["ess_bulk"])
            # Four standard errors, because the test compares six means and six SDs.
            assert abs(draws.mean() - row["mean"]) < 4 * error, row["variable"]
            assert abs(draws.std() / row["sd"] - 1) < 4 * np.sqrt((1 / ess + 1 / row["ess_bulk"]) / 2), row["variable"]

    def test_students_agree_with_a_long_run(self, of_reference):
        expected = pd.DataFrame(
            json.loads(shared("reference/growth/brms_growth_200.json").read_text())["students"]
        ).set_index("student_id")
        expected = expected.loc[of_reference.student_ids]
        means = of_reference.student_intercept + 15.0 * of_reference.student_slope
        at_15 = means.reshape(-1, len(expected))
        z = (at_15.mean(axis=0) - expected["mu15_mean"]) / expected["mu15_sd"]
        assert np.sqrt(np.mean(z**2)) < 0.08
        probability = (at_15 > 0.7).mean(axis=0)
        assert np.abs(probability - expected["p_mu15_gt_0.7"]).max() < 0.07
        assert np.sqrt(np.mean((probability - expected["p_mu15_gt_0.7"]) ** 2)) < 0.02

    def test_model_is_compiled_once_and_priors_are_used(self, of_reference, cache):
        assert not of_reference.is_model_from_cache
        assert of_reference.priors == GrowthPriors().to_json()
        rows = pd.read_csv(shared("reference/growth/growth_200.csv")).query("student_id <= 's00020'")
        strong = GrowthPriors(week=Normal(0.3, 0.005))
        with RSession(timeout_seconds=LIMIT_SECONDS) as r:
            draws = sampled(r, rows, cache_folder=cache, priors=strong, n_draws=200, n_warmup=300, seed=3)
        assert draws.is_model_from_cache
        assert draws.priors["week"] == {"dist": "normal", "mean": 0.3, "sd": 0.005}
        assert draws.parameters["b_week"].mean() > 0.2

    def test_corrupt_compiled_model_is_compiled_again(self, of_reference, cache, caplog):
        (path,) = cache.glob("brms-*.rds")
        path.write_bytes(b"not a model")
        rows = pd.read_csv(shared("reference/growth/growth_200.csv")).query("student_id <= 's00010'")
        with RSession(timeout_seconds=LIMIT_SECONDS) as r:
            draws = sampled(r, rows, cache_folder=cache, n_draws=100, n_warmup=200)
        assert not draws.is_model_from_cache
        assert "cannot be read" in caplog.text

    def test_binomial(self, cache):
        rng = np.random.default_rng(5)
        student, week = np.repeat(np.arange(60), 8), np.tile(np.arange(8), 60)
        logit = 0.3 + 0.7 * rng.normal(size=60)[student] + (0.15 + 0.05 * rng.normal(size=60)[student]) * week
        rows = pd.DataFrame({"student_id": student, "week": week, "attempts": 10})
        rows["right"] = rng.binomial(10, 1 / (1 + np.exp(-logit)))
        with RSession(timeout_seconds=LIMIT_SECONDS) as r:
            draws = sampled(r, rows, cache_folder=cache, family="binomial", n_draws=500, cores=2)
        week_draws = draws.parameters["b_week"]
        assert abs(week_draws.mean() - 0.15) < 4 * week_draws.std()
        assert "sigma" not in draws.parameters
        assert draws.student_ids.tolist() == list(range(60))
