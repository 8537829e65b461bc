"""A stored churn model predicts what the fitted one predicted."""

import json

import numpy as np
import pytest

from seedtest_analytics.assets.churn.stored_model import heuristic_model, model_from_json, model_json
from seedtest_analytics.stats.survival.churn import ChurnModel
from seedtest_analytics.stats.survival.cox import CoxFit
from seedtest_analytics.stats.survival.design import Design, DesignColumn
from seedtest_analytics.stats.survival.weibull import WeibullFit

DESIGN = Design(
    (
        DesignColumn("days_since_last", is_missing_indicator=False, is_log=True, fill=1.5),
        DesignColumn("A_t", is_missing_indicator=True, is_log=False, fill=0.0),
    ),
    {"days_since_last": 4.0, "A_t": 0.5},
    dropped={"E_t": "always missing"},
)
COX = CoxFit(
    coefficients=np.array([-0.4, 0.2]),
    covariance=np.diag([0.01, 0.02]),
    robust_covariance=np.array([[0.02, 0.001], [0.001, 0.03]]),
    loglik=-100.5,
    loglik_null=-120.0,
    concordance=0.7,
    centre=np.array([1.2, 0.1]),
    baseline_times=np.array([1.0, 5.0, 13.0]),
    baseline_stratum=np.zeros(3, np.int64),
    baseline_cumulative_hazard=np.array([0.2, 0.7, 1.3]),
    hazard_horizons=np.array([7.0, 14.0]),
    hazard_covariance=np.array([[0.001, 0.002, 0.01], [0.001, 0.002, 0.02]]),
    ties="efron",
    ridge=0.0,
    n=500,
    n_events=400,
    n_clusters=40,
    iterations=6,
)
WEIBULL = WeibullFit(
    coefficients=np.array([-0.4, 0.2]),
    standard_errors=np.array([0.1, 0.1]),
    centre=np.array([1.2, 0.1]),
    parameters=np.array([0.5, -0.25, 1.8, -0.2]),
    covariance=np.diag([0.01, 0.01, 0.02, 0.03]),
    concordance=0.68,
    loglik=-101.0,
    aic=float("nan"),
    n=500,
    n_events=400,
)
STUDENTS = {"days_since_last": np.array([0.5, 3.0, 20.0, np.nan]), "A_t": np.array([0.4, np.nan, 0.1, 0.2])}


@pytest.mark.parametrize(("method", "fit"), [("cox", COX), ("weibull_aft", WEIBULL)])
def test_a_model_read_back_predicts_the_same(method: str, fit: CoxFit | WeibullFit) -> None:
    fitted = ChurnModel(method, 14, follow_up_days=28, usable=True, design=DESIGN, fit=fit)  # type: ignore[arg-type]
    text = model_json(fitted)
    assert text is not None
    stored = model_from_json(json.loads(text))
    assert (stored.method, stored.horizon_days, stored.follow_up_days, stored.usable) == (method, 14, 28, True)
    assert type(stored.fit) is type(fit)
    assert stored.design == DESIGN
    for before, after in zip(fitted.predict_silence(STUDENTS, 7), stored.predict_silence(STUDENTS, 7), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.isfinite(stored.predict_silence(STUDENTS)[0]).tolist() == [True, True, True, False]
    np.testing.assert_array_equal(fitted.contributions(STUDENTS)[1], stored.contributions(STUDENTS)[1])


def test_strata_stay_whole_numbers() -> None:
    text = model_json(ChurnModel("cox", 14, follow_up_days=28, design=DESIGN, fit=COX))
    assert text is not None
    fit = model_from_json(json.loads(text)).fit
    assert isinstance(fit, CoxFit)
    assert fit.baseline_stratum.dtype == np.int64


def test_the_heuristic_has_nothing_to_store() -> None:
    model = heuristic_model(10)
    assert model_json(model) is None
    assert (model.method, model.horizon_days, model.follow_up_days, model.usable) == ("heuristic", 10, 10, False)
