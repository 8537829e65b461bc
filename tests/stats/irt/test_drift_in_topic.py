"""Items that move alone, topics that move as a whole, and topics that other students answer than before."""

import functools

import numpy as np
import pytest
from scipy.special import expit, softmax

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.drift import DriftResult, DriftThresholds, item_drift
from seedtest_analytics.stats.irt.drift_in_topic import NO_TOPIC, DriftInTopic, _median_of_others, drift_in_topic
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.linking import link
from seedtest_analytics.stats.irt.selection import selection_gaps

N_STUDENTS, N_TOPICS, N_ITEMS, EACH = 5000, 5, 60, 20
TOPIC = np.arange(N_ITEMS) % N_TOPICS
LEAKED = (1, 10)
"""The second is of topic 0."""


def window(random: np.random.Generator, difficulty: np.ndarray, elective: float) -> ResponseData:
    """Topics by taste; topic 0 by how good a student is in it, too, where it is ``elective``."""
    level, deviation = random.normal(0, 1, N_STUDENTS), random.normal(0, 0.6, (N_STUDENTS, N_TOPICS))
    wish = 0.8 * random.normal(0, 1, (N_STUDENTS, N_TOPICS))
    wish[:, 0] += elective * deviation[:, 0] / 0.6
    weight = softmax(wish, axis=1)[:, TOPIC]
    # The largest of weight ** (1 / uniform) are a draw without replacement (Efraimidis & Spirakis 2006).
    item = np.argsort(-np.log(random.random(weight.shape)) / weight, axis=1)[:, :EACH].ravel()
    student = np.repeat(np.arange(N_STUDENTS), EACH)
    logit = level[student] + deviation[student, TOPIC[item]] - difficulty[item]
    right = random.random(len(student)) < expit(logit)
    return ResponseData.from_long(student, item, correct=right.astype(int)).with_topics(np.arange(N_ITEMS), TOPIC)


@functools.cache
def compared(
    seed: int, *, elective: float = 0.0, leak: float = 0.0, taught: float = 0.0
) -> tuple[DriftResult, DriftInTopic]:
    """``leak`` makes LEAKED easier, ``taught`` all items of topic 0, and ``elective`` changes who answers it."""
    random = np.random.default_rng(seed)
    before = random.normal(0, 1, N_ITEMS)
    after = before - taught * (TOPIC == 0)
    after[list(LEAKED)] -= leak
    windows = [window(random, before, 0.0), window(random, after, elective)]
    old, new = (calibrate(data) for data in windows)
    covariances = {"covariance_new": new.items.covariance, "covariance_old": old.items.covariance}
    scale = link(new.parameters, old.parameters, **covariances)
    drift = item_drift(old.items, new.items, link=scale, thresholds=DriftThresholds(delta_b=0.2, min_responses=100))
    gaps = [selection_gaps(data, fitted.parameters) for data, fitted in zip(windows, (old, new), strict=True)]
    return drift, drift_in_topic(drift, TOPIC[drift.item_ids], baseline=gaps[0], recent=gaps[1])


def origins(*, of_topic_0: bool, **made: float) -> list[str]:
    """Origins of the items that have an alert, the leaked ones aside, over two cohorts."""
    found = []
    for seed in (11, 12):
        drift, beside = compared(seed, **made)
        moved = {alert.item_id for alert in drift.alerts} - set(LEAKED)
        by_item = zip(drift.item_ids.tolist(), beside.origins, strict=True)
        found += [origin for item, origin in by_item if item in moved and (TOPIC[item] == 0) == of_topic_0]
    return found


def test_an_item_that_leaks_moves_alone() -> None:
    for seed in (11, 12):
        drift, beside = compared(seed, leak=1.0)
        at = np.searchsorted(drift.item_ids, LEAKED)
        assert [beside.origins[k] for k in at] == ["item", "item"]
        np.testing.assert_allclose(beside.apart[at], -1.0, atol=0.3)


def test_a_topic_that_its_best_students_choose_now_moves_by_who_answers() -> None:
    """Nothing about the items has changed; 0.4 logits and the alerts come from the students."""
    found = origins(of_topic_0=True, elective=3.0)
    assert len(found) >= 10
    assert found.count("who_answers") >= 0.9 * len(found)
    assert compared(11, elective=3.0)[1].gap_change[0] > 0.05


def test_a_topic_that_is_taught_better_moves_as_a_whole_without_a_trace_of_choice() -> None:
    found = origins(of_topic_0=True, taught=0.6)
    assert len(found) >= 10
    assert found.count("topic") >= 0.9 * len(found)


def test_a_leak_is_seen_within_a_topic_that_moves() -> None:
    drift, beside = compared(11, elective=3.0, leak=1.2)
    assert beside.origins[int(np.searchsorted(drift.item_ids, 10))] == "item"


def test_without_other_items_or_a_topic_nothing_can_be_told() -> None:
    drift, _ = compared(11, leak=1.0)
    gaps = selection_gaps(window(np.random.default_rng(1), np.zeros(N_ITEMS), 0.0), calibrated())
    topic = np.where(drift.item_ids < 4, 1, np.where(drift.item_ids < 7, 2, NO_TOPIC))
    beside = drift_in_topic(drift, topic, baseline=gaps, recent=gaps)
    assert np.isfinite(beside.topic_delta).tolist() == [item < 4 for item in drift.item_ids.tolist()]
    assert set(beside.origins[4:]) == {"cannot_be_told"}
    assert beside.n_others.tolist()[:8] == [3, 3, 3, 3, 2, 2, 2, 0]


def calibrated():
    return calibrate(window(np.random.default_rng(1), np.zeros(N_ITEMS), 0.0)).parameters


@pytest.mark.parametrize("n", [4, 5, 8, 9])
def test_the_median_of_the_others(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n).round(1)
    expected = [np.median(np.delete(values, k)) for k in range(n)]
    np.testing.assert_allclose(_median_of_others(values), expected)
