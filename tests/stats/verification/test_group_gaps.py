"""ABROCA against an independent computation, and verdicts on simulated students with and without a gap.

Figures of the simulations have fixed seeds; their tolerances are those of the number of repetitions.
"""

import numpy as np
import pytest
from scipy.special import expit

from seedtest_analytics.stats.verification.group_gaps import abroca, compare_group, judge_gaps
from seedtest_analytics.stats.verification.probabilities import auc, clustered_auc, score_probabilities


def students(seed, n_focal=60, n_reference=150, rows=4, noise=0.0, shift=0.0, lean=0.0):
    """Predictions, outcomes, focal group and student by row.

    ``noise``: SD of what blurs the focal group's predictions (logit); ``shift``: how much higher its level is;
    ``lean``: how much more often the event happens there than predicted (logit).
    """
    random = np.random.default_rng(seed)
    n = n_focal + n_reference
    student = np.repeat(np.arange(n), rows)
    focal = student < n_focal
    logit = (random.normal(0, 1, n) + shift * (np.arange(n) < n_focal))[student] + random.normal(0, 0.7, n * rows)
    own = random.normal(0, 0.5, n)[student]
    happened = random.random(n * rows) < expit(logit + own + lean * focal)
    return expit(logit + noise * focal * random.normal(0, 1, n * rows)), happened, focal, student


def compared(seed, n_exchanges=199, **made):
    p, y, focal, student = students(seed, **made)
    return compare_group(p, y, is_focal=focal, clusters=student, n_exchanges=n_exchanges, seed=seed)


@pytest.mark.parametrize("decimals", [15, 1])
@pytest.mark.parametrize("seed", range(3))
def test_abroca_is_the_area_between_scikit_learns_curves(seed, decimals):
    """By a fine grid between their corners, also with many equal scores and with curves that cross."""
    from sklearn.metrics import roc_curve

    p, y, focal, _ = students(seed, noise=0.5)
    p = p.round(decimals)
    grid = (np.arange(400_000) + 0.5) / 400_000
    heights = []
    for rows in (focal, ~focal):
        x, height, _ = roc_curve(y[rows], p[rows], drop_intermediate=False)
        heights.append(np.interp(grid, x, height))
    assert abroca(p, y, is_focal=focal) == pytest.approx(np.abs(heights[0] - heights[1]).mean(), abs=2e-5)


def test_abroca_of_curves_that_do_not_cross_is_the_gap_of_auc_and_of_crossing_ones_more():
    y = np.array([1, 1, 0, 0, 1, 0, 1, 0])
    focal = np.arange(8) < 4
    assert abroca([4, 3, 2, 1, 4, 3, 2, 1], y, is_focal=focal) == pytest.approx(1.0 - 0.75)
    # Two curves with an AUC of one half: one rises first, the other last.
    y, score = np.array([1, 0, 0, 1, 0, 1, 1, 0]), np.array([4, 3, 2, 1, 4, 3, 2, 1])
    assert auc(score[focal], y[focal])[0] == auc(score[~focal], y[~focal])[0] == 0.5
    assert abroca(score, y, is_focal=focal) == pytest.approx(0.5)
    assert np.isnan(abroca([1, 2, 3, 4], [1, 1, 0, 1], is_focal=[1, 1, 0, 0]))


def test_abroca_depends_on_the_order_of_scores_within_the_groups_alone():
    p, y, focal, _ = students(4)
    assert abroca(np.where(focal, p**3 / 2, p), y, is_focal=focal) == pytest.approx(abroca(p, y, is_focal=focal))


@pytest.mark.parametrize(
    "made", [{"rows": 1, "n_focal": 150, "n_reference": 300, "shift": 1.5}, {"rows": 8}, {"rows": 8, "shift": 1.0}]
)
@pytest.mark.parametrize("n", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_groups_without_a_gap_have_nominal_false_alarms(made, n):
    """Also with other base rates, and where students have many rows: n cohorts, at 5 %."""
    found = [compared(seed, n_exchanges=99, **made) for seed in range(n)]
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
    assert np.mean([f.p_abroca <= 0.05 for f in found]) < limit
    assert np.mean([f.p_intercept < 0.05 for f in found]) < limit
    gaps, errors = np.array([f.auc_gap for f in found]), np.array([f.auc_gap_se for f in found])
    assert gaps.std() == pytest.approx(errors.mean(), rel=0.35 if n < 100 else 0.15)


def test_rows_of_one_student_are_not_taken_for_students():
    """With each row as a separate student the errors would be too small by about a fifth."""
    p, y, _, student = students(1, rows=12)
    by_student, by_row = (clustered_auc(p, y, clusters=c)[1] for c in (student, np.arange(len(p))))
    assert by_student > 1.15 * by_row
    assert by_row == pytest.approx(auc(p, y)[1], rel=1e-3)


def test_a_known_gap_is_found_as_often_as_is_stated():
    """Blurred predictions of a fifth of the students, in 30 cohorts."""
    found = [compared(seed, n_focal=120, n_reference=300, noise=1.2) for seed in range(30)]
    judged = [judge_gaps([f])[0] for f in found]
    size, least = np.mean([f.abroca for f in found]), np.mean([j.least_abroca for j in judged])
    share = np.mean([j.ranking == "gap" for j in judged])
    error = np.sqrt(0.25 / 30)
    # The gap is a little smaller than what is found with 80 %.
    assert 0.9 * least < size < least
    assert 0.8 - 4 * error < share < 0.8 + error
    strong = [judge_gaps([compared(seed, n_focal=120, n_reference=300, noise=2.5)])[0].ranking for seed in range(4)]
    assert strong == ["gap"] * 4


def test_a_lean_of_the_outcomes_is_a_gap_of_calibration_and_not_of_ranking():
    found = compared(3, n_focal=200, n_reference=400, lean=0.8)
    (judged,) = judge_gaps([found])
    assert (judged.ranking, judged.calibration) == ("no_gap_found", "gap")
    assert found.intercept_gap == pytest.approx(0.8, abs=4 * found.intercept_gap_se)


@pytest.mark.parametrize("n", [50, 200, 800])
def test_the_gap_of_calibration_comes_closer_with_more_students(n):
    found = [compared(seed, n_focal=n, n_reference=2 * n, lean=0.4, n_exchanges=19) for seed in range(8)]
    error = np.mean([f.intercept_gap_se for f in found])
    assert np.mean([f.intercept_gap for f in found]) == pytest.approx(0.4, abs=3 * error / np.sqrt(8))
    assert error < 2.5 / np.sqrt(n)


def test_few_students_cannot_be_judged_and_many_without_a_gap_are_cleared():
    few, many = compared(5, n_focal=25, n_reference=40), compared(5, n_focal=400, n_reference=800)
    verdicts = [judge_gaps([found])[0] for found in (few, many)]
    assert [v.ranking for v in verdicts] == ["cannot_be_judged", "no_gap_found"]
    assert [v.calibration for v in verdicts] == ["cannot_be_judged", "no_gap_found"]
    assert verdicts[0].least_abroca > 2 * verdicts[1].least_abroca
    together = judge_gaps([few] * 9)[0]
    assert together.least_abroca > verdicts[0].least_abroca


def test_too_little_has_its_reason_and_equal_predictions_say_nothing():
    assert compared(1, n_focal=19).reason == "the group has 19 students; it needs 20"
    p, y, focal, student = students(2)
    rare = compare_group(p, y & ~focal, is_focal=focal, clusters=student, n_exchanges=19)
    assert rare.reason == "the group has 0 events among 240 predictions; it needs 10 of either kind"
    same = compare_group(np.full(len(y), 0.4), y, is_focal=focal, clusters=student, n_exchanges=19)
    assert (same.reason, same.abroca) == ("all predictions are alike", 0.0)
    assert [j.ranking for j in judge_gaps([rare, same])] == ["cannot_be_judged"] * 2
    with pytest.raises(ValueError, match="in both groups"):
        compare_group(p, y, is_focal=np.arange(len(y)) % 2 == 0, clusters=student)


def test_the_gain_of_auc_beside_a_baseline_has_the_error_of_its_students():
    """The baseline is the prediction with noise; the error is that of 200 resamples of students."""
    p, y, _, student = students(7, n_focal=100, n_reference=200)
    random = np.random.default_rng(1)
    base = expit(np.log(p / (1 - p)) + random.normal(0, 1, len(p)))
    score = score_probabilities(p, y, baseline=base, clusters=student)
    assert score.auc_gain == pytest.approx(auc(p, y)[0] - auc(base, y)[0])
    rows = np.arange(len(p)).reshape(-1, 4)
    gains = []
    for _ in range(200):
        drawn = rows[random.integers(0, len(rows), len(rows))].ravel()
        gains.append(auc(p[drawn], y[drawn])[0] - auc(base[drawn], y[drawn])[0])
    assert score.auc_gain_se == pytest.approx(np.std(gains), rel=0.2)
