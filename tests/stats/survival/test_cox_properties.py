"""What must hold on any data, checked on random ones and against plain restatements. Seeds are in the
tests.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.cox import check_survival_data, fit_cox
from seedtest_analytics.stats.survival.errors import (
    CollinearityError,
    NoEventsError,
    SeparationError,
    SurvivalDataError,
)
from seedtest_analytics.stats.survival.kaplan_meier import kaplan_meier


def tied_data(seed, n=300, p=3, n_clusters=40):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1.0, 10.0, 0.1][:p] + [0.0, 100.0, 5.0][:p]
    effect = (X - X.mean(axis=0)) / X.std(axis=0) @ np.array([0.5, -0.3, 0.2])[:p]
    times = np.ceil(rng.exponential(6.0, n) * np.exp(-effect)).clip(1, 14)
    return X, times, (rng.random(n) < 0.8) & (times < 14), rng.integers(0, n_clusters, n)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_lifelines(seed):
    from lifelines import CoxPHFitter

    X, times, events, _ = tied_data(seed)
    fit = fit_cox(check_survival_data(X, times, events=events))
    frame = pd.DataFrame(X, columns=list("abc")).assign(t=times, e=events)
    theirs = CoxPHFitter().fit(frame, "t", "e", fit_options={"precision": 1e-10})
    np.testing.assert_allclose(fit.coefficients, theirs.params_, rtol=1e-5)
    np.testing.assert_allclose(fit.standard_errors, theirs.standard_errors_, rtol=1e-5)
    assert fit.concordance == pytest.approx(theirs.concordance_index_, abs=1e-10)


def test_order_units_and_clusters_of_one_change_nothing():
    X, times, events, _ = tied_data(11)
    data = check_survival_data(X, times, events=events, clusters=np.arange(len(times)))
    fit = fit_cox(data)
    order = np.random.default_rng(1).permutation(len(times))
    shuffled = check_survival_data(
        X[order] * [2.0, 0.5, 10.0] - 7.0, times[order], events=events[order], clusters=order
    )
    other = fit_cox(shuffled)
    np.testing.assert_allclose(other.coefficients * [2.0, 0.5, 10.0], fit.coefficients, rtol=1e-8)
    np.testing.assert_allclose(other.standard_errors * [2.0, 0.5, 10.0], fit.standard_errors, rtol=1e-8)
    assert other.loglik == pytest.approx(fit.loglik, abs=1e-9)


def test_weight_two_is_the_row_twice():
    X, times, events, clusters = tied_data(12)
    weights = np.random.default_rng(2).integers(1, 4, len(times))
    weighted = fit_cox(check_survival_data(X, times, events=events, weights=weights, clusters=clusters), ties="breslow")
    rows = np.repeat(np.arange(len(times)), weights)
    repeated = fit_cox(
        check_survival_data(X[rows], times[rows], events=events[rows], clusters=clusters[rows]), ties="breslow"
    )
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=1e-8)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-7)
    np.testing.assert_allclose(weighted.standard_errors, repeated.standard_errors, rtol=1e-7)


def test_splitting_a_row_at_any_time_changes_nothing():
    X, times, events, _ = tied_data(13)
    whole = fit_cox(check_survival_data(X, times, events=events))
    cut = np.minimum(times - 0.5, 3.5)
    split = fit_cox(
        check_survival_data(
            np.vstack([X, X]),
            np.concatenate([cut, times]),
            events=np.concatenate([np.zeros(len(times), bool), events]),
            entry_times=np.concatenate([np.zeros(len(times)), cut]),
        )
    )
    np.testing.assert_allclose(split.coefficients, whole.coefficients, rtol=1e-8)
    np.testing.assert_allclose(split.covariance, whole.covariance, rtol=1e-7)
    assert split.loglik == pytest.approx(whole.loglik, abs=1e-8)


def test_single_precision_is_close():
    X, times, events, clusters = tied_data(14, n=3000)
    double = fit_cox(check_survival_data(X, times, events=events, clusters=clusters))
    single = fit_cox(check_survival_data(X.astype(np.float32), times, events=events, clusters=clusters))
    np.testing.assert_allclose(single.coefficients, double.coefficients, rtol=1e-3)
    np.testing.assert_allclose(single.standard_errors, double.standard_errors, rtol=1e-3)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_uncertainty_of_a_prediction_is_the_influence_of_the_clusters(ties):
    """The sandwich of a predicted log hazard equals the sum of squared numerical derivatives by cluster
    weight.
    """
    X, times, events, clusters = tied_data(15, n=120, n_clusters=25)
    at, horizon, step = X[:3] + 0.1, 5.0, 1e-5

    def log_hazard(weights):
        data = check_survival_data(X, times, events=events, weights=weights)
        return fit_cox(data, ties=ties).log_cumulative_hazard(at, horizon)[0]

    derivatives = [
        (log_hazard(1.0 + step * (clusters == c)) - log_hazard(1.0 - step * (clusters == c))) / (2 * step)
        for c in np.unique(clusters)
    ]
    data = check_survival_data(X, times, events=events, clusters=clusters)
    error = fit_cox(data, ties=ties, hazard_horizons=(horizon,)).log_cumulative_hazard(at, horizon)[1]
    np.testing.assert_allclose(error, np.sqrt((np.array(derivatives) ** 2).sum(axis=0)), rtol=1e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_concordance_equals_counting_pairs(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    stop = rng.integers(1, 6, n).astype(float)
    entry = np.minimum(rng.integers(0, 4, n), stop - 1).astype(float)
    events, scores = rng.random(n) < 0.6, rng.integers(0, 4, n).astype(float)
    strata = rng.integers(0, 2, n)
    good = pairs = 0.0
    for i in range(n):
        for j in range(n):
            later = stop[j] > stop[i] or (stop[j] == stop[i] and not events[j])
            if i != j and events[i] and later and entry[j] < stop[i] and strata[i] == strata[j]:
                pairs += 1
                good += (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
    found = concordance_index(stop, events, scores=scores, strata=strata, entry_times=entry)
    assert found == pytest.approx(good / pairs, abs=1e-12) if pairs else np.isnan(found)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_kaplan_meier_without_censoring_is_the_share_still_there(seed):
    rng = np.random.default_rng(seed)
    times = rng.integers(1, 10, int(rng.integers(1, 40))).astype(float)
    steps, survival = kaplan_meier(times, np.ones(len(times)))
    np.testing.assert_allclose(survival, [(times > t).mean() for t in steps], atol=1e-12)


def test_no_events_is_refused():
    X, times, events, _ = tied_data(16)
    with pytest.raises(NoEventsError, match="none of the 300 rows"):
        check_survival_data(X, times, events=np.zeros_like(events))


def test_constant_and_dependent_covariates_are_refused():
    X, times, events, _ = tied_data(17)
    constant = X.copy()
    constant[:, 1] = 3.0
    with pytest.raises(CollinearityError, match=r"\[1\] are constant"):
        fit_cox(check_survival_data(constant, times, events=events))
    with pytest.raises(CollinearityError, match="combination"):
        fit_cox(check_survival_data(np.column_stack([X, X[:, 0] + X[:, 2]]), times, events=events))


def test_separation_is_named_and_a_ridge_answers_it():
    rng = np.random.default_rng(18)
    group = (np.arange(200) < 100).astype(float)
    times = np.where(group == 1, rng.integers(1, 7, 200), 14).astype(float)
    data = check_survival_data(np.column_stack([group, rng.normal(size=200)]), times, events=times < 14)
    with pytest.raises(SeparationError, match=r"\[0\]"):
        fit_cox(data)
    fit = fit_cox(data, ridge=1.0)
    assert np.isfinite(fit.coefficients).all()
    assert fit.coefficients[0] > 2


def test_offending_rows_are_named():
    X, times, events, _ = tied_data(19)
    X[[4, 9], 0] = np.nan
    with pytest.raises(SurvivalDataError, match=r"2 rows have a missing or infinite covariate .*\[4, 9\]"):
        check_survival_data(X, times, events=events)
    with pytest.raises(SurvivalDataError, match="not before its end"):
        check_survival_data(np.nan_to_num(X), times, events=events, entry_times=times)


def test_recovers_the_truth_as_rows_grow():
    """The error of the estimate stays within four standard errors while those shrink with the root of n (seed
    5).
    """
    rng = np.random.default_rng(5)
    truth = np.array([0.4, -0.6])
    for n in (500, 5_000, 50_000):
        X = rng.normal(size=(n, 2))
        times = np.ceil(rng.exponential(1.0, n) * 400 * np.exp(-X @ truth))
        fit = fit_cox(check_survival_data(X, np.minimum(times, 500), events=times < 500))
        assert (np.abs(fit.coefficients - truth) < 4 * fit.standard_errors).all()
        assert (fit.standard_errors < 3.0 / np.sqrt(n)).all()
