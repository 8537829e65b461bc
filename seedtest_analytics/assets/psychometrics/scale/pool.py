"""What a stored calibration says about items with few answers: where the items of their topic lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.pooling import ItemPool

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TopicPool:
    """Difficulties by topic on the platform scale, as ``mirt_fit_meta.metrics.pool`` stores them.

    ``below``: items with fewer answers borrow. ``topics``: mean and standard error by topic id; ``without_topic`` the same
    for items that have none. ``mean``, ``topic_sd``: of all topics. ``spread``: SD within a topic. ``slope``: common.
    """

    below: int
    slope: float
    spread: float
    mean: float
    topic_sd: float
    topics: Mapping[str, tuple[float, float]]
    without_topic: tuple[float, float] | None

    def of(self, names: Sequence[str | None]) -> tuple[Floats, Floats]:
        """Mean and SD of the difficulty of an item of each topic; a topic that the calibration has not seen is any topic."""
        unseen = (self.mean, self.topic_sd)
        found = [(self.without_topic if name is None else self.topics.get(name)) or unseen for name in names]
        mean, error = np.asarray(found, dtype=np.float64).reshape(-1, 2).T
        return mean, np.sqrt(self.spread**2 + error**2)


def pool_spec(
    pool: ItemPool, topics: Sequence[str], *, below: int, constants: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A calibration's pool as it is stored. ``topics`` are the ids by code; a last code beyond them has no topic.

    ``constants`` map the calibration's scale to the platform's; None, or without a slope, leaves it.
    """
    slope, intercept = 1.0, 0.0
    if constants is not None and constants["A"] is not None:
        slope, intercept = float(constants["A"]), float(constants["B"])
    mean, error = slope * pool.topic_mean + intercept, slope * pool.topic_se
    pairs = [[float(m), float(e)] for m, e in zip(mean, error, strict=True)]
    return {
        "below": below,
        "slope": pool.slope / slope,
        "spread": slope * pool.spread,
        "mean": slope * pool.mean + intercept,
        "topic_sd": slope * pool.topic_sd,
        "topics": dict(zip(topics, pairs, strict=False)),
        "without_topic": pairs[len(topics)] if len(pairs) > len(topics) else None,
    }


def stored_pool(metrics: Mapping[str, Any]) -> TopicPool | None:
    """The pool in the metrics of a fit; None if no item borrowed."""
    spec = metrics.get("pool")
    if spec is None:
        return None
    topics = {name: (mean, error) for name, (mean, error) in spec["topics"].items()}
    without = spec["without_topic"]
    return TopicPool(**{**spec, "topics": topics, "without_topic": None if without is None else tuple(without)})
