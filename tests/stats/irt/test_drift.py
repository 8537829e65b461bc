"""Drift between calibrations, and the numbers behind the plots."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from seedtest_analytics.stats.irt.curves import characteristic_curves, drift_forest
from seedtest_analytics.stats.irt.drift import DriftThresholds, item_drift
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.linking import Link, link
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import ItemEstimates
from tests.stats.irt._simulation import Simulated, simulate


@pytest.fixture(scope="module")
def periods() -> tuple[Simulated, Simulated]:
    """The same items three months apart; item 10 became easier by 0.8, item 9 lost discrimination."""
    before = simulate(4_000, 30, 20, seed=71)
    a, b = before.items.a.copy(), before.items.b.copy()
    b[10] -= 0.8
    a[9] *= 0.45
    later = ItemParameters.of(before.items.item_ids, a, b=b)
    return before, simulate(4_000, 30, 20, seed=72, mean=0.5, sd=0.8, items=later)


def test_drift_is_found_on_the_common_scale(periods: tuple[Simulated, Simulated]) -> None:
    baseline, recent = (calibrate(period.data) for period in periods)
    scale = link(
        recent.parameters,
        baseline.parameters,
        covariance_new=recent.items.covariance,
        covariance_old=baseline.items.covariance,
    )
    assert pytest.approx((0.8, 0.5), abs=0.1) == (scale.A, scale.B)
    assert [anchor.item_id for anchor in scale.dropped] == [9, 10]
    drift = item_drift(baseline.items, recent.items, link=scale)
    alerts = {(alert.item_id, alert.metric): alert for alert in drift.alerts}
    assert set(alerts) >= {(10, "delta_b"), (9, "delta_a"), (10, "b_ci_separation")}
    assert {item for item, _ in alerts} == {9, 10}
    assert alerts[10, "delta_b"].severity == "severe"
    assert alerts[10, "delta_b"].value == pytest.approx(-0.8, abs=0.25)
    assert drift.share_with_alert == pytest.approx(2 / 30)
    stable = np.setdiff1d(np.arange(30), [9, 10])
    z = drift.delta[stable, 1] / drift.se_delta[stable, 1]
    assert 0.6 < z.std() < 1.4
    # Without the link the abler cohort makes every item look easier.
    unlinked = item_drift(baseline.items, recent.items, link=Link.identity())
    assert len({alert.item_id for alert in unlinked.alerts}) > 15
    forest = drift_forest(drift, 5)
    assert forest.item_ids[0] in (9, 10)
    assert forest.has_alert[0]
    assert np.all((forest.lower < forest.delta_b) & (forest.delta_b < forest.upper))


def test_standard_errors_of_changes_by_hand() -> None:
    """One item, link A = 2, B = 1 with errors: variances transform with A, and the link's own are added."""

    def estimates(a: float, b: float, se_a: float, se_b: float) -> ItemEstimates:
        one = np.ones(1)
        return ItemEstimates(
            item_ids=np.array(["x"]),
            a=a * one,
            b=b * one,
            c=0 * one,
            se_a=se_a * one,
            se_b=se_b * one,
            se_c=0 * one,
            covariance=np.diag([se_a**2, se_b**2, 0.0])[None],
            n_responses=np.array([500]),
            p_correct=0.5 * one,
            status=np.array(["estimated"]),
            flag=np.array([None]),
            component=np.array([0]),
        )

    scale = Link(
        2.0,
        1.0,
        se_slope=0.05,
        se_intercept=0.07,
        cov_slope_intercept=0.001,
        method="haebara",
        criterion=0.0,
        anchor_ids=np.array([]),
    )
    drift = item_drift(estimates(0.7, 1.9, 0.08, 0.10), estimates(1.2, 0.5, 0.06, 0.09), link=scale)
    assert drift.delta[0, 0] == pytest.approx(1.2 / 2 - 0.7)
    assert drift.delta[0, 1] == pytest.approx(2 * 0.5 + 1 - 1.9)
    assert drift.se_delta[0, 0] == pytest.approx(np.sqrt(0.08**2 + (0.06 / 2) ** 2 + (1.2 / 4 * 0.05) ** 2))
    link_variance = (0.5 * 0.05) ** 2 + 0.07**2 + 2 * 0.5 * 0.001
    assert drift.se_delta[0, 1] == pytest.approx(np.sqrt(0.10**2 + (2 * 0.09) ** 2 + link_variance))
    p = 2 * norm.sf(np.abs(drift.delta[0, :2]) / drift.se_delta[0, :2])
    assert drift.p_adjusted[0, :2] == pytest.approx(np.minimum(2 * p, p.max()))
    assert np.isnan(drift.p_adjusted[0, 2])


def test_items_with_few_answers_are_skipped_and_named(periods: tuple[Simulated, Simulated]) -> None:
    baseline, recent = (calibrate(period.data) for period in periods)
    none = item_drift(
        baseline.items, recent.items, link=Link.identity(), thresholds=DriftThresholds(min_responses=100_000)
    )
    assert (len(none.skipped), none.verdicts, none.share_with_alert) == (30, [], 0.0)
    n = np.sort(baseline.items.n_responses)[5]
    drift = item_drift(
        baseline.items, recent.items, link=Link.identity(), thresholds=DriftThresholds(min_responses=int(n) + 1)
    )
    assert len(drift.item_ids) + len(drift.skipped) == 30
    assert len(drift.skipped) >= 6


@pytest.mark.long
def test_no_drift_gives_no_alert() -> None:
    """Twelve pairs of calibrations of the same items: 30 items × 2 tests each, hardly a false alert."""
    false = 0
    for seed in range(12):
        first = simulate(1_000, 30, 15, seed=100 + seed)
        second = simulate(1_000, 30, 15, seed=200 + seed, items=first.items)
        baseline, recent = calibrate(first.data), calibrate(second.data)
        scale = link(
            recent.parameters,
            baseline.parameters,
            covariance_new=recent.items.covariance,
            covariance_old=baseline.items.covariance,
        )
        false += len({alert.item_id for alert in item_drift(baseline.items, recent.items, link=scale).alerts})
    assert false <= 3


@pytest.mark.long
def test_the_stated_power_is_the_observed_one() -> None:
    """24 pairs of calibrations, in which 2 of 16 items move by 0.5 logits. 48 moves are found as often as stated.

    The tolerance is four binomial errors of the 48 moves.
    """
    stated, found = [], []
    for seed in range(24):
        before = simulate(900, 16, 8, seed=1_300 + seed)
        b = before.items.b.copy()
        b[[3, 8]] += 0.5
        items = ItemParameters.of(before.items.item_ids, before.items.a, b=b)
        later = simulate(900, 16, 8, seed=1_400 + seed, items=items)
        baseline, recent = (calibrate(period.data) for period in (before, later))
        drift = item_drift(baseline.items, recent.items, link=Link.identity())
        assert drift.severe_shift == 0.5
        moved = {alert.item_id for alert in drift.alerts if alert.metric == "delta_b"}
        for item in (3, 8):
            stated.append(drift.power[drift.item_ids == item][0])
            found.append(item in moved)
    expected = float(np.mean(stated))
    assert 0.1 < expected < 0.95
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(found)))


def test_power_and_the_smallest_change_by_hand(periods: tuple[Simulated, Simulated]) -> None:
    """An alert needs 0.25 logits and p below the next step of the adjustment; 80 % are found 0.84 errors above that."""
    baseline, recent = (calibrate(period.data) for period in periods)
    drift = item_drift(baseline.items, recent.items, link=Link.identity(), thresholds=DriftThresholds(alpha=0.05))
    n_tests = int(np.isfinite(drift.p_adjusted).sum())
    n_found = int((drift.p_adjusted < 0.05).sum())
    z = norm.isf(0.05 * min(n_found + 1, n_tests) / n_tests / 2)
    cut = np.maximum(0.25, z * drift.se_delta[:, 1])
    assert drift.minimum_detectable == pytest.approx(cut + norm.ppf(0.8) * drift.se_delta[:, 1])
    upper, lower = norm.sf(cut, 0.5, drift.se_delta[:, 1]), norm.cdf(-cut, 0.5, drift.se_delta[:, 1])
    assert drift.power == pytest.approx(upper + lower)
    moved = {alert.item_id for alert in drift.alerts}
    for item, power, verdict in zip(drift.item_ids, drift.power, drift.verdicts, strict=True):
        assert verdict == ("moved" if item in moved else "no_drift" if power >= 0.8 else "cannot_be_judged")


def test_curves_are_spread_over_the_difficulties() -> None:
    items = ItemParameters.of(np.arange(40), np.ones(40), b=np.linspace(2, -2, 40))
    curves = characteristic_curves(items, 6)
    assert curves.item_ids.tolist() == [39, 31, 23, 16, 8, 0]
    assert curves.probability.shape == (6, 81)
    assert np.all(np.diff(curves.probability, axis=1) > 0)
