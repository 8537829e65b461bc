"""Item fit, person fit, item information."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.fit import item_fit, person_fit
from seedtest_analytics.stats.irt.model import ItemParameters, information
from tests.stats.irt._simulation import simulate

QUICK = CalibrationConfig(standard_errors="none")


def test_item_fit_rejects_a_true_model_at_its_level() -> None:
    """400 items in 10 sparse data sets, level 0.05: a binomial share within four of its standard errors."""
    p = []
    for seed in range(10):
        data = simulate(1_500, 40, 12, seed=seed).data
        fit = item_fit(data, calibrate(data, QUICK))
        p.append(fit.p)
        assert fit.n.sum() == data.n_answers
    values = np.concatenate(p)
    assert np.isfinite(values).all()
    assert np.mean(values < 0.05) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400))
    assert np.mean(values) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 400))


def test_item_fit_finds_a_curve_that_is_no_logistic() -> None:
    made = simulate(4_000, 40, 15, seed=61)
    odd = made.item == 5
    # Falls before it rises: no logistic curve does that.
    p = np.select([made.theta[made.user] > 0.8, made.theta[made.user] > -0.8], [0.95, 0.25], 0.6)
    correct = np.where(odd, np.random.default_rng(62).random(len(p)) < p, made.correct)
    data = ResponseData.from_long(made.user, made.item, correct=correct)
    fit = item_fit(data, calibrate(data, QUICK))
    place = np.flatnonzero(fit.item_ids == 5)[0]
    assert fit.is_misfit[place]
    assert fit.p_adjusted[place] < 1e-6
    assert fit.rmsd[place] > 0.1
    assert np.delete(fit.is_misfit, place).sum() == 0
    assert np.median(np.delete(fit.rmsd, place)) < 0.02


def test_items_with_few_answers_have_no_test_rather_than_a_wrong_one() -> None:
    data = simulate(60, 20, 6, seed=63).data
    fit = item_fit(data, calibrate(data, QUICK))
    assert np.array_equal(np.isnan(fit.p), fit.df <= 0)
    assert (fit.df <= 2).all()


def test_person_fit_has_its_distribution_and_finds_guessers() -> None:
    made = simulate(6_000, 60, 30, seed=64)
    guesser = made.user < 300
    correct = np.where(guesser, np.random.default_rng(65).random(len(made.user)) < 0.5, made.correct)
    fit = person_fit(ResponseData.from_long(made.user, made.item, correct=correct), made.items)
    honest = fit.l_z_star[300:]
    assert honest.mean() == pytest.approx(0.0, abs=0.12)
    assert honest.std() == pytest.approx(1.0, abs=0.08)
    # Uncorrected, the estimated ability makes the spread too small.
    assert fit.l_z[300:].std() < honest.std()
    assert np.mean(fit.p[300:] < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(fit.p[:300] < 0.05) > 0.4


def test_person_fit_needs_answers() -> None:
    data = ResponseData.from_long([1] * 3 + [2] * 6, [0, 1, 2, 0, 1, 2, 3, 4, 5], correct=[1, 0, 1, 1, 0, 1, 0, 1, 1])
    items = ItemParameters.of(np.arange(6), np.ones(6), b=np.linspace(-1, 1, 6))
    fit = person_fit(data, items)
    assert np.isnan(fit.l_z[0])
    assert np.isfinite(fit.l_z_star[1])


def test_information_by_hand() -> None:
    items = ItemParameters.of([1, 2], [1.0, 2.0], b=[0.0, 0.0], c=[0.0, 0.2])
    # 2PL: a² P Q = 0.25. 3PL: a² (Q / P) ((P - c) / (1 - c))² = 4 · (0.4 / 0.6) · 0.25.
    assert information([0.0], items)[:, 0] == pytest.approx([0.25, 4 * (0.4 / 0.6) * 0.25])
