"""Numbers behind the plots of items; the assets draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import count, numbers
from seedtest_analytics.stats.irt.drift import DriftResult
from seedtest_analytics.stats.irt.model import ItemParameters, probability

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CharacteristicCurves:
    """``probability`` (n_shown, n_theta) of a right answer over ``theta`` (n_theta,)."""

    item_ids: NDArray[Any]
    theta: Floats
    probability: Floats


def characteristic_curves(
    items: ItemParameters, n_shown: int = 12, *, theta: ArrayLike | None = None
) -> CharacteristicCurves:
    """Curves of up to ``n_shown`` items, evenly spaced in the order of difficulty.

    Raises ValueError for ``n_shown`` below 1, or abilities ``theta`` that are not (n_theta,) finite numbers.
    """
    count(n_shown, "n_shown", low=1)
    at = np.linspace(-4.0, 4.0, 81) if theta is None else numbers(theta, "theta")
    order = np.argsort(items.b, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(n_shown, len(order))).round().astype(int))]
    picked = items.take(shown)
    return CharacteristicCurves(picked.item_ids, at, probability=probability(at, picked))


@dataclass(frozen=True, eq=False)
class DriftForest:
    """Changes of difficulty with 95 % intervals, alerts first, then by z; all (n_shown,).

    ``is_judged``: an item that did not move would have been found if it had moved severely.
    """

    item_ids: NDArray[Any]
    delta_b: Floats
    lower: Floats
    upper: Floats
    has_alert: NDArray[np.bool_]
    is_judged: NDArray[np.bool_]
    threshold: float


def drift_forest(drift: DriftResult, n_shown: int = 30) -> DriftForest:
    """The items whose difficulty changed most clearly. By size alone the least certain items would come first.

    Raises ValueError for ``n_shown`` below 1.
    """
    count(n_shown, "n_shown", low=1)
    alerted = {alert.item_id for alert in drift.alerts}
    is_alerted = np.isin(drift.item_ids, list(alerted))
    delta, se = drift.delta[:, 1], drift.se_delta[:, 1]
    order = np.lexsort((-np.abs(delta / se), ~is_alerted))[:n_shown]
    delta, half = delta[order], 1.96 * se[order]
    return DriftForest(
        drift.item_ids[order],
        delta,
        lower=delta - half,
        upper=delta + half,
        has_alert=is_alerted[order],
        is_judged=np.array(drift.verdicts)[order] != "cannot_be_judged",
        threshold=drift.thresholds.delta_b,
    )
