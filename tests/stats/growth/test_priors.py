"""Priors as data: the contract's JSON, and that what is given is what is used."""

import dataclasses

import numpy as np
import pytest

from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal

CONTRACT = {
    "intercept": {"dist": "normal", "mean": 0, "sd": 1},
    "week": {"dist": "normal", "mean": 0, "sd": 0.5},
    "sd": {"dist": "cauchy", "location": 0, "scale": 1},
}


def test_the_defaults_are_the_contract():
    written = GrowthPriors().to_json()
    assert {key: written[key] for key in CONTRACT} == CONTRACT
    assert GrowthPriors.from_json(CONTRACT) == GrowthPriors()


def test_priors_survive_the_round_trip():
    priors = GrowthPriors(
        Normal(0.3, 2.0), Normal(0.01, 0.1), sd=HalfCauchy(0.1, 0.2), sigma=HalfCauchy(0.0, 3.0), lkj_eta=2.5
    )
    assert GrowthPriors.from_json(priors.to_json()) == priors
    np.testing.assert_array_equal(priors.as_array(), [0.3, 2.0, 0.01, 0.1, 0.1, 0.2, 0.0, 3.0, 2.5, 0.1, 0.2])
    own = dataclasses.replace(priors, sd_week=HalfCauchy(0.02, 0.01))
    assert GrowthPriors.from_json(own.to_json()) == own
    np.testing.assert_array_equal(own.as_array(), [*priors.as_array()[:9], 0.02, 0.01])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"sd": {"dist": "gamma", "shape": 1}}, "must be 'cauchy'"),
        ({"slope": {"dist": "normal", "mean": 0, "sd": 1}}, "unknown priors"),
        ({"week": {"dist": "normal", "mean": 0, "sd": 0}}, "sd > 0"),
        ({"sd": {"dist": "cauchy", "location": 0, "scale": -1}}, "scale > 0"),
        ({"cor": {"dist": "lkj", "eta": 0}}, "eta > 0"),
    ],
)
def test_impossible_priors_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        GrowthPriors.from_json(value)
