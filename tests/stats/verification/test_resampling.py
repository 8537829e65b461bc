"""Intervals over students, against resamples of rows and against standard errors by student."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from seedtest_analytics.stats.verification.probabilities import clustered_auc, score_probabilities
from seedtest_analytics.stats.verification.resampling import MEASURES, Students, prediction_intervals

Floats = NDArray[np.float64]


def log_of(n_students: int, seed: int, *, each: int = 20) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Too extreme predictions of outcomes that depend on each other within a student; students differ in their rows."""
    random = np.random.default_rng(seed)
    student = np.repeat(np.arange(n_students), random.integers(1, 2 * each, n_students))
    logit = random.normal(0, 1, len(student))
    chance = 1 / (1 + np.exp(-(logit + random.normal(0, 0.8, n_students)[student])))
    outcome = (random.random(len(student)) < chance).astype(float)
    return np.round(1 / (1 + np.exp(-1.4 * logit)), 2).clip(0.01, 0.99), outcome, student


def test_values_are_the_scores_and_limits_lie_around_them() -> None:
    p, y, student = log_of(150, 1)
    found = prediction_intervals(p, y, clusters=student)
    score = score_probabilities(p, y)
    assert tuple(found) == MEASURES
    for name, interval in found.items():
        assert interval.value == pytest.approx(getattr(score, name), rel=1e-9), name
        assert interval.lower < interval.value < interval.upper
    assert found["calibration_slope"].upper < 1


def test_limits_are_those_of_rows_of_students_that_are_drawn_with_replacement() -> None:
    p, y, student = log_of(60, 2)
    found = prediction_intervals(p, y, clusters=student, resamples=60, seed=5)
    random, own = np.random.default_rng(5), [np.flatnonzero(student == code) for code in range(60)]
    scores = []
    for _ in range(60):
        rows = np.concatenate([own[code] for code in random.integers(0, 60, 60)])
        scores.append(score_probabilities(p[rows], y[rows]))
    for name, tolerance in (
        ("auc", 1e-9),
        ("log_score", 1e-9),
        ("brier", 1e-9),
        ("calibration_slope", 0.01),
        ("ici", 0.004),
    ):
        limits = np.quantile([getattr(score, name) for score in scores], [0.025, 0.975])
        assert (found[name].lower, found[name].upper) == pytest.approx(tuple(limits), abs=tolerance), name


def test_limits_are_as_wide_as_the_errors_by_student() -> None:
    p, y, student = log_of(400, 3)
    found = prediction_intervals(p, y, clusters=student, resamples=1000)
    errors = {
        "auc": clustered_auc(p, y, clusters=student)[1],
        "calibration_slope": score_probabilities(p, y, clusters=student).calibration_slope_se,
    }
    for name, error in errors.items():
        assert (found[name].upper - found[name].lower) / (2 * 1.96) == pytest.approx(error, rel=0.12), name


def test_what_is_not_defined_has_no_interval() -> None:
    student = np.arange(40) // 2
    alike = prediction_intervals(np.linspace(0.1, 0.9, 40), np.ones(40), clusters=student, resamples=20)
    assert {name for name in MEASURES if np.isnan(alike[name].value)} == {"auc", "calibration_slope", "ici"}
    assert np.isnan([alike["auc"].lower, alike["auc"].upper]).all()
    assert alike["brier"].lower < alike["brier"].upper
    same = prediction_intervals(np.full(40, 0.4), student % 2, clusters=student, resamples=20)
    assert np.isnan(same["calibration_slope"].value)
    assert same["auc"].value == same["auc"].lower == same["auc"].upper == 0.5
    with pytest.raises(ValueError, match="nobody to resample"):
        Students.of([])
    with pytest.raises(ValueError, match="one for each row"):
        Students.of(student).mean_of(np.ones(39))
