"""The compiled mean probability of success on the questions of a topic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.ability.answer_kernels import answer_update
from seedtest_analytics.stats.ability.filter_kernels import REPETITION
from seedtest_analytics.stats.ability.smoother_kernels import DIFFICULTY, DISCRIMINATION, LAST_DAY, VARIANCE, WALK
from seedtest_analytics.stats.compiled import njit


@njit(cache=True, nogil=True)
def mean_success(student, topic, ability, se, questions, day, start, order, item, items, h) -> Any:
    """(n,) mean P(right) on ``questions[topic]`` at ``day``; NaN for a topic without questions.

    Rows of one student that follow each other look through the student's answers once.
    """
    found = np.full(len(student), np.nan)
    count = np.zeros(len(items), dtype=np.int32)
    counted = -1
    for n in range(len(student)):
        s = student[n]
        if s != counted:
            if counted >= 0:
                for r in range(start[counted], start[counted + 1]):
                    count[item[order[r]]] = 0
            for r in range(start[s], start[s + 1]):
                count[item[order[r]]] += 1
            counted = s
        if questions[topic[n], 0] < 0:
            continue
        total = 0.0
        for i in questions[topic[n]]:
            a = items[i, DISCRIMINATION]
            error = items[i, VARIANCE] + items[i, WALK] * max(day - items[i, LAST_DAY], 0.0)
            mean = a * (ability[n] - items[i, DIFFICULTY]) + h[REPETITION] * math.log1p(count[i])
            total += answer_update(mean, a * a * (se[n] * se[n] + error), 1)[0]
        found[n] = total / questions.shape[1]
    return found
