"""A fit's id is the same for the same week, settings and data, and differs where one of them does."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.partitions import Week

WEEK = Week(dt.date(2026, 11, 9), dt.datetime(2026, 11, 16, tzinfo=dt.UTC), timezone="UTC")
SETTINGS = {"model": "2PL", "points": 61}
DATA = np.array([1, 2, 3])


def id_of(week: Week = WEEK, *, settings: Any = SETTINGS, data: Any = (DATA, "items")) -> str:
    return fit_id("mirt", week, settings=settings, data=data)


def test_an_id_names_model_and_week_and_never_changes() -> None:
    """Stored rows are found again by it, so a digest that changes would duplicate them."""
    assert id_of() == "mirt-2026-W46-017cdc1494"
    assert id_of(settings=dict(reversed(SETTINGS.items()))) == id_of()


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {**SETTINGS, "points": 41}},
        {"data": (DATA[::-1], "items")},
        {"data": ("items", DATA)},
        {"data": (DATA, "item", "s")},
        {"data": (DATA,)},
    ],
)
def test_another_setting_or_other_data_is_another_fit(other: dict[str, Any]) -> None:
    assert id_of(**other) != id_of()
    assert id_of(**other).startswith("mirt-2026-W46-")
