"""Answers of a known model, for tests that ask for the truth back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedtest_analytics.stats.irt import ItemParameters, ResponseData


@dataclass(frozen=True)
class Simulated:
    """Long answers with the truth behind them."""

    user: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    theta: np.ndarray
    items: ItemParameters

    @property
    def data(self) -> ResponseData:
        return ResponseData.from_long(self.user, self.item, correct=self.correct)


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
