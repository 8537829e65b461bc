"""The probability that a student's next answer in a topic is right, over the questions that the topic asks lately."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.evidence import Evidence
from seedtest_analytics.stats.ability.smoothing import TopicAbilities
from seedtest_analytics.stats.checks import number

N_QUESTIONS = 12
"""Questions that stand for a topic. Their difficulties are spread evenly over the topic's recent answers."""


def next_in_topic(evidence: Evidence, topics: TopicAbilities, *, day: float, since: float) -> NDArray[np.float64]:
    """(rows,) mean P(right) of each student on the topic's questions at ``day``.

    The errors of ability and of difficulty are integrated, so little evidence draws the number to the middle.

    Args:
        evidence: of all answers up to ``day``.
        topics: abilities at ``day``, smoothed from the evidence.
        day: of the answer.
        since: the questions are those answered from this day on.

    Returns:
        NaN for a topic without an answer since then.

    Raises:
        AbilityDataError: for days that are not finite, and students or topics that the evidence does not know.
    """
    from seedtest_analytics.stats.ability import success_kernels as kernels

    at, lately = (number(value, name, error=AbilityDataError) for name, value in (("day", day), ("since", since)))
    for name, codes, n in (
        ("students", topics.student, evidence.n_students),
        ("topics", topics.topic, evidence.n_topics),
    ):
        if len(codes) and not 0 <= codes.min() <= codes.max() < n:
            raise AbilityDataError(f"some {name} have no answer in the evidence")
    columns = (topics.student, topics.topic, topics.ability, topics.ability_se)
    found: NDArray[np.float64] = kernels.mean_success(
        *(np.ascontiguousarray(column) for column in columns),
        _questions(evidence, lately),
        at,
        evidence.start,
        evidence.order,
        evidence.answers.item,
        evidence.items,
        evidence.hyperparameters.as_array(),
    )
    return found


def _questions(evidence: Evidence, since: float) -> NDArray[np.int64]:
    """(n_topics, N_QUESTIONS) item codes at evenly spaced ranks of difficulty; -1 for a topic without recent answers."""
    answers, difficulty = evidence.answers, evidence.difficulties()[0]
    recent = np.flatnonzero(answers.day >= since)
    item, topic = answers.item[recent], answers.topic[recent]
    order = np.lexsort((item, difficulty[item], topic))
    count = np.bincount(topic, minlength=evidence.n_topics)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    rank = ((np.arange(N_QUESTIONS) + 0.5) / N_QUESTIONS * count[:, None]).astype(np.int64)
    chosen = np.full(rank.shape, -1, dtype=np.int64)
    has_answers = count > 0
    chosen[has_answers] = item[order][(start[:, None] + rank)[has_answers]]
    return chosen
