"""Calibration: invariants, recovery, items set aside, the verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest_analytics.stats.irt import estimation
from seedtest_analytics.stats.irt.config import Beta, CalibrationConfig, ItemPriors, LogNormal, Normal, Quadrature
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import AnchorError, IrtDataError, UnidentifiedModelError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.scoring import score
from tests.stats.irt._references import classic
from tests.stats.irt._simulation import Simulated, from_matrix, simulate

TIGHT = CalibrationConfig(tolerance=1e-7)


@pytest.fixture(scope="module")
def small() -> Simulated:
    return simulate(800, 20, 12, seed=101)


@pytest.fixture(scope="module")
def fitted(small: Simulated) -> Calibration:
    return calibrate(small.data, TIGHT)


def assert_same(
    one: Calibration, other: Calibration, order: np.ndarray | slice = slice(None), atol: float = 1e-6
) -> None:
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    for name in ("a", "b", "se_a", "se_b"):
        np.testing.assert_allclose(getattr(other.items, name)[order], getattr(one.items, name), atol=atol)


@pytest.mark.long
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter_to_the_last_bit(small: Simulated, fitted: Calibration, seed: int) -> None:
    shuffle = np.random.default_rng(seed).permutation(len(small.user))
    again = calibrate(
        ResponseData.from_long(small.user[shuffle], small.item[shuffle], correct=small.correct[shuffle]), TIGHT
    )
    np.testing.assert_array_equal(again.items.a, fitted.items.a)
    np.testing.assert_array_equal(again.items.se_b, fitted.items.se_b)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_names_of_items_and_users_do_not_matter(small: Simulated, fitted: Calibration, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = np.array([f"item-{k}" for k in random.permutation(20)])
    users = random.permutation(800)
    again = calibrate(ResponseData.from_long(users[small.user], names[small.item], correct=small.correct), TIGHT)
    order = np.array([np.flatnonzero(again.items.item_ids == names[k])[0] for k in range(20)])
    assert_same(fitted, again, order)


def test_a_cohort_twice_doubles_the_information(small: Simulated, fitted: Calibration) -> None:
    twice = calibrate(
        ResponseData.from_long(
            np.concatenate([small.user, small.user + 10_000]), np.tile(small.item, 2), correct=np.tile(small.correct, 2)
        ),
        TIGHT,
    )
    weighted = calibrate(
        ResponseData.from_long(small.user, small.item, correct=small.correct, weight=np.full(len(small.user), 2.0)),
        TIGHT,
    )
    for calibration in (twice, weighted):
        np.testing.assert_allclose(calibration.items.b, fitted.items.b, atol=1e-5)
        np.testing.assert_allclose(calibration.items.se_b * np.sqrt(2.0), fitted.items.se_b, rtol=1e-4)
        assert calibration.log_likelihood == pytest.approx(2.0 * fitted.log_likelihood, abs=1e-5)


def test_students_with_all_right_or_all_wrong_belong_to_the_sample(small: Simulated, fitted: Calibration) -> None:
    user = np.concatenate([small.user, np.repeat([9_001, 9_002], 12)])
    item = np.concatenate([small.item, np.tile(np.arange(12), 2)])
    correct = np.concatenate([small.correct, np.repeat([0, 1], 12)])
    calibration = calibrate(ResponseData.from_long(user, item, correct=correct), TIGHT)
    assert calibration.converged
    assert calibration.n_rows == 802
    assert np.abs(calibration.items.b - fitted.items.b).max() < 0.3


def test_results_do_not_depend_on_threads() -> None:
    data = simulate(3_000, 40, 15, seed=7).data
    one, three = (calibrate(data, CalibrationConfig(threads=n)) for n in (1, 3))
    assert one.log_likelihood == three.log_likelihood
    np.testing.assert_array_equal(one.items.a, three.items.a)
    np.testing.assert_array_equal(one.items.se_b, three.items.se_b)


@pytest.mark.long
def test_single_precision_search_ends_at_the_same_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    from seedtest_analytics.stats.irt import estimation

    data = simulate(2_000, 30, 15, seed=8).data
    monkeypatch.setattr(estimation, "_SINGLE_PRECISION_ANSWERS", 1)
    mixed = calibrate(data, CalibrationConfig(tolerance=1e-6))
    double = calibrate(data, CalibrationConfig(tolerance=1e-6, precision="double"))
    np.testing.assert_allclose(mixed.items.a, double.items.a, atol=1e-5)
    assert mixed.log_likelihood == pytest.approx(double.log_likelihood, abs=1e-6)


@pytest.mark.parametrize(("n_users", "seed"), [(500, 11), (2_000, 12), (8_000, 13)])
def test_recovery_within_the_standard_errors(n_users: int, seed: int) -> None:
    """Root mean squares of z = (estimate - truth) / SE near 1, so tolerances shrink as 1 / sqrt(N)."""
    made = simulate(n_users, 40, 20, seed=seed)
    items = calibrate(made.data).items
    for name, truth in (("a", made.items.a), ("b", made.items.b)):
        z = (getattr(items, name) - truth) / getattr(items, f"se_{name}")
        # 40 squared normals: 0.99 quantile of their mean is 1.6; the scale's own error adds a little.
        assert 0.6 < np.sqrt(np.mean(z**2)) < 1.4, name
        assert np.median(getattr(items, f"se_{name}")) < 6.5 / np.sqrt(n_users)


def test_rasch_recovers_the_spread_of_abilities() -> None:
    truth = ItemParameters.of(np.arange(20), np.ones(20), b=np.linspace(-2, 2, 20))
    made = simulate(4_000, 20, 20, seed=21, sd=1.5, items=truth)
    calibration = calibrate(made.data, CalibrationConfig(model="Rasch"))
    assert calibration.group_sd[0] == pytest.approx(1.5, abs=4 * calibration.group_sd_se[0])
    np.testing.assert_allclose(calibration.items.b, truth.b, atol=4 * calibration.items.se_b.max())


def test_3pl_with_its_default_prior_recovers_curves() -> None:
    made = simulate(6_000, 30, 30, seed=22, c=0.2)
    calibration = calibrate(made.data, CalibrationConfig(model="3PL"))
    assert calibration.converged
    theta = np.linspace(-2, 2, 9)
    ours = calibration.parameters
    from seedtest_analytics.stats.irt.model import probability

    assert np.abs(probability(theta, ours) - probability(theta, made.items)).mean() < 0.02


def test_3pl_without_a_prior_on_the_asymptote_is_refused() -> None:
    with pytest.raises(UnidentifiedModelError, match="flat in c"):
        CalibrationConfig(model="3PL", priors=ItemPriors())


def test_two_populations() -> None:
    """The second group's mean and SD are free; items are common."""
    first = simulate(2_000, 30, 20, seed=31)
    second = simulate(2_000, 30, 20, seed=32, mean=0.8, sd=1.3, items=first.items)
    data = ResponseData.from_long(
        np.concatenate([first.user, second.user + 10_000]),
        np.concatenate([first.item, second.item]),
        correct=np.concatenate([first.correct, second.correct]),
        group=np.repeat(["a", "b"], [len(first.user), len(second.user)]),
    )
    calibration = calibrate(data)
    assert calibration.group_ids is not None
    assert calibration.group_ids.tolist() == ["a", "b"]
    assert calibration.group_mean[0] == 0.0
    assert calibration.group_mean[1] == pytest.approx(0.8, abs=4 * calibration.group_mean_se[1])
    assert calibration.group_sd[1] == pytest.approx(1.3, abs=4 * calibration.group_sd_se[1])
    assert 0.01 < calibration.group_mean_se[1] < 0.1


def test_items_are_set_aside_with_their_reasons(small: Simulated) -> None:
    user = np.concatenate([small.user, np.arange(5), np.arange(40), np.arange(40)])
    item = np.concatenate([small.item, np.full(5, 90), np.full(40, 91), np.full(40, 92)])
    correct = np.concatenate([small.correct, [0, 1, 0, 1, 0], np.ones(40, int), np.zeros(40, int)])
    calibration = calibrate(ResponseData.from_long(user, item, correct=correct))
    frame = calibration.items.frame().set_index("item_id")
    assert frame.loc[90, "flag"] == "few_responses"
    assert frame.loc[91, "flag"] == "one_category"
    assert frame.loc[92, "flag"] == "one_category"
    assert calibration.set_aside == {"few_responses": 1, "one_category": 2}
    assert frame.loc[[90, 91, 92], ["a", "b", "se_a"]].isna().all(axis=None)
    assert frame.loc[:19, "status"].eq("estimated").all()
    assert calibration.verdict.usable
    assert len(calibration.verdict.warnings) == 2


def test_a_wrong_key_is_flagged_and_not_scored_with(small: Simulated) -> None:
    correct = np.where(small.item == 3, 1 - small.correct, small.correct)
    calibration = calibrate(ResponseData.from_long(small.user, small.item, correct=correct))
    assert calibration.items.flag[3] == "negative_discrimination"
    assert calibration.items.a[3] < 0
    assert 3 not in calibration.parameters.item_ids
    assert calibration.verdict.usable
    assert any("wrong key" in warning for warning in calibration.verdict.warnings)


@pytest.mark.long
@pytest.mark.parametrize(("model", "n_persons"), [("2PL", 1_500), ("2PL", 12_000), ("3PL", 6_000), ("3PL", 20_000)])
@pytest.mark.parametrize("slope", [-0.5, -1.0, -2.0])
def test_a_wrong_key_is_found_under_priors_that_forbid_it(model: ModelName, n_persons: int, slope: float) -> None:
    """The priors of the platform have no density at a < 0, where the likelihood of such an item pulls."""
    random = np.random.default_rng(23)
    a = random.lognormal(0.0, 0.3, 40)
    a[3] = slope
    items = ItemParameters.of(np.arange(40), a, b=random.normal(0.0, 1.0, 40))
    made = simulate(n_persons, 40, 20, seed=24, items=items)
    c = Beta() if model == "3PL" else None
    priors = ItemPriors(a=LogNormal(0.0, 0.5), b=Normal(0.0, 2.0), c=c)
    calibration = calibrate(made.data, CalibrationConfig(model=model, priors=priors))
    assert calibration.verdict.usable, calibration.verdict.reasons
    assert calibration.n_iterations < 40
    assert np.flatnonzero(calibration.items.flag == "negative_discrimination").tolist() == [3]
    assert 3 not in calibration.parameters.item_ids
    assert any("wrong key" in warning for warning in calibration.verdict.warnings)


def test_an_item_that_says_nothing_is_no_wrong_key() -> None:
    """With a = 0 the answers are noise; the flag is for what chance does not explain."""
    random = np.random.default_rng(25)
    a = np.where(np.arange(40) < 10, 0.0001, random.lognormal(0.0, 0.3, 40))
    items = ItemParameters.of(np.arange(40), a, b=np.where(a < 0.1, 0.0, random.normal(0.0, 1.0, 40)))
    made = simulate(3_000, 40, 20, seed=26, items=items)
    priors = ItemPriors(a=LogNormal(0.0, 0.5), b=Normal(0.0, 2.0))
    calibration = calibrate(made.data, CalibrationConfig(priors=priors))
    assert (calibration.items.flag[:10] == "low_discrimination").all()
    assert not (calibration.items.flag == "negative_discrimination").any()


def test_unlinked_blocks_are_reported(small: Simulated) -> None:
    user = np.concatenate([small.user, small.user + 10_000])
    item = np.concatenate([small.item, small.item + 100])
    calibration = calibrate(ResponseData.from_long(user, item, correct=np.tile(small.correct, 2)))
    assert calibration.n_components == 2
    assert any("2 parts that share no row" in warning for warning in calibration.verdict.warnings)
    assert sorted(np.bincount(calibration.items.component).tolist()) == [20, 20]


def test_an_anchor_in_each_part_links_them(small: Simulated) -> None:
    user = np.concatenate([small.user, small.user + 10_000])
    item = np.concatenate([small.item, small.item + 100])
    data = ResponseData.from_long(user, item, correct=np.tile(small.correct, 2))
    first = small.items.take(np.arange(5))
    ids = np.concatenate([np.arange(5), np.arange(100, 105)])
    both = ItemParameters.of(ids, np.tile(first.a, 2), b=np.tile(first.b, 2))
    one_sided = calibrate(data, CalibrationConfig(anchors=first))
    assert (one_sided.items.flag == "unlinked").sum() == 20
    assert (calibrate(data, CalibrationConfig(anchors=both)).items.flag == "unlinked").sum() == 0


def test_ids_of_different_types_are_an_error_and_not_no_anchors(small: Simulated) -> None:
    anchors = ItemParameters.of(np.array([str(k) for k in range(8)]), small.items.a[:8], b=small.items.b[:8])
    with pytest.raises(IrtDataError, match="convert one"):
        calibrate(small.data, CalibrationConfig(anchors=anchors))


def test_too_few_passes_are_not_usable(small: Simulated) -> None:
    calibration = calibrate(small.data, CalibrationConfig(max_iterations=2))
    assert not calibration.converged
    assert not calibration.verdict.usable
    assert "not converged after 2 passes" in calibration.verdict.reasons[0]


@pytest.mark.long
def test_a_population_beyond_the_quadrature_is_not_usable() -> None:
    truth = ItemParameters.of(np.arange(20), np.ones(20), b=np.linspace(-2, 2, 20))
    made = simulate(2_000, 20, 20, seed=41, sd=2.0, items=truth)
    narrow = CalibrationConfig(model="Rasch", quadrature=Quadrature(21, -2.0, upper=2.0))
    assert any("ends of the quadrature" in reason for reason in calibrate(made.data, narrow).verdict.reasons)


@pytest.mark.long
@pytest.mark.parametrize("precision", ["double", "mixed"])
def test_a_student_with_tens_of_thousands_of_answers_is_one_like_any_other(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log-likelihood of such a row lies far below any other's at every point of the grid."""
    monkeypatch.setattr(estimation, "_SINGLE_PRECISION_ANSWERS", 1000)
    n_items, random = 60, np.random.default_rng(17)
    a, b = random.lognormal(0.0, 0.2, n_items), random.normal(0.0, 1.0, n_items)
    student = np.concatenate([np.repeat(np.arange(2_000), 20), np.full(40_000, 2_000)])
    item = random.integers(0, n_items, len(student))
    theta = np.append(random.normal(0.0, 1.0, 2_000), 0.3)[student]
    correct = random.random(len(item)) < 1.0 / (1.0 + np.exp(-a[item] * (theta - b[item])))
    data = ResponseData.from_long(student, item, correct=correct, duplicates="keep")
    priors = ItemPriors(a=LogNormal(0.0, 0.5), b=Normal(0.0, 2.0))
    fit = calibrate(data, CalibrationConfig(precision=precision, priors=priors, max_full_parameters=0))
    assert fit.verdict.usable, fit.verdict.reasons
    assert -0.7 * len(item) < fit.log_likelihood < 0.0
    found = score(data, fit.parameters)
    assert abs(found.theta[2_000] - 0.3) < 4 * 0.1
    assert found.se[2_000] < 0.05


def test_nothing_to_calibrate_is_an_error_with_the_remedy() -> None:
    with pytest.raises(IrtDataError, match="lower min_responses"):
        calibrate(ResponseData.from_long([1, 2], [1, 1], correct=[0, 1]))
    with pytest.raises(IrtDataError, match="min_rows=30"):
        calibrate(from_matrix(np.eye(12)[:, :4]), CalibrationConfig(min_responses=2))


def test_too_few_anchors_are_an_error(small: Simulated) -> None:
    anchors = ItemParameters.of([0, 1, 2, 555, 556], np.ones(5), b=np.zeros(5))
    with pytest.raises(AnchorError, match="3 of 5 anchors have answers and 5 are needed"):
        calibrate(small.data, CalibrationConfig(anchors=anchors))


def test_anchored_scale_finds_an_abler_population(small: Simulated) -> None:
    later = simulate(3_000, 20, 12, seed=51, mean=0.6, sd=0.8, items=small.items)
    anchors = small.items.take(np.arange(8))
    calibration = calibrate(later.data, CalibrationConfig(anchors=anchors))
    assert calibration.group_mean[0] == pytest.approx(0.6, abs=4 * calibration.group_mean_se[0])
    assert calibration.group_sd[0] == pytest.approx(0.8, abs=4 * calibration.group_sd_se[0])
    z = (calibration.items.b - small.items.b)[8:] / calibration.items.se_b[8:]
    assert np.sqrt(np.mean(z**2)) < 1.8
    np.testing.assert_array_equal(calibration.items.se_b[:8], 0.0)


@pytest.mark.reference
def test_block_standard_errors_are_those_of_each_item_alone() -> None:
    full = calibrate(classic("SAT12"))
    block = calibrate(classic("SAT12"), CalibrationConfig(standard_errors="block"))
    assert (full.standard_error_method, block.standard_error_method) == ("full", "block")
    # The others' parameters taken as known: never larger.
    assert np.all(block.items.se_b <= full.items.se_b + 1e-9)
    assert np.median(block.items.se_b / full.items.se_b) > 0.8
    none = calibrate(classic("SAT12"), CalibrationConfig(standard_errors="none"))
    assert np.isnan(none.items.se_a).all()
    assert "no_standard_error" not in none.items.flag


def test_repeated_answers_can_be_kept(small: Simulated) -> None:
    """A row may answer an item twice; the information of both answers is its covariance with itself, too."""
    twice = ResponseData.from_long(
        np.tile(small.user, 2), np.tile(small.item, 2), correct=np.tile(small.correct, 2), duplicates="keep"
    )
    calibration = calibrate(twice)
    assert calibration.n_answers == 2 * len(small.user)
    assert calibration.standard_error_method == "full"
    assert np.isfinite(calibration.items.se_b).all()
