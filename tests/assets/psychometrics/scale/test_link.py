"""A calibration is linked to a scale, and the link is described as it is stored."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.psychometrics.scale import link as module
from seedtest_analytics.assets.psychometrics.scale.link import (
    Reference,
    constants_of,
    dropped_row,
    fixed_constants,
    link_onto,
    method_for,
    reference_of,
    refusal,
)
from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
from seedtest_analytics.stats.irt.model import ItemParameters
from tests.assets.psychometrics._scale import estimates

DROPPED = DroppedAnchor(7, 0.4, log_ratio_a=float("nan"), reason="its difficulty has moved")


def test_reference_parameters_have_a_diagonal_covariance_of_their_standard_errors() -> None:
    rows: Any = [
        {"item_id": "3", "a": 1.2, "b": 0.5, "c": 0.1, "se_a": 0.1, "se_b": 0.2, "se_c": None},
        {"item_id": 4, "a": 0.8, "b": -0.5, "c": 0.0},
    ]
    found = reference_of(rows, "linked", version="2026-W10", scale="2026-W10")
    assert found.parameters.item_ids.tolist() == [3, 4]
    assert found.parameters.b.tolist() == [0.5, -0.5]
    np.testing.assert_allclose(found.covariance[0], np.diag([0.01, 0.04, 0.0]))
    np.testing.assert_allclose(found.covariance[1], 0.0)
    assert (found.origin, found.version) == ("linked", "2026-W10")


@pytest.mark.parametrize(
    ("model", "linking", "method"),
    [
        ("2PL", "fixed", "stocking-lord"),
        ("2PL", "haebara", "haebara"),
        ("Rasch", "fixed", "mean-mean"),
        ("Rasch", "stocking-lord", "mean-mean"),
    ],
)
def test_the_method_follows_model_and_setting(model: str, linking: str, method: str) -> None:
    assert method_for(model, linking) == method


def linked(n_shifted: int = 0) -> tuple[Any, int]:
    """Items 1 to 12 with a = a' / 2 and b = 2 b' + 1; the items with the fewest answers are shifted."""
    ids, a, b = list(range(1, 13)), np.linspace(0.8, 1.6, 12), np.linspace(-1.5, 1.5, 12)
    items = estimates(ids, a=a.tolist(), b=b.tolist(), se=0.05)
    shift = np.where(np.arange(12) < n_shifted, 3.0, 0.0)
    own = ItemParameters.of(ids, a, b=b, c=np.zeros(12))
    theirs = ItemParameters.of([*ids[2:], 99], [*(a[2:] / 2), 1.0], b=[*(2 * b + 1 + shift)[2:], 0.0], c=np.zeros(11))
    calibration: Any = SimpleNamespace(parameters=own, items=items)
    reference = Reference(theirs, np.zeros((11, 3, 3)), origin="linked", version="2026-W09", scale="2026-W09")
    return link_onto(calibration, reference, method="stocking-lord", min_anchors=3)


def test_the_link_finds_the_constants_by_the_common_items() -> None:
    found, n_common = linked()
    assert n_common == 10
    assert (pytest.approx(2.0, abs=1e-3), pytest.approx(1.0, abs=1e-3)) == (found.A, found.B)


def test_a_link_uses_the_common_items_with_the_most_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COMMON_ITEMS", 5)
    found, n_common = linked(n_shifted=7)
    assert (n_common, found.n_anchors_used, found.dropped) == (10, 5, ())
    assert sorted(found.anchor_ids.tolist()) == [8, 9, 10, 11, 12]
    assert pytest.approx(1.0, abs=1e-3) == found.B


def test_constants_are_stored_under_the_contracts_keys() -> None:
    link: Any = SimpleNamespace(
        A=1.1,
        B=-0.2,
        n_anchors_used=9,
        method="stocking-lord",
        se_slope=0.01,
        se_intercept=float("nan"),
        criterion=1e-4,
        dropped=(DROPPED,),
    )
    reference: Any = SimpleNamespace(version="2026-W09", run_id="irt-1")
    assert constants_of(link, reference, n_common=10) == {
        "A": 1.1,
        "B": -0.2,
        "slope": 1.1,
        "intercept": -0.2,
        "n_anchors_used": 9,
        "method": "stocking-lord",
        "se_slope": 0.01,
        "se_intercept": None,
        "criterion": 1e-4,
        "onto": "2026-W09",
        "onto_run_id": "irt-1",
        "n_common": 10,
        "dropped": [dropped_row(DROPPED)],
    }
    refused = refusal("stocking-lord", reference, reason="too few")
    assert (refused["A"], refused["B"], refused["n_anchors_used"], refused["dropped"]) == (None, None, 0, [])
    assert (refused["refused"], refused["onto"]) == ("too few", "2026-W09")


def test_fixed_anchors_define_the_scale_as_it_is() -> None:
    found = fixed_constants(12, 15, dropped=[DROPPED])
    assert (found["A"], found["B"], found["n_anchors_used"], found["method"]) == (1.0, 0.0, 12, "fixed")
    assert found["n_screened"] == 15
    assert found["dropped"] == [
        {"item_id": "7", "shift_b_logit": 0.4, "log_ratio_a": None, "reason": "its difficulty has moved"}
    ]
