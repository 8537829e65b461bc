"""The unidimensional logistic models, on the logit metric (D = 1).

P(x = 1 | θ) = c + (1 − c) · logistic(a (θ − b)), with a θ − a b = a θ + d in slope-intercept form.

Rasch fixes a = 1 and c = 0; the 2PL fixes c = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import LARGEST, array_of, codes, floats, numbers
from seedtest_analytics.stats.irt.errors import IrtDataError

Floats = NDArray[np.float64]
ModelName = Literal["Rasch", "2PL", "3PL"]


@dataclass(frozen=True, eq=False)
class ItemParameters:
    """Item parameters, all (n_items,): discrimination a (1/logit), difficulty b (logit), lower asymptote c.

    The object does not record its scale. Whoever passes it on names the scale: a calibration's own scale, or the
    platform scale after linking. Raises IrtDataError for repeated or missing items, arrays of other shapes,
    a = 0, values that are not numbers, and c outside [0, 1).
    """

    item_ids: NDArray[Any]
    a: Floats
    b: Floats
    c: Floats

    def __post_init__(self) -> None:
        ids = array_of(self.item_ids, "item ids", error=IrtDataError)
        if codes(ids, "item id", length=ids.size, error=IrtDataError)[1] != len(ids):
            raise IrtDataError("an item has two sets of parameters; keep one")
        if not self.a.shape == self.b.shape == self.c.shape == ids.shape:
            raise IrtDataError(
                f"parameters of shapes {self.a.shape}, {self.b.shape} and {self.c.shape} for {len(ids)} items: give one each"
            )
        is_number = (np.abs(self.a) <= LARGEST) & (np.abs(self.b) <= LARGEST)
        fine = is_number & (self.a != 0) & (self.c >= 0) & (self.c < 1)
        if not bool(fine.all()):
            bad = self.item_ids[~fine][:5].tolist()
            raise IrtDataError(
                f"invalid parameters of {int((~fine).sum())} items ({bad}): need finite a ≠ 0 and b, 0 ≤ c < 1"
            )

    @classmethod
    def of(cls, item_ids: ArrayLike, a: ArrayLike, *, b: ArrayLike, c: ArrayLike | None = None) -> ItemParameters:
        """Parameters from anything array-like; a missing c, and NaN in c, mean 0. Raises IrtDataError as the class does."""
        ids = array_of(item_ids, "item ids", error=IrtDataError)
        slope, difficulty, guessing = (
            floats(values, name, error=IrtDataError).astype(np.float64)
            for values, name in ((a, "a"), (b, "b"), (np.zeros(ids.shape) if c is None else c, "c"))
        )
        return cls(ids, slope, b=difficulty, c=np.where(np.isnan(guessing), 0.0, guessing))

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def intercept(self) -> Floats:
        """(n_items,) d = −a b, in logits."""
        return -self.a * self.b

    def take(self, positions: NDArray[Any]) -> ItemParameters:
        """The items at these positions, or where a mask is true."""
        return ItemParameters(self.item_ids[positions], self.a[positions], b=self.b[positions], c=self.c[positions])

    def positions(self, item_ids: NDArray[Any]) -> NDArray[np.int64]:
        """(len(item_ids),) position of each of these items here; -1 where it is missing.

        Raises IrtDataError when one side has numbers and the other text: such ids never match, so no item would be found.
        """
        if len(self) and len(item_ids) and _is_text(self.item_ids) != _is_text(item_ids):
            raise IrtDataError(
                f"item ids are {item_ids.dtype} in the data and {self.item_ids.dtype} in the parameters; convert one"
            )
        order = np.argsort(self.item_ids)
        ids = self.item_ids[order]
        place = np.minimum(np.searchsorted(ids, item_ids), max(len(ids) - 1, 0))
        found = ids[place] == item_ids if len(ids) else np.zeros(len(item_ids), dtype=bool)
        return np.where(found, order[place] if len(ids) else -1, -1)


def _is_text(ids: NDArray[Any]) -> bool:
    return ids.dtype.kind in "US" or (ids.dtype.kind == "O" and isinstance(ids[0], str))


def logistic(z: Floats) -> Floats:
    """1 / (1 + exp(−z)) without overflow."""
    from scipy.special import expit

    return np.asarray(expit(z))


def probability(theta: ArrayLike, items: ItemParameters) -> Floats:
    """(n_items, n_theta) P(x = 1 | θ), with (n_theta,) finite θ on the scale of ``items``; IrtDataError for others."""
    ability = numbers(theta, "theta", error=IrtDataError)
    curve = logistic(items.a[:, None] * (ability[None, :] - items.b[:, None]))
    return np.asarray(items.c[:, None] + (1.0 - items.c[:, None]) * curve)


def information(theta: ArrayLike, items: ItemParameters) -> Floats:
    """(n_items, n_theta) Fisher information of each item: P′(θ)² / (P(θ) (1 − P(θ))) (Birnbaum 1968, p. 462).

    Raises IrtDataError for θ that is not (n_theta,) finite numbers.
    """
    ability = numbers(theta, "theta", error=IrtDataError)
    curve = logistic(items.a[:, None] * (ability[None, :] - items.b[:, None]))
    right = items.c[:, None] + (1.0 - items.c[:, None]) * curve
    slope = (1.0 - items.c[:, None]) * items.a[:, None] * curve * (1.0 - curve)
    return np.asarray(slope**2 / np.maximum(right * (1.0 - right), 1e-300))
