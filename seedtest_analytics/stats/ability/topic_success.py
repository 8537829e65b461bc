"""The probability that a student's next answer in a topic is right, over the questions that the topic asks lately."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import Filtered, expect
from seedtest_analytics.stats.checks import array_of, number

N_QUESTIONS = 12
"""Questions that stand for a topic. Their difficulties are spread evenly over the topic's recent answers."""
_PAIRS_AT_ONCE = 100_000


def next_in_topic(
    filtered: Filtered, student: ArrayLike, *, topic: ArrayLike, day: float, since: float
) -> NDArray[np.float64]:
    """(n,) mean P(right) of each student on the topic's questions at ``day``.

    The errors of ability and of difficulty are integrated, so little evidence draws the number to the middle.

    Args:
        filtered: all answers up to ``day``.
        student: (n,) codes.
        topic: (n,) codes.
        day: of the answer.
        since: the questions are those answered from this day on.

    Returns:
        NaN for a topic without an answer since then.

    Raises:
        AbilityDataError: for codes that are not whole numbers from 0 on, unequal lengths, or days that are not finite.
    """
    n = array_of(student, "student", error=AbilityDataError).size
    at = number(day, "day", error=AbilityDataError)
    # All answers are at the same time, so they keep their order.
    pairs = Answers.of(student, np.zeros(n, np.int8), topic=topic, day=np.full(n, at), correct=np.zeros(n, np.int8))
    questions = _questions(filtered, number(since, "since", error=AbilityDataError))
    found = np.full(n, np.nan)
    known = np.flatnonzero(pairs.topic < len(questions))
    known = known[questions[pairs.topic[known], 0] >= 0]
    for start in range(0, len(known), _PAIRS_AT_ONCE):
        rows = known[start : start + _PAIRS_AT_ONCE]
        code = pairs.topic[rows]
        expected = expect(
            filtered.state,
            np.repeat(pairs.student[rows], N_QUESTIONS),
            item=questions[code].ravel(),
            topic=np.repeat(code, N_QUESTIONS),
            day=np.full(len(rows) * N_QUESTIONS, at),
        )
        found[rows] = expected.probability.reshape(-1, N_QUESTIONS).mean(axis=1)
    return found


def _questions(filtered: Filtered, since: float) -> NDArray[np.int64]:
    """(n_topics, N_QUESTIONS) item codes at evenly spaced ranks of difficulty; -1 for a topic without recent answers."""
    answers, difficulty = filtered.answers, filtered.state.difficulties()[0]
    recent = np.flatnonzero(answers.day >= since)
    item, topic = answers.item[recent], answers.topic[recent]
    order = np.lexsort((item, difficulty[item], topic))
    count = np.bincount(topic, minlength=len(filtered.state.topics))
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    rank = ((np.arange(N_QUESTIONS) + 0.5) / N_QUESTIONS * count[:, None]).astype(np.int64)
    chosen = np.full(rank.shape, -1, dtype=np.int64)
    has_answers = count > 0
    chosen[has_answers] = item[order][(start[:, None] + rank)[has_answers]]
    return chosen
