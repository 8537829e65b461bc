"""Equality with R's survival 3.5-3 on its own data, on simulated data and on 29,411 real enrolments."""

import json

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.stats.survival.cox import check_survival_data, fit_cox
from seedtest_analytics.stats.survival.kaplan_meier import kaplan_meier
from seedtest_analytics.stats.survival.proportionality import proportionality_test
from tests._shared import shared

pytestmark = pytest.mark.reference

LUNG = ["age", "sex", "ph.ecog", "wt.loss"]
DROPOUT = ["engagement", "scholar", "load"]


@pytest.fixture(scope="module")
def references():
    return json.loads(shared("reference/survival/survival_refs.json").read_text())


@pytest.fixture(scope="module")
def lung():
    return pd.read_csv(shared("reference/survival/surv_lung.csv"))


@pytest.fixture(scope="module")
def dropout():
    return pd.read_csv(shared("reference/survival/surv_dropout_sim.csv"))


@pytest.fixture(scope="module")
def oulad():
    frame = pd.read_parquet(shared("data/churn/oulad_enrolments.parquet"))
    frame = frame[(frame.duration_days > 0) & ~frame.withdrew_before_start]
    columns = {
        "male": frame.gender == "M",
        "age35-55": frame.age_band == "35-55",
        "age55<=": frame.age_band == "55<=",
        "dis": frame.disability,
        "num_of_prev_attempts": frame.num_of_prev_attempts,
        "credits60": frame.studied_credits / 60,
    }
    return frame, pd.DataFrame(columns).astype(float)


def assert_equals_r(fit, reference, tolerance=1e-8):
    np.testing.assert_allclose(fit.coefficients, list(reference["coef"].values()), rtol=0, atol=tolerance)
    own = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose(own, list(reference["se"].values()), rtol=0, atol=tolerance)
    assert fit.concordance == pytest.approx(reference["concordance"], abs=1e-10)
    assert fit.loglik == pytest.approx(np.atleast_1d(reference["loglik"])[-1], abs=1e-7)


@pytest.mark.parametrize(
    ("name", "time", "ties"),
    [
        ("lung_efron", "time", "efron"),
        ("lung_weeks_heavy_ties_efron", "week", "efron"),
        ("lung_weeks_heavy_ties_breslow", "week", "breslow"),
    ],
)
def test_lung(references, lung, name, time, ties):
    reference = references[name]
    data = check_survival_data(lung[LUNG], lung[time], events=lung.event)
    fit = fit_cox(data, ties=ties)
    assert_equals_r(fit, reference)
    assert fit.loglik_null == pytest.approx(reference["loglik_null"], abs=1e-9)
    table = reference["cox_zph"]["table"]
    test = proportionality_test(data, fit)
    np.testing.assert_allclose(test.chi_square, [row["chisq"] for row in table], rtol=1e-7)
    np.testing.assert_allclose(test.p_value, [row["p"] for row in table], rtol=1e-7)
    for key, at in (("baseline_at_covariate_means", fit.centre), ("baseline_at_zero", np.zeros(4))):
        expected = reference[key]
        eta = [fit.log_cumulative_hazard(at[None, :], t)[0][0] for t in expected["times"]]
        np.testing.assert_allclose(np.exp(-np.exp(eta)), expected[f"surv_{ties}_hazard"], atol=1e-9)


def test_strata(references, lung):
    data = check_survival_data(lung[["age", "ph.ecog", "wt.loss"]], lung.time, events=lung.event, strata=lung.sex)
    assert_equals_r(fit_cox(data), references["lung_strata_sex"])


def test_late_entry(references):
    heart = pd.read_csv(shared("reference/survival/surv_heart_tv.csv"))
    covariates = heart[["age", "year", "surgery", "transplant"]]
    data = check_survival_data(covariates, heart.stop, events=heart.event, entry_times=heart.start)
    assert_equals_r(fit_cox(data), references["heart_timevarying_efron"])


def test_robust_errors_under_heavy_ties(references, dropout):
    reference = references["dropout_sim_efron"]
    data = check_survival_data(dropout[DROPOUT], dropout.week, events=dropout.event, clusters=dropout.id)
    fit = fit_cox(data)
    assert_equals_r(fit, reference)
    np.testing.assert_allclose(fit.standard_errors, list(reference["robust_se"].values()), atol=1e-9)
    test = proportionality_test(data, fit)
    table = reference["cox_zph"]["table"]
    np.testing.assert_allclose(test.chi_square, [row["chisq"] for row in table], rtol=1e-7)


def steps(times, survival, *, at):
    """The survival at any times: 1 before the first event, constant after the last."""
    return np.concatenate([[1.0], survival])[np.searchsorted(times, at, side="right")]


def test_kaplan_meier(references, dropout):
    reference = references["dropout_sim_km"]
    survival = steps(*kaplan_meier(dropout.week, dropout.event), at=reference["times"])
    np.testing.assert_allclose(survival, reference["surv"], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "ties", "is_stratified"),
    [("efron", "efron", True), ("breslow", "breslow", True), ("efron_unstratified", "efron", False)],
)
def test_oulad_cox(oulad, name, ties, is_stratified):
    frame, covariates = oulad
    reference = pd.read_csv(shared("data/churn/oulad_reference_cox_R.csv")).query("ties == @name")
    assert list(reference.term) == list(covariates.columns)
    strata = frame.code_module if is_stratified else None
    fit = fit_cox(check_survival_data(covariates, frame.duration_days, events=frame.event, strata=strata), ties=ties)
    assert (fit.n, fit.n_events) == (29_411, 6_974)
    np.testing.assert_allclose(fit.coefficients, reference.coef, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), reference.se, atol=1e-8)
    assert fit.loglik == pytest.approx(reference.loglik.iloc[0], abs=1e-6)
    assert fit.concordance == pytest.approx(reference.concordance.iloc[0], abs=1e-9)


def test_oulad_kaplan_meier(oulad):
    frame, _ = oulad
    reference = pd.read_csv(shared("data/churn/oulad_reference_km_R.csv"))
    for group, expected in reference.groupby("group"):
        rows = frame if group == "all" else frame[frame.code_module == group]
        survival = steps(*kaplan_meier(rows.duration_days, rows.event), at=expected.day)
        np.testing.assert_allclose(survival, expected.surv, atol=1e-10)
