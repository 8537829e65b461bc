"""Choice of anchors: each criterion can fail, coverage counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedtest_analytics.stats.irt.anchors import AnchorCandidates, AnchorCriteria, ParameterHistory, select_anchor_items

N = 80


def candidates(seed: int = 1) -> AnchorCandidates:
    random = np.random.default_rng(seed)
    return AnchorCandidates(
        item_ids=np.arange(N),
        a=random.uniform(0.6, 2.0, N),
        b=np.linspace(-1.99, 1.99, N),
        n_responses=np.full(N, 500),
        topics=np.array([f"t{k % 4}" for k in range(N)]),
        flag=np.full(N, None, dtype=object),
        is_proven=np.zeros(N, dtype=bool),
    )


def steady(pool: AnchorCandidates, runs: int = 3, noise: float = 0.1) -> ParameterHistory:
    random = np.random.default_rng(2)
    return ParameterHistory(np.tile(pool.item_ids, runs), np.tile(pool.b, runs) + random.normal(0, noise, N * runs))


def test_a_good_pool_gives_anchors_over_all_topics_and_difficulties() -> None:
    pool = candidates()
    chosen = select_anchor_items(pool, steady(pool), criteria=AnchorCriteria(max_anchors=16))
    assert chosen.is_adequate
    assert len(chosen.item_ids) == 16
    # 4 topics × 4 bins: the best of each cell.
    assert set(chosen.per_topic.values()) == {(4, 20)}
    assert set(chosen.per_bin.values()) == {(4, 20)}
    for item in chosen.item_ids:
        cell = (pool.topics == pool.topics[item]) & (np.floor(pool.b) == np.floor(pool.b[item]))
        assert pool.a[item] == pool.a[cell].max()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_responses": 99}, "fewer than 100 answers"),
        ({"a": 0.49}, "discrimination below 0.5"),
        ({"a": np.nan}, "no parameters"),
        ({"b": 2.01}, "difficulty out of range"),
        ({"flag": "open drift alert"}, "flagged: open drift alert"),
    ],
)
def test_each_criterion_rejects(change: dict[str, float], reason: str) -> None:
    pool = candidates()
    history = steady(pool)
    (name, value), *_ = change.items()
    column = getattr(pool, name).copy()
    column[10] = value
    chosen = select_anchor_items(replace(pool, **{name: column}), history)
    assert reason in chosen.rejected[10]
    assert list(chosen.rejected) == [10]
    assert 10 not in chosen.item_ids


def test_stability_can_fail() -> None:
    pool = candidates()
    history = steady(pool)
    b = history.b.copy()
    b[np.flatnonzero(history.item_ids == 20)] += [-0.8, 0.0, 0.8]
    chosen = select_anchor_items(pool, ParameterHistory(history.item_ids, b))
    assert "not stable" in chosen.rejected[20]
    assert chosen.sd_b[20] == pytest.approx(np.std(b[history.item_ids == 20]))
    assert list(chosen.rejected) == [20]


def test_one_calibration_proves_nothing() -> None:
    """The platform this replaces kept one row an item, so its check could never fail."""
    pool = candidates()
    chosen = select_anchor_items(pool, steady(pool, runs=1))
    assert len(chosen.item_ids) == 0
    assert not chosen.is_adequate
    assert all("unproven" in reason for reason in chosen.rejected.values())
    screened = replace(pool, is_proven=pool.item_ids < 30)
    assert set(select_anchor_items(screened).item_ids) == set(range(30))


def test_missing_coverage_is_not_adequate() -> None:
    pool = candidates()
    easy_only = replace(pool, n_responses=np.where(pool.b < 0, 500, 10))
    chosen = select_anchor_items(easy_only, steady(pool))
    assert not chosen.is_adequate
    assert any("difficulties with fewer than 1 anchors: [0, 1], [1, 2]" in reason for reason in chosen.reasons)
    one_topic = replace(pool, n_responses=np.where(pool.topics == "t2", 10, 500))
    reasons = select_anchor_items(one_topic, steady(pool)).reasons
    assert any("topics with fewer than 1 anchors: t2" in reason for reason in reasons)
    none = select_anchor_items(replace(pool, n_responses=np.zeros(N, dtype=int)), steady(pool))
    assert any("only 0 anchors; 5 are needed" in reason for reason in none.reasons)
