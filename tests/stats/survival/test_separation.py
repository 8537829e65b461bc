"""Separated covariates: told from collinear ones, and fitted with a prior. Judged by a linear program and by lifelines."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize

from benchmarks._landmarks import activity_log, landmark_panel
from seedtest_analytics.stats.survival.churn import ChurnSettings
from seedtest_analytics.stats.survival.churn_fit import fit_churn
from seedtest_analytics.stats.survival.cox import check_survival_data, fit_cox
from seedtest_analytics.stats.survival.errors import CollinearityError, SeparationError
from seedtest_analytics.stats.survival.proportionality import proportionality_test
from seedtest_analytics.stats.survival.weibull import fit_weibull


def rare_data(n_rare, seed=0, n=2_000):
    """Rows of which ``n_rare`` never have the event; a second covariate grows among them, a third is ordinary."""
    rng = np.random.default_rng(seed)
    rare = np.zeros(n)
    rare[:n_rare] = 1.0
    X = np.column_stack([rare, rare * rng.uniform(0.1, 1.0, n), rng.normal(size=n)])
    times = np.ceil(rng.exponential(6.0, n) * np.exp(-0.5 * X[:, 2])).clip(1, 14)
    return X, times, (times < 14) & (rare == 0), rng.integers(0, 200, n)


def is_monotone(X, times, events):
    """Whether some direction never lowers the likelihood and somewhere raises it (Konis 2007, as a linear program)."""
    differences = np.vstack([X[i] - X[times >= times[i]] for i in np.flatnonzero(events)])
    best = linprog(-differences.sum(axis=0), A_ub=-differences, b_ub=np.zeros(len(differences)), bounds=(-1, 1))
    return -best.fun > 1e-7


def penalised(X, times, events, ridge):
    """The maximum of Efron's likelihood with a Normal prior, restated row by row."""
    Z = (X - X.mean(axis=0)) / X.std(axis=0)

    def loss(beta):
        linear, total = Z @ beta, -0.5 * ridge * beta @ beta
        for t in np.unique(times[events]):
            died = events & (times == t)
            risk, tied = np.exp(linear[times >= t]).sum(), np.exp(linear[died]).sum()
            shares = np.arange(died.sum()) / died.sum()
            total += linear[died].sum() - np.log(risk - shares * tied).sum()
        return -total

    start = minimize(loss, np.zeros(X.shape[1]), method="BFGS", options={"gtol": 1e-7}).x
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4_000})
    return best.x / X.std(axis=0)


@pytest.mark.parametrize("n_rare", [1, 3, 20, 400])
def test_a_rare_separating_covariate_is_separation(n_rare):
    X, times, events, _ = rare_data(n_rare)
    with pytest.raises(SeparationError) as found:
        fit_cox(check_survival_data(X[:, [0, 2]], times, events=events))
    assert found.value.columns == (0,)
    with pytest.raises(SeparationError) as found:
        fit_weibull(check_survival_data(X[:, [0, 2]], times, events=events))
    assert found.value.columns == (0,)


@pytest.mark.parametrize("n_rare", [3, 20, 400])
def test_two_separating_covariates_are_not_collinear(n_rare):
    X, times, events, _ = rare_data(n_rare)
    with pytest.raises(SeparationError) as found:
        fit_cox(check_survival_data(X, times, events=events))
    assert set(found.value.columns) <= {0, 1}
    assert found.value.naming(("silent", "beyond", "other")).count("silent") <= 1


@pytest.mark.parametrize("seed", range(40))
def test_the_judgement_is_that_of_a_linear_program(seed):
    rng = np.random.default_rng(1000 + seed)
    n, p = int(rng.integers(12, 40)), int(rng.integers(1, 4))
    X = (rng.random((n, p)) < 0.25).astype(float) if seed % 2 else rng.normal(size=(n, p))
    times = rng.integers(1, 8, n).astype(float)
    events = rng.random(n) < 0.3
    events[0] = True
    try:
        fit_cox(check_survival_data(X, times, events=events))
        is_separated = False
    except SeparationError:
        is_separated = True
    except CollinearityError:
        pytest.skip("collinear")
    assert is_separated == is_monotone(X, times, events)


@pytest.mark.parametrize(
    "column",
    [
        lambda rng, n: np.r_[50.0, rng.normal(size=n - 1)],
        lambda rng, n: rng.standard_cauchy(n),
        lambda rng, n: np.r_[np.ones(3), np.zeros(n - 3)],
        lambda rng, n: 1e-4 * rng.normal(size=n) + 1e3,
        lambda rng, n: rng.normal(size=n) ** 5,
    ],
    ids=["outlier", "cauchy", "three rows", "small", "heavy"],
)
def test_an_odd_covariate_with_a_maximum_is_not_separation(column):
    rng = np.random.default_rng(3)
    X, times, events, _ = rare_data(0, seed=3)
    X = np.column_stack([column(rng, len(X)), X[:, 2]])
    events[:3], times[:3] = [True, False, True], [5, 9, 7]
    assert np.isfinite(fit_cox(check_survival_data(X, times, events=events)).coefficients).all()
    assert np.isfinite(fit_weibull(check_survival_data(X, times, events=events)).coefficients).all()


def test_a_strong_effect_beside_collinear_columns_is_collinear():
    X, times, events, _ = rare_data(0)
    X = np.column_stack([6.0 * X[:, 2], 6.0 * X[:, 2] + 1.0, np.random.default_rng(0).normal(size=len(X))])
    for fit in (fit_cox, fit_weibull):
        with pytest.raises(CollinearityError) as found:
            fit(check_survival_data(X, times, events=events))
        assert set(found.value.columns) == {0, 1}


@pytest.mark.parametrize("ridge", [1e-4, 1.0, 25.0])
def test_the_ridge_is_that_of_lifelines_and_of_a_plain_restatement(ridge):
    from lifelines import CoxPHFitter

    X, times, events, clusters = rare_data(8, n=400)
    fit = fit_cox(check_survival_data(X, times, events=events, clusters=clusters), ridge=ridge)
    np.testing.assert_allclose(fit.coefficients, penalised(X, times, events, ridge), rtol=2e-3, atol=2e-3)
    assert np.isfinite(fit.standard_errors).all()
    assert np.isfinite(proportionality_test(check_survival_data(X, times, events=events), fit).p_value).all()
    # lifelines divides the likelihood by n and the covariates by the standard deviation with n - 1.
    n = len(X)
    frame = pd.DataFrame(X, columns=list("abc")).assign(t=times, e=events)
    theirs = CoxPHFitter(penalizer=ridge / n * (n - 1) / n).fit(frame, "t", "e", fit_options={"precision": 1e-9})
    if ridge >= 1.0:  # below, lifelines stops on its way
        np.testing.assert_allclose(fit.coefficients, theirs.params_, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("n_stopped", "family"), [(3, "cox"), (8, "cox"), (20, "cox"), (8, "weibull")])
def test_a_cohort_in_which_no_silent_student_returns_has_a_model(n_stopped, family):
    rng = np.random.default_rng(n_stopped)
    user, start = [], []
    for student in range(150):
        day, end = rng.uniform(0, 14), rng.uniform(10, 30) if student < n_stopped else 70
        while day < end:
            user.append(student)
            start.append(day)
            day += rng.exponential(3.5) + 0.1
    log = activity_log(user, start, n_users=150)
    panel = landmark_panel(log, np.arange(7, 70, 7), data_end_day=70, max_silence_days=90)
    silent = panel.covariates["days_since_last"] > 28
    assert silent.any()
    assert not (panel.is_return & (panel.duration_days <= 14))[silent].any()
    engagement = np.where(silent, np.nan, rng.uniform(0.2, 0.6, len(panel))).astype(np.float32)
    panel = replace(panel, covariates={**panel.covariates, "A_t": engagement})
    model = fit_churn(panel, ChurnSettings(family=family))
    assert model.method == {"cox": "cox_efron_ridge", "weibull": "weibull_aft_ridge"}[family]
    assert "days_since_last_beyond_28" in " ".join(model.verdict_reasons)
    risk = model.predict_silence(panel.covariates)[0]
    assert np.isfinite(risk).all()
    assert risk[silent].min() > 0.9 > risk[~silent].mean()
