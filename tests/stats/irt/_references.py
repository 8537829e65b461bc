"""Data and results of mirt 1.47, read from the shared folder."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import ItemParameters
from tests._shared import shared
from tests.stats.irt._simulation import from_matrix


@cache
def classic(name: str) -> ResponseData:
    """LSAT6, LSAT7, SAT12: complete matrices."""
    return from_matrix(pd.read_csv(shared(f"reference/irt/mirt_{name}_data.csv")).to_numpy())


@cache
def simulated(name: str) -> ResponseData:
    """Long ``user,item,correct`` of the simulated sets."""
    frame = pd.read_csv(shared(f"reference/irt/{name}.csv.gz"))
    return ResponseData.from_long(frame["user"], frame["item"], correct=frame["correct"])


@cache
def reference(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(shared(f"reference/irt/{name}.json").read_text())
    return result


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """Values of one field; NaN for null."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=float)


def reference_items(name: str) -> ItemParameters:
    rows = reference(name)["items_irt"]
    return ItemParameters.of(np.arange(len(rows)), column(rows, "a"), b=column(rows, "b"), c=column(rows, "g"))
