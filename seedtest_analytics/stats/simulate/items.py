"""The item bank with its true parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import array_of, column, numbers, refuse
from seedtest_analytics.stats.simulate.config import LARGEST_LOGIT, CohortConfig, SimulationError

SHARE_ANCHORS = 0.1


@dataclass(frozen=True)
class ItemBank:
    """True item parameters (n_items,), topic by topic, on the true scale of the simulation.

    ``log_time`` is the item's contribution to log milliseconds.
    """

    item_id: np.ndarray
    topic: np.ndarray
    discrimination: np.ndarray
    difficulty_logit: np.ndarray
    guessing: np.ndarray
    log_time: np.ndarray
    is_anchor: np.ndarray


def draw_items(config: CohortConfig) -> ItemBank:
    """log a ~ N(log 1.1, 0.3²), b ~ N(0, 1), and under the 3PL c ~ Beta(10, 40)."""
    rng, n = config.rng("item"), config.n_items
    discrimination = np.exp(rng.normal(np.log(1.1), 0.3, n))
    difficulty = rng.normal(0, 1, n)
    guessing = rng.beta(10, 40, n) if config.model == "3PL" else np.zeros(n)
    return ItemBank(
        item_id=config.first_item_id + 1 + np.arange(n),
        topic=np.repeat(np.arange(config.n_topics), config.items_per_topic),
        discrimination=discrimination,
        difficulty_logit=difficulty,
        guessing=guessing,
        log_time=rng.normal(0, 0.3, n),
        is_anchor=rng.random(n) < SHARE_ANCHORS,
    )


def probability_correct(items: ItemBank, item: ArrayLike, *, theta: ArrayLike) -> np.ndarray:
    """P(x = 1 | θ) = c + (1 − c) · logistic(a (θ − b)), elementwise for (n,) items (indices) and abilities in logits.

    Raises:
        SimulationError: for indices that are not whole numbers of items of the bank, or abilities beyond ±100 logits.
    """
    item = array_of(item, "item", error=SimulationError)
    column(item, "item", length=item.size, kinds="iu", error=SimulationError)
    outside = (item < 0) | (item >= len(items.item_id))
    refuse(outside, "an item outside the bank", need=f"give 0 to {len(items.item_id) - 1}", error=SimulationError)
    theta = numbers(theta, "theta", like=item.shape, low=-LARGEST_LOGIT, high=LARGEST_LOGIT, error=SimulationError)
    a, b, c = items.discrimination[item], items.difficulty_logit[item], items.guessing[item]
    return np.asarray(c + (1 - c) / (1 + np.exp(-a * (theta - b))))
