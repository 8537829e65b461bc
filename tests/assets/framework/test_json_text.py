"""Values as JSON: a number that is not finite becomes null, wherever it stands."""

import json
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.framework.json_text import finite_or_none, json_text, plain


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -np.inf, np.float32("nan"), np.array([np.nan]), None])
def test_what_is_not_finite_is_null(number: Any) -> None:
    assert finite_or_none(number) is None


@pytest.mark.parametrize("number", [1.5, np.float64(1.5), np.array([1.5]), np.float32(1.5)])
def test_a_finite_number_is_a_float(number: Any) -> None:
    assert finite_or_none(number) == 1.5
    assert type(finite_or_none(number)) is float


def test_nested_values_keep_their_shape() -> None:
    value = {
        "mean": np.array([[0.5, np.nan], [1.0, np.inf]]),
        1: (np.float64("nan"), 2, True, None, "대수"),
        "empty": {},
        "n": np.int64(3),
    }
    expected = {"mean": [[0.5, None], [1.0, None]], "1": [None, 2, True, None, "대수"], "empty": {}, "n": 3}
    assert plain(value) == expected
    assert json.loads(json_text(value)) == expected
    assert "대수" in json_text(value)


def test_what_json_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError):
        json_text({"at": object()})
