"""Linking: published constants and standard errors, invariants, drifted anchors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.stats.irt.errors import LinkingError
from seedtest_analytics.stats.irt.link_anchors import AnchorRule
from seedtest_analytics.stats.irt.linking import METHODS, Link, LinkGrid, LinkMethod, link
from seedtest_analytics.stats.irt.model import ItemParameters
from tests._shared import shared
from tests.stats.irt._references import column


def published() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(shared("data/irt/published_equating_constants.json").read_text())
    return result


def kolen_brennan() -> tuple[ItemParameters, ItemParameters]:
    """The common items of forms X (new) and Y (old): Kolen & Brennan 2004, table 6.5."""
    items = pd.read_csv(shared("data/irt/kb04_item_parameters.csv"))
    common = pd.read_csv(shared("data/irt/kb04_common_items.csv"))
    forms = []
    for name, numbers in (("X_new", common["form_x_item"]), ("Y_old", common["form_y_item"])):
        form = items[items["form"] == name].set_index("item").loc[numbers]
        forms.append(ItemParameters.of(np.arange(len(form)), form["a"], b=form["b"], c=form["c"]))
    return forms[0], forms[1]


def uniform(points: int) -> LinkGrid:
    """Equally spaced points of equal weight, as in Kolen & Brennan's examples."""
    return LinkGrid(np.linspace(-4.0, 4.0, points), np.full(points, 1.0 / points))


@pytest.mark.reference
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("direction", ["new_to_old", "old_to_new"])
def test_kolen_and_brennan(method: LinkMethod, direction: str) -> None:
    """All four constants, both ways; the last of six printed digits is truncated in some."""
    new, old = kolen_brennan() if direction == "new_to_old" else kolen_brennan()[::-1]
    A, B = published()["kb04"][f"constants_{direction}"][method.replace("-", "_")]
    found = link(new, old, method=method, grid=uniform(40), rule=None)
    assert pytest.approx(A, abs=1.1e-6) == found.A
    assert pytest.approx(B, abs=1.1e-6) == found.B
    assert found.n_anchors_used == 12


def items_of(rows: list[dict[str, Any]]) -> ItemParameters:
    c = np.nan_to_num(column(rows, "g"))
    return ItemParameters.of([row["item"] for row in rows], column(rows, "a"), b=column(rows, "b"), c=c)


@pytest.mark.reference
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", ["pl2", "pl3_noisy"])
@pytest.mark.parametrize(("weights", "grid"), [("normal", LinkGrid.normal()), ("uniform", uniform(81))])
def test_reference_constants(method: LinkMethod, pair: str, weights: str, grid: LinkGrid) -> None:
    references = json.loads(shared("reference/linking/link_refs.json").read_text())[pair]
    x, y = (
        (references["formX"]["items"], references["formY"]["items"])
        if pair == "pl2"
        else (references["X"], references["Y"])
    )
    found = link(items_of(y), items_of(x), method=method, grid=grid, rule=None)
    expected = references["constants"][f"{weights}_weights_grid(-4,4,0.1)_oneway"][method.replace("-", "_")]
    assert pytest.approx(expected["A"], abs=1e-7) == found.A
    assert pytest.approx(expected["B"], abs=1e-7) == found.B
    if "criterion" in expected:
        assert found.criterion == pytest.approx(expected["criterion"], abs=1e-10)


def equateirt_form(number: int) -> tuple[ItemParameters, np.ndarray]:
    """Items of a 2PL form of equateIRT with the full covariance of (a, b, c); raw order is all d, then all a."""
    frame = pd.read_csv(shared("data/irt/equateirt_item_parameters.csv"))
    form = frame[(frame["set"] == "est2pl") & (frame["form"] == number)]
    raw = pd.read_csv(shared(f"data/irt/equateirt_est2pl_form{number}_vcov.csv"), header=None).to_numpy()
    d, a = form["raw_col1"].to_numpy(), form["raw_col2"].to_numpy()
    n = len(form)
    jacobian = np.zeros((3 * n, 2 * n))
    for i in range(n):
        jacobian[3 * i, n + i] = 1.0
        jacobian[3 * i + 1, [i, n + i]] = -1.0 / a[i], d[i] / a[i] ** 2
    return ItemParameters.of(form["item"].to_numpy(), a, b=-d / a), jacobian @ raw @ jacobian.T


@pytest.mark.reference
@pytest.mark.parametrize("method", ["mean-mean", "haebara"])
def test_published_standard_errors(method: LinkMethod) -> None:
    """equateIRT (Battauz 2015), test 1 to test 5, Gauss-Hermite 30 points: estimates and errors as printed."""
    (new, covariance_new), (old, covariance_old) = equateirt_form(1), equateirt_form(5)
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    found = link(
        new,
        old,
        method=method,
        rule=None,
        grid=LinkGrid(nodes, weights / weights.sum()),
        covariance_new=covariance_new,
        covariance_old=covariance_old,
    )
    expected = published()["equateIRT_est2pl"][f"direct_{method.replace('-', '_')}_test1_test5"]
    assert (found.A, found.se_slope) == pytest.approx(tuple(expected["A"]), abs=6e-6)
    assert (found.B, found.se_intercept) == pytest.approx(tuple(expected["B"]), abs=6e-6)


def exact_pair(n: int, A: float, B: float, seed: int) -> tuple[ItemParameters, ItemParameters]:
    random = np.random.default_rng(seed)
    a, b, c = np.exp(random.normal(0, 0.3, n)), random.normal(0, 1, n), random.uniform(0, 0.25, n)
    new = ItemParameters.of(np.arange(n), a, b=b, c=c)
    return new, ItemParameters.of(np.arange(n), a / A, b=A * b + B, c=c)


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_transformation_is_found_and_applied(method: LinkMethod) -> None:
    new, old = exact_pair(15, 1.3, -0.4, seed=1)
    found = link(new, old, method=method)
    assert pytest.approx((1.3, -0.4), abs=1e-6) == (found.A, found.B)
    assert found.dropped == ()
    np.testing.assert_allclose(new.a / found.A, old.a, rtol=1e-6)
    np.testing.assert_allclose(found.A * new.b + found.B, old.b, atol=1e-6)
    back = link(old, new, method=method)
    assert pytest.approx((1.0, 0.0), abs=1e-6) == (back.A * found.A, back.B + back.A * found.B)


@pytest.mark.parametrize("method", METHODS)
def test_drifted_anchors_are_dropped_and_named(method: LinkMethod) -> None:
    new, old = exact_pair(20, 1.2, 0.3, seed=2)
    random = np.random.default_rng(3)
    b = old.b + random.normal(0, 0.05, 20)
    a = old.a * np.exp(random.normal(0, 0.05, 20))
    b[[4, 9]] += [0.9, -1.1]
    a[13] *= 2.5
    moved = ItemParameters(old.item_ids, a, b=b, c=old.c)
    robust, naive = link(new, moved, method=method), link(new, moved, method=method, rule=None)
    assert sorted(anchor.item_id for anchor in robust.dropped) == [4, 9, 13]
    shifts = {anchor.item_id: anchor for anchor in robust.dropped}
    assert shifts[4].shift_b == pytest.approx(0.9, abs=0.2)
    assert "difficulty moved by +" in shifts[4].reason
    assert "slope changed" in shifts[13].reason
    assert robust.n_anchors_used == 17
    assert pytest.approx((1.2, 0.3), abs=0.06) == (robust.A, robust.B)
    assert abs(robust.A - 1.2) + abs(robust.B - 0.3) < abs(naive.A - 1.2) + abs(naive.B - 0.3)


def test_uncertain_anchors_are_not_called_drifted() -> None:
    new, old = exact_pair(20, 1.0, 0.0, seed=4)
    b = old.b.copy()
    b[3] += 0.6
    moved = ItemParameters(old.item_ids, old.a, b=b, c=old.c)
    assert [anchor.item_id for anchor in link(new, moved).dropped] == [3]
    covariance = np.zeros((20, 3, 3))
    covariance[3, 1, 1] = 0.4**2
    assert link(new, moved, covariance_old=covariance).dropped == ()


@pytest.mark.parametrize("n_anchors", [10, 40])
def test_one_link_in_a_hundred_drops_an_anchor_by_chance(n_anchors: int) -> None:
    n_links, n_dropping = 1200, 0
    for seed in range(n_links):
        random = np.random.default_rng(20_000 + seed)
        se = random.uniform(0.05, 0.3, (2, n_anchors))
        b = random.normal(size=n_anchors)
        ids, a, zero = np.arange(n_anchors), np.ones(n_anchors), np.zeros(n_anchors)
        new, old = (ItemParameters(ids, a, b=b + s * random.normal(size=n_anchors), c=zero) for s in se)
        covariances = np.zeros((2, n_anchors, 3, 3))
        covariances[:, :, 1, 1] = se**2
        found = link(new, old, covariance_new=covariances[0], covariance_old=covariances[1])
        n_dropping += len(found.dropped) > 0
    assert n_dropping / n_links < AnchorRule().false_alarms + 3 * np.sqrt(0.01 / n_links)


def test_too_few_and_contradictory_anchors_are_refused() -> None:
    new, old = exact_pair(4, 1.0, 0.0, seed=5)
    with pytest.raises(LinkingError, match="4 common items with usable parameters, 5 are needed"):
        link(new, old)
    new, old = exact_pair(20, 1.0, 0.0, seed=6)
    half = old.b + np.repeat([0.0, 1.5], [11, 9])
    with pytest.raises(LinkingError, match="9 of 20 anchors have drifted apart"):
        link(new, ItemParameters(old.item_ids, old.a, b=half, c=old.c))
    with pytest.raises(LinkingError, match="they share no scale"):
        link(new, ItemParameters(old.item_ids, old.a, b=np.roll(2 * old.b, 7), c=old.c))


def test_items_with_a_wrong_key_are_no_anchors() -> None:
    new, old = exact_pair(8, 1.1, 0.2, seed=7)
    a = new.a.copy()
    a[0] = -a[0]
    found = link(ItemParameters(new.item_ids, a, b=new.b, c=new.c), old)
    assert 0 not in found.anchor_ids
    assert pytest.approx(1.1, abs=1e-6) == found.A


def test_standard_errors_are_those_of_repetition() -> None:
    """Delta method against 400 replications of noisy parameters, Stocking-Lord."""
    new, old = exact_pair(25, 1.2, 0.3, seed=8)
    sd = np.array([0.05, 0.08, 0.0])
    covariance = np.tile(np.diag(sd**2), (25, 1, 1))
    random = np.random.default_rng(9)
    found = []
    for _ in range(400):
        noise = random.normal(size=(25, 3)) * sd
        noisy = ItemParameters(new.item_ids, new.a + noise[:, 0], b=new.b + noise[:, 1], c=new.c)
        result = link(noisy, old, rule=None)
        found.append((result.A, result.B))
    one = link(new, old, rule=None, covariance_new=covariance)
    assert np.std(found, axis=0) == pytest.approx((one.se_slope, one.se_intercept), rel=0.12)
    assert np.isnan(link(new, old).se_slope)


def test_identity() -> None:
    same = Link.identity()
    assert (same.A, same.B, same.method) == (1.0, 0.0, "identity")
    assert not same.covariance.any()
