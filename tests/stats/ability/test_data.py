"""Bad input is refused with cause, rows and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

GOOD: dict[str, Any] = {"student": [0, 1], "item": [0, 0], "topic": [0, 0], "day": [0.0, 1.0], "correct": [1, 0]}


def made(**changed: Any) -> Answers:
    values = GOOD | changed
    return Answers.of(values.pop("student"), values.pop("item"), **values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"correct": [1, 2]}, "neither 0 nor 1"),
        ({"correct": [1.0, np.nan]}, "neither 0 nor 1"),
        ({"correct": [1, None]}, "neither 0 nor 1"),
        ({"day": [0.0, np.nan]}, "no finite day"),
        ({"day": [0.0, np.inf]}, "no finite day"),
        ({"student": [0, -1]}, "codes of student are negative"),
        ({"item": [0, 2**31]}, "codes of item"),
        ({"item": [0.0, 1.0]}, "item has the type float64"),
        ({"topic": [0]}, "differ in length"),
        ({"topic": [[0, 0]]}, "2 dimensions"),
    ],
)
def test_bad_answers(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(AbilityDataError, match=message):
        made(**changed)


@pytest.mark.parametrize(
    ("a", "b", "se"),
    [
        ([0.0], [1.0], [0.1]),
        ([-1.0], [1.0], [0.1]),
        ([1.0], [np.inf], [0.1]),
        ([1.0], [0.0], [-0.1]),
        ([1.0], [0.0], [np.nan]),
        ([np.nan], [0.0], [0.1]),
    ],
)
def test_bad_known_items(a: list[float], b: list[float], se: list[float]) -> None:
    with pytest.raises(AbilityDataError, match="known items need"):
        KnownItems.of(a, b, se_b=se)


def test_items_without_parameters_need_no_discrimination() -> None:
    items = KnownItems.of([np.nan, 1.5], [np.nan, 0.2], se_b=[np.nan, 0.1])
    assert items.a[0] == 1.0


@pytest.mark.parametrize(
    "values", [{"level_walk": -1.0}, {"topic_spread": np.nan}, {"level_variance": 0.0}, {"growth_days": -1.0}]
)
def test_bad_hyperparameters(values: dict[str, float]) -> None:
    with pytest.raises(AbilityDataError, match=next(iter(values))):
        Hyperparameters(**values)
