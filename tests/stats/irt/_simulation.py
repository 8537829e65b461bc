"""Answers of a known model, for tests that recover the truth; complete matrices as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import ItemParameters


@dataclass(frozen=True)
class Simulated:
    """Long answers and the truth that generated them."""

    user: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    theta: np.ndarray
    items: ItemParameters

    @property
    def data(self) -> ResponseData:
        return ResponseData.from_long(self.user, self.item, correct=self.correct)


def from_matrix(matrix: ArrayLike, item_ids: ArrayLike | None = None) -> ResponseData:
    """Rows of a (n_rows, n_items) matrix of 0, 1 and NaN for items not seen."""
    wide = np.asarray(matrix, dtype=np.float64)
    row, column = np.nonzero(~np.isnan(wide))
    names = np.arange(wide.shape[1]) if item_ids is None else np.asarray(item_ids)
    return ResponseData.from_long(row, names[column], correct=wide[row, column])


def simulate(
    n_users: int,
    n_items: int,
    n_answers: int,
    *,
    seed: int,
    mean: float = 0.0,
    sd: float = 1.0,
    c: float = 0.0,
    items: ItemParameters | None = None,
) -> Simulated:
    """Each user answers ``n_answers`` different items drawn at random."""
    random = np.random.default_rng(seed)
    theta = random.normal(mean, sd, n_users)
    truth = items or ItemParameters.of(
        np.arange(n_items),
        np.exp(random.normal(0.0, 0.3, n_items)),
        b=random.normal(0.0, 1.0, n_items),
        c=np.full(n_items, c),
    )
    item = np.argsort(random.random((n_users, n_items)), axis=1)[:, :n_answers]
    z = truth.a[item] * (theta[:, None] - truth.b[item])
    p = truth.c[item] + (1.0 - truth.c[item]) / (1.0 + np.exp(-z))
    correct = (random.random(p.shape) < p).astype(np.int8)
    return Simulated(np.repeat(np.arange(n_users), n_answers), item.ravel(), correct.ravel(), theta, truth)
