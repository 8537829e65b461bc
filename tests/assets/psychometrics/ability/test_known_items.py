"""What the pass of ability over time takes from a calibration: well-known items, and where the topics of the others lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.assets.psychometrics.ability.history import History
from seedtest_analytics.assets.psychometrics.scale.current import Scale
from seedtest_analytics.assets.psychometrics.scale.pool import TopicPool, pool_spec, stored_pool
from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.irt.pooling import ItemPool

HISTORY = History(
    Answers.of([0, 0, 0, 0, 0], [0, 1, 2, 3, 4], topic=[0, 0, 1, 2, 1], day=[0, 1, 2, 3, 4], correct=[1, 0, 1, 0, 1]),
    users=np.array(["u"], dtype=object),
    topics=np.array(["x", "y"], dtype=object),
    items=np.array([11, 12, 13, 14, 15]),
)
POOL = TopicPool(
    below=10, slope=0.8, spread=0.6, mean=0.1, topic_sd=0.8, topics={"x": (1.0, 0.8)}, without_topic=(-1.0, 0.0)
)


def scale(pool: TopicPool | None, *, n: list[int], method: str = "estimated") -> Scale:
    items = pd.DataFrame(
        {"item_id": [11, 12, 13, 14], "a": [2.0, 0.5, 1.0, 1.0], "b": [0.5, 0.6, 0.7, 0.8], "se_b": 0.2, "c": np.nan}
    )
    frame = items.assign(n_responses=n, method=method)
    return Scale("run", frame, model="2PL", group_mean=0.0, group_sd=1.0, pool=pool)


def test_rare_and_new_items_start_where_their_topic_lies() -> None:
    """Item 11 is well known. 12 is in x, 13 and the new item 15 in y, which the calibration has not seen; 14 has no topic."""
    known = HISTORY.known_items(scale(POOL, n=[50, 9, 2, 1]))
    assert known is not None
    assert known.b == pytest.approx([0.5, 1.0, 0.1, -1.0, 0.1])
    assert known.se_b == pytest.approx([0.2, 1.0, 1.0, 0.6, 1.0])
    assert known.a == pytest.approx([2.0, 0.8, 0.8, 0.8, 0.8])


def test_without_a_pool_rare_items_are_learned_with_the_typical_slope_of_the_others() -> None:
    known = HISTORY.known_items(scale(None, n=[50, 50, 2, 1]))
    assert known is not None
    assert np.isnan(known.b).tolist() == [False, False, True, True, True]
    assert known.a == pytest.approx([2.0, 0.5, 1.0, 1.0, 1.0])
    assert HISTORY.known_items(scale(None, n=[9, 9, 9, 9])) is None
    assert HISTORY.known_items(scale(None, n=[9, 9, 9, 9], method="anchor")) is not None
    assert HISTORY.known_items(None) is None


def test_a_stored_pool_is_on_the_platforms_scale() -> None:
    pool = ItemPool(
        np.array([0.5, -0.5, 1.0]),
        np.array([0.1, 0.2, 0.3]),
        mean=0.25,
        topic_sd=0.4,
        spread=0.6,
        slope=1.2,
        slope_se=0.1,
    )
    spec = pool_spec(pool, ("x", "y"), below=10, constants={"A": 2.0, "B": 1.0})
    found = stored_pool({"pool": spec})
    assert found == TopicPool(
        below=10,
        slope=0.6,
        spread=1.2,
        mean=1.5,
        topic_sd=0.8,
        topics={"x": (2.0, 0.2), "y": (0.0, 0.4)},
        without_topic=(3.0, pytest.approx(0.6)),
    )
    assert stored_pool({}) is None
    assert pool_spec(pool, ("x", "y", "z"), below=10, constants=None)["without_topic"] is None
