"""Scores against scikit-learn, statsmodels-free restatements and their own meaning on data of known
calibration.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest_analytics.stats.verification.expectations import score_forecasts
from seedtest_analytics.stats.verification.logistic import fit_logistic
from seedtest_analytics.stats.verification.probabilities import auc, score_probabilities, wilson_interval
from seedtest_analytics.stats.verification.verdict import judge_drift, judge_forecasts, judge_probabilities


def outcomes(n, seed, slope=1.0, shift=0.0):
    """Predictions p and outcomes whose true logit is ``shift + slope * logit p``."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-0.5, 1.2, n)
    truth = 1 / (1 + np.exp(-(shift + slope * logit)))
    return 1 / (1 + np.exp(-logit)), (rng.random(n) < truth).astype(int), truth


def test_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    p, y, _ = outcomes(800, seed=1)
    score = score_probabilities(p, y)
    assert score.brier == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert score.log_score == pytest.approx(log_loss(y, p), abs=1e-12)
    assert score.auc == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    line = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(np.log(p / (1 - p))[:, None], y)
    assert score.calibration_slope == pytest.approx(line.coef_[0, 0], abs=1e-4)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.3), (1.5, -0.4)])
def test_recovers_miscalibration(slope, shift):
    """Within four standard errors, which shrink with the root of n."""
    for n in (500, 5_000, 50_000):
        p, y, truth = outcomes(n, seed=2, slope=slope, shift=shift)
        score = score_probabilities(p, y)
        assert abs(score.calibration_slope - slope) < 4 * score.calibration_slope_se
        assert score.calibration_slope_se < 4 / np.sqrt(n)
        assert abs(score.ici - np.abs(p - truth).mean()) < 2.0 / np.sqrt(n)
        if slope == 1.0:
            assert abs(score.calibration_intercept - shift) < 4 * score.calibration_intercept_se


def test_skill_is_against_the_baseline_given():
    p, y, _ = outcomes(3_000, seed=3)
    own = score_probabilities(p, y)
    assert own.brier_baseline == pytest.approx(y.mean() * (1 - y.mean()))
    assert own.brier_skill > 0.1
    assert own.baseline == "share of these outcomes"
    far = score_probabilities(p, y, baseline=0.9)
    assert far.brier_baseline == pytest.approx(np.mean((y - 0.9) ** 2))
    assert far.brier_skill > own.brier_skill
    assert score_probabilities(p, y, baseline=p).brier_skill == pytest.approx(0.0)
    assert score_probabilities(np.full(len(y), y.mean()), y).brier_skill == pytest.approx(0.0)


def test_rows_twice_with_clusters_are_no_more_certain():
    p, y, _ = outcomes(600, seed=4)
    once = score_probabilities(p, y, clusters=np.arange(600))
    twice = score_probabilities(np.tile(p, 2), np.tile(y, 2), clusters=np.tile(np.arange(600), 2))
    naive = score_probabilities(np.tile(p, 2), np.tile(y, 2))
    assert twice.calibration_slope_se == pytest.approx(once.calibration_slope_se, rel=1e-6)
    assert twice.brier_gain_se == pytest.approx(once.brier_gain_se, rel=1e-9)
    assert naive.brier_gain_se == pytest.approx(once.brier_gain_se / np.sqrt(2), rel=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_auc_counts_pairs(seed):
    rng = np.random.default_rng(seed)
    score, y = rng.integers(0, 5, 12).astype(float), rng.integers(0, 2, 12).astype(float)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[y == 1] for b in score[y == 0]]
    found = auc(score, y)[0]
    assert found == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found)


def test_auc_error_is_that_of_repeated_samples():
    repeats = [auc(*outcomes(300, seed)[:2]) for seed in range(300)]
    areas, errors = np.array(repeats).T
    assert errors.mean() == pytest.approx(areas.std(), rel=0.15)


def test_reliability_curve_holds_the_truth():
    p, y, _ = outcomes(20_000, seed=5)
    curve = score_probabilities(p, y).curve
    assert len(curve.n) == 10
    assert curve.n.sum() == 20_000
    inside = (curve.observed_lower <= curve.predicted) & (curve.predicted <= curve.observed_upper)
    assert inside.sum() >= 8
    assert (np.diff(curve.predicted) > 0).all()


def test_wilson_has_width_at_the_edges():
    lower, upper = wilson_interval([0.0, 1.0, 0.5], [10, 10, 100])
    assert lower[0] == 0
    assert 0.2 < upper[0] < 0.35
    assert upper[1] == pytest.approx(1.0, abs=1e-12)
    assert (upper > lower).all()
    assert lower[2] == pytest.approx(0.4038, abs=1e-4)


@pytest.mark.parametrize("y", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_one_kind_of_outcome_has_no_slope_and_says_so(y):
    score = score_probabilities([0.1, 0.2, 0.3, 0.4], y)
    assert np.isnan([score.auc, score.calibration_slope, score.ici]).all()
    assert np.isfinite(score.brier)
    assert score.notes == ("all outcomes are alike: no calibration line and no AUC",)


def test_alike_or_separating_predictions_say_so():
    assert "all predictions are alike" in score_probabilities([0.3] * 6, [0, 1, 0, 1, 1, 0]).notes[0]
    separated = score_probabilities([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert np.isnan(separated.calibration_slope)
    assert "separate" in separated.notes[0]
    certain = score_probabilities([0.0, 1.0, 0.0, 1.0], [0, 1, 1, 0])
    assert np.isfinite(certain.log_score)


def test_bad_probabilities_are_named():
    with pytest.raises(ValueError, match=r"2 rows .*\[1, 2\]"):
        score_probabilities([0.5, 1.2, np.nan], [0, 1, 1])
    with pytest.raises(ValueError, match="at least one"):
        score_probabilities([], [])


def test_logistic_offset_is_a_coefficient_of_one():
    p, y, _ = outcomes(4_000, seed=6, slope=1.0, shift=0.7)
    fit = fit_logistic(np.ones((4_000, 1)), y.astype(float), offset=np.log(p / (1 - p)))
    fitted = 1 / (1 + np.exp(-(fit.coefficients[0] + np.log(p / (1 - p)))))
    assert fitted.mean() == pytest.approx(y.mean(), abs=1e-8)


def test_forecast_scores():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=4_000)
    seen = truth + rng.normal(size=4_000)
    score = score_forecasts(
        truth, seen, lower=truth - 1.2816, upper=truth + 1.2816, baseline=np.zeros(4_000), level=0.8
    )
    assert score.coverage == pytest.approx(0.8, abs=0.025)
    assert score.is_covered_as_stated
    assert score.skill == pytest.approx(1 - 1 / np.sqrt(2), abs=0.02)
    assert judge_forecasts(score).is_credible
    narrow = score_forecasts(truth, seen, lower=truth - 0.5, upper=truth + 0.5, baseline=truth, level=0.8)
    reasons = judge_forecasts(narrow).reasons
    assert "80% intervals held 3" in reasons[0]
    assert narrow.interval_score > score.interval_score


def test_rows_without_evidence_do_not_count():
    score = score_forecasts(
        [1.0, 2.0, np.nan], [1.0, 9.0, 3.0], lower=[0, 0, 0], upper=[3, 3, 3], baseline=[0, 0, 0], weights=[1, 0, 1]
    )
    assert (score.n, score.mae, score.coverage) == (1, 0.0, 1.0)
    with pytest.raises(ValueError, match="no complete row"):
        score_forecasts([np.nan], [1.0], lower=[0.0], upper=[2.0], baseline=[1.0])


def test_a_model_worse_than_its_baseline_is_not_believed():
    p, y, _ = outcomes(2_000, seed=8)
    assert judge_probabilities(score_probabilities(p, y)).is_credible
    backwards = judge_probabilities(score_probabilities(1 - p, y))
    assert not backwards.is_credible
    assert "worse than the baseline" in backwards.reasons[0]
    extreme = p**4 / (p**4 + (1 - p) ** 4)
    assert any("too extreme" in reason for reason in judge_probabilities(score_probabilities(extreme, y)).reasons)


def test_drift_is_told_from_ordinary_weeks():
    """Weeks that wander by 0.02 in themselves: few false alarms, and a lasting shift of 0.12 is seen (seeds
    0..199).
    """
    alarms, seen = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        predicted = np.full(26, 0.3) + rng.normal(0, 0.02, 26)
        truth = np.clip(predicted + rng.normal(0, 0.02, 26), 0, 1)
        n = rng.integers(200, 800, 26)
        alarms += not judge_drift(rng.binomial(n, truth) / n, predicted, n=n).is_credible
        truth[-4:] += 0.12
        seen += not judge_drift(rng.binomial(n, truth) / n, predicted, n=n).is_credible
    assert alarms <= 6
    assert seen >= 190


def test_outcomes_that_weeks_share_are_not_drift():
    """A goal's probability is stated every week for a period of weeks and comes true once (seeds 0..499)."""
    alarms = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        predicted = rng.beta(2, 2, 100)
        periods = [(rng.random(100) < predicted).mean() for _ in range(3)]
        observed = np.repeat(periods, 4)
        alarms += not judge_drift(observed, np.full(12, predicted.mean()), n=np.full(12, 100)).is_credible
    assert alarms <= 8


def test_drift_needs_a_past():
    assert judge_drift([0.9] * 5, [0.1] * 5, n=[100] * 5).is_credible
