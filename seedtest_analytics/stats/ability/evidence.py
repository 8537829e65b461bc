"""What a pass of the filter over all answers says of items, with the answers by student: the input of the smoother."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats
from seedtest_analytics.stats.ability.filter_state import Beliefs, needed
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters


@dataclass(frozen=True, eq=False)
class Evidence:
    """A pass from the start over n answers.

    ``start`` (n_students + 1,) bounds each student's part of ``order`` (n,), which has the answers' rows in the order of
    time. ``earlier`` (n,) counts the student's earlier answers to the item. ``items`` (n_items, 5) is what all answers say of
    each item, in the columns of ``smoother_kernels``. ``item_precision`` and ``item_shift`` (n,) are what one answer says
    about its item's difficulty, as natural parameters. ``probability`` is P(right) of the newest answers, known before each.
    """

    answers: Answers
    hyperparameters: Hyperparameters
    log_likelihood: float
    start: NDArray[np.int64]
    order: NDArray[np.int32]
    earlier: NDArray[np.int32]
    items: Floats
    item_precision: NDArray[np.float32]
    item_shift: NDArray[np.float32]
    probability: Floats

    @property
    def n_students(self) -> int:
        return len(self.start) - 1

    def difficulties(self) -> tuple[Floats, Floats]:
        """(n_items,) difficulty and standard error of every item, on its last day."""
        from seedtest_analytics.stats.ability.smoother_kernels import DIFFICULTY, VARIANCE

        return self.items[:, DIFFICULTY], np.sqrt(self.items[:, VARIANCE])

    @property
    def n_topics(self) -> int:
        return needed(self.answers.topic, 0)


def by_student(answers: Answers) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(n_students + 1,) bounds and (n,) rows of the answers of each student, in the order of time."""
    from seedtest_analytics.stats.ability.layout_kernels import group_by_student

    start, order = group_by_student(answers.student, needed(answers.student, 0))
    return start, order


def items_of(known: Beliefs) -> Floats:
    """(n_items, 5) what all answers say of each item, in the columns of ``smoother_kernels``."""
    from seedtest_analytics.stats.ability.filter_kernels import ITEM_DAY, ITEM_MOVES

    difficulty, error = known.difficulties()
    walk = known.items[:, ITEM_MOVES] * known.hyperparameters.item_walk
    return np.column_stack([known.discrimination, difficulty, error**2, known.items[:, ITEM_DAY], walk])
