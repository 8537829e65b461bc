"""The filter against plain arithmetic, scores against their stated meaning, and students by the thousand."""

import numpy as np
import pytest
from scipy import stats

from seedtest_analytics.stats.forecasts.expectation import expect_students
from seedtest_analytics.stats.forecasts.local_level import (
    DIFFUSE,
    LocalLevel,
    checked_rows,
    fit_pooled_level,
    one_step,
    walk_local_level,
)
from seedtest_analytics.stats.forecasts.scores import anomaly_scores, t_to_z


def students(n, weeks, seed, signal=0.03, noise=0.5):
    """Levels that wander, seen through noise that shrinks with the answers behind a week; a fifth of weeks
    are empty.
    """
    rng = np.random.default_rng(seed)
    evidence = rng.integers(5, 80, (n, weeks)) * (rng.random((n, weeks)) < 0.8)
    level = 0.05 + rng.normal(0, 0.1, (n, 1)) + np.cumsum(rng.normal(0, signal, (n, weeks)), axis=1)
    values = level + rng.normal(size=(n, weeks)) * noise / np.sqrt(np.maximum(evidence, 1))
    return np.where(evidence > 0, values, np.nan), evidence.astype(float), level


def test_without_drift_it_is_the_weighted_mean_so_far():
    values, evidence, _ = students(5, 12, seed=1)
    y, w = checked_rows(values, evidence)
    model = LocalLevel(0.0, 0.0, start_ratio=DIFFUSE, start_level=0.0, noise_sd=1.0, reference_evidence=10.0)
    expected = one_step(y, w, model=model).expected
    for u in range(5):
        for t in range(12):
            earlier = np.flatnonzero(np.isfinite(values[u, :t]))
            plain = np.average(values[u, earlier], weights=evidence[u, earlier]) if len(earlier) else np.nan
            assert expected[u, t] == pytest.approx(plain, abs=1e-4, nan_ok=True)


def test_with_all_drift_it_is_the_last_value():
    y, w = checked_rows([[1.0, 5.0, np.nan, 2.0, 9.0]], None)
    expected = one_step(
        y, w, model=LocalLevel(1e4, 1.0, start_ratio=DIFFUSE, start_level=0.0, noise_sd=1.0, reference_evidence=1.0)
    ).expected[0]
    np.testing.assert_allclose(expected, [np.nan, 1.0, 5.0, 5.0, 2.0], atol=1e-2)


def test_agrees_with_the_joint_normal_distribution():
    """The filter's forecast and variance equal conditioning the multivariate normal of levels and
    observations.
    """
    values, evidence, _ = students(1, 8, seed=2)
    y, w = checked_rows(values, evidence)
    model = LocalLevel(0.3, 0.1, start_ratio=1.5, start_level=0.2, noise_sd=1.0, reference_evidence=30.0)
    steps = one_step(y, w, model=model)
    index = np.arange(8)
    level = 1.5 + 0.3 * np.minimum.outer(index, index)
    noise = model.relative_variance(w)[0]
    for t in index:
        earlier = np.flatnonzero(np.isfinite(y[0, :t]))
        inverse = np.linalg.inv(level[np.ix_(earlier, earlier)] + np.diag(noise[earlier]))
        mean = 0.2 + level[t, earlier] @ inverse @ (y[0, earlier] - 0.2)
        variance = level[t, t] - level[t, earlier] @ inverse @ level[earlier, t]
        assert steps.expected[0, t] == pytest.approx(mean)
        if np.isfinite(y[0, t]):
            assert steps.relative_sd[0, t] ** 2 == pytest.approx(variance + noise[t])


def test_no_week_enters_its_own_or_an_earlier_expectation():
    values, evidence, _ = students(1, 20, seed=3)
    y, w = checked_rows(values, evidence)
    whole = walk_local_level(y[0], w[0])
    changed = y[0].copy()
    changed[12:] = 100.0
    other = walk_local_level(changed, np.where(np.arange(20) >= 12, 7.0, w[0]))
    np.testing.assert_array_equal(whole.expected[:13], other.expected[:13])
    np.testing.assert_array_equal(whole.relative_sd[:12], other.relative_sd[:12])


def test_finds_the_drift_and_what_evidence_is_worth():
    chosen = [
        fit_pooled_level(*checked_rows(*students(3000, 26, 4, signal, noise)[:2]))
        for signal, noise in ((0.0, 0.5), (0.1, 0.5))
    ]
    assert chosen[0].signal_ratio == 0.0
    assert chosen[1].signal_ratio >= 0.3
    assert all(model.common_share <= 0.1 for model in chosen)
    rng = np.random.default_rng(5)
    y, w = checked_rows(rng.normal(size=(3000, 26)), rng.integers(1, 50, (3000, 26)))
    assert fit_pooled_level(y, w).common_share == 1.0


def test_students_scores_are_standard_normal_and_shocks_are_seen():
    values, evidence, level = students(4000, 20, seed=6)
    result = expect_students(values, evidence)
    scores = result.anomaly[np.isfinite(result.anomaly)]
    assert scores.std() == pytest.approx(1.0, abs=0.04)
    assert (np.abs(scores) > 2.5).mean() == pytest.approx(0.0124, abs=0.004)
    shocked = values.copy()
    shocked[:200, -1] -= 8 * result.model.noise_sd
    after = expect_students(shocked, evidence)
    seen = np.isfinite(after.anomaly[:200, -1])
    assert (after.anomaly[:200, -1][seen] < -2.5).mean() > 0.8
    unknown = np.full((len(values), 1), np.nan)
    following = expect_students(np.hstack([values, unknown]), np.hstack([evidence, unknown])).expected[:, -1]
    error = np.nanmean((following - level[:, -1]) ** 2)
    naive = np.nanmean((values[:, -1] - level[:, -1]) ** 2)
    assert error < 0.5 * naive


def test_a_student_without_history_has_no_expectation():
    values = np.full((3, 6), np.nan)
    values[1, :3] = 0.1
    values[2] = [0.1, 0.2, 0.1, 0.2, 0.1, 0.2]
    result = expect_students(values)
    assert np.isnan(result.expected[0]).all()
    assert np.isfinite(result.expected[1]).tolist() == [False] * 3 + [True] * 3
    assert np.isnan(result.anomaly[1]).all()
    assert np.isfinite(result.anomaly[2]).tolist() == [False] * 3 + [True] * 3
    assert np.isnan(expect_students(np.full((2, 4), np.nan)).anomaly).all()


def test_scores_have_the_stated_false_alarm_rate_at_any_length():
    """20,000 quiet series: the share beyond 2.5 in the week after 4, 8 and 20 errors is that of the normal
    (seed 8).
    """
    rng = np.random.default_rng(8)
    for length in (5, 9, 21):
        errors = rng.normal(size=(4_000, length))
        sd = np.ones((length, length))
        last = np.array([anomaly_scores(row, sd)[-1] for row in errors])
        expected = 2 * stats.norm.sf(2.5)
        assert (np.abs(last) >= 2.5).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 4_000))


def test_z_keeps_tail_probabilities_and_sign():
    for t, freedom in ((2.0, 3), (-4.0, 7), (12.0, 30)):
        z = t_to_z(t, freedom)
        assert stats.norm.sf(abs(z)) == pytest.approx(stats.t.sf(abs(t), freedom), rel=1e-6)
        assert np.sign(z) == np.sign(t)
    assert t_to_z(1e300, 50) > 30


def test_negative_evidence_is_refused():
    with pytest.raises(ValueError, match="1 weeks have negative evidence"):
        expect_students([[1.0, 2.0]], [[1.0, -1.0]])
