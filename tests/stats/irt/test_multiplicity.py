"""Adjusted p-values against the formula, with NaN."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.irt.multiplicity import adjust


def by_formula(p: np.ndarray) -> np.ndarray:
    """min over j ≥ k of p₍ⱼ₎ m / j, over the values that are not NaN."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


@pytest.mark.parametrize("seed", range(50))
def test_random_p_values_agree_with_the_formula_to_two_roundings(seed: int) -> None:
    """p (m / j) and p m / j round differently, so the last of 16 digits may differ; 15 digits never do."""
    random = np.random.default_rng(seed)
    p = random.random(random.integers(1, 500)) ** random.integers(1, 4)
    p[random.random(len(p)) < 0.1] = np.nan
    p[: len(p) // 5] = p[0]
    expected = by_formula(p)
    found = adjust(p)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(p))
    known = np.isfinite(p)
    np.testing.assert_array_max_ulp(found[known], expected[known], maxulp=2)


def test_adjusted_p_values_by_hand() -> None:
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005, np.nan])
    expected = np.array([0.02, 0.04, np.nan, 0.04, 0.02, np.nan])
    np.testing.assert_allclose(adjust(p), expected)
    np.testing.assert_array_equal(adjust(p.reshape(2, 3)), adjust(p).reshape(2, 3))
    assert np.isnan(adjust(np.full(3, np.nan))).all()
    assert len(adjust(np.zeros(0))) == 0
