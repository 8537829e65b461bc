"""DIF between the groups of a covariate: fair items stay fair however far apart the abilities of the groups are."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.dif import MantelHaenszel, compare_counts, ets_classes, stratum_counts
from seedtest_analytics.stats.irt.dif_groups import GroupDif, compare_groups
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from tests.stats.irt._simulation import Simulated, simulate

N = 3_000


def joined(parts: dict[str, Simulated]) -> tuple[ResponseData, np.ndarray]:
    """One log of several groups, and each row's label."""
    users = [part.user + N * k for k, part in enumerate(parts.values())]
    items = [part.item for part in parts.values()]
    correct = [part.correct for part in parts.values()]
    data = ResponseData.from_long(np.concatenate(users), np.concatenate(items), correct=np.concatenate(correct))
    return data, np.repeat(np.array(list(parts), dtype=object), N)


def harder(items: ItemParameters, which: list[int], by: float) -> ItemParameters:
    b = items.b.copy()
    b[which] += by
    return ItemParameters.of(items.item_ids, items.a, b=b)


@pytest.fixture(scope="module")
def found() -> GroupDif:
    """Short tests (8 answers). 'north' is the reference; 'south' is weaker by 0.8, and items 6 to 11 are harder for it by
    0.9; 'west' is abler by 0.5 and nothing is the matter.
    """
    north = simulate(N, 30, 8, seed=91)
    south = simulate(N, 30, 8, seed=92, mean=-0.8, items=harder(north.items, [6, 7, 8, 9, 10, 11], 0.9))
    west = simulate(N, 30, 8, seed=93, mean=0.5, items=north.items)
    data, labels = joined({"north": north, "south": south, "west": west})
    return compare_groups(data, calibrate(data).parameters, labels=labels, reference="north")


def test_items_that_are_harder_for_one_group_are_found_for_that_group(found: GroupDif) -> None:
    assert [group.name for group in found.populations] == ["north", "south", "west"]
    moved = np.arange(6, 12)
    assert np.all(found.delta[moved, 0] < -0.9)
    assert np.all(found.ets_class[moved, 0] != "A")
    assert np.count_nonzero(found.ets_class[moved, 0] == "C") >= 4
    assert set(found.items_of_class("C")) <= set(moved.tolist())
    assert len(found.purified) >= 3
    assert found.counts()["C"] == (found.ets_class == "C").sum()
    assert found.n_tests == 60


def test_ability_alone_makes_no_dif(found: GroupDif) -> None:
    fair = np.delete(found.p[:, 0], np.arange(6, 12))
    # 24 and 30 tests at 5 %: more than 6 by chance in one of 300 runs.
    assert (fair < 0.05).sum() <= 6
    assert (found.p[:, 1] < 0.05).sum() <= 6
    # Without the items of class C in the matching the fair ones would look easier by a third of a point.
    assert abs(np.delete(found.delta[:, 0], np.arange(6, 12)).mean()) < 0.2
    means = {group.name: group.mean for group in found.populations}
    assert means["south"] - means["north"] == pytest.approx(-0.8, abs=0.12)
    assert means["west"] - means["north"] == pytest.approx(0.5, abs=0.1)


def test_rows_without_the_covariate_and_small_groups_are_left_out() -> None:
    data, labels = joined({"north": simulate(N, 20, 10, seed=94), "south": simulate(N, 20, 10, seed=95)})
    labels[:500] = None
    labels[500:560] = "tiny"
    result = compare_groups(data, calibrate(data).parameters, labels=labels)
    assert [(g.name, g.n_rows) for g in result.populations] == [("south", N), ("north", N - 560)]
    assert result.left_out == (("tiny", 60),)
    assert (result.n_reference + result.n_focal[:, 0]).sum() == data.n_answers - 560 * 10
    assert compare_groups(data, calibrate(data).parameters, labels=labels, max_groups=2, min_responses=50).left_out == (
        ("tiny", 60),
    )


@pytest.mark.parametrize(
    ("label", "reference", "message"),
    [
        ("north", None, "at least 100 students with answers: 1, but two"),
        (None, None, "groups: none"),
        ("north", "x", "reference group 'x'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_groups(
    label: str | None, reference: str | None, message: str
) -> None:
    part = simulate(N, 10, 5, seed=96)
    labels = np.full(N, label, dtype=object)
    with pytest.raises(IrtDataError, match=message):
        compare_groups(part.data, part.items, labels=labels, reference=reference)


def one_item(correct: np.ndarray, is_focal: np.ndarray, *, theta: np.ndarray) -> MantelHaenszel:
    """The test of one item in one stratum."""
    n = len(correct)
    data = ResponseData.from_long(np.arange(n), np.zeros(n, int), correct=correct)
    counts = stratum_counts(data, theta, group=is_focal.astype(int), n_groups=2, n_strata=1)
    return compare_counts(counts[..., 0], counts[..., 1], min_responses=1)


def test_mantel_haenszel_by_hand() -> None:
    """One stratum: the odds ratio of a 2 × 2 table, 30·40 / (10·20) = 6. Unmatched rows do not count."""
    correct = np.repeat([1, 0, 1, 0, 1], [30, 10, 20, 40, 30])
    theta = np.where(np.arange(130) < 100, 0.0, np.nan)
    result = one_item(correct, np.arange(130) >= 40, theta=theta)
    assert result.delta[0] == pytest.approx(-2.35 * np.log(6.0))
    assert result.se[0] == pytest.approx(2.35 * np.sqrt(1 / 30 + 1 / 10 + 1 / 20 + 1 / 40))
    expected = 40 * 50 / 100
    variance = 40 * 60 * 50 * 50 / (100**2 * 99)
    assert result.chi_square[0] == pytest.approx((abs(30 - expected) - 0.5) ** 2 / variance)


def test_a_group_that_is_always_wrong_has_the_largest_dif() -> None:
    """60 of 100 right against none of 50: half an answer in each cell, odds (60.5 / 40.5) · (50.5 / 0.5)."""
    correct = np.repeat([1, 0, 0], [60, 40, 50])
    result = one_item(correct, np.arange(150) >= 100, theta=np.zeros(150))
    assert result.delta[0] == pytest.approx(-2.35 * np.log(60.5 / 40.5 * 50.5 / 0.5))
    assert np.isfinite(result.se[0])
    assert ets_classes(result.delta, result.se, p_adjusted=result.p, alpha=0.05).tolist() == ["C"]
