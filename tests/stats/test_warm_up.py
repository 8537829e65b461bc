"""The warm-up runs every engine, and the kernels that it compiles are those that the assets use."""

from __future__ import annotations

import numpy as np
import pytest

from seedtest_analytics.stats import warm_up
from seedtest_analytics.stats.ability import filter_kernels
from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.filtering import run_filter
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

pytestmark = pytest.mark.long


@pytest.mark.parametrize("engine", warm_up.ENGINES, ids=lambda engine: engine.__name__)
def test_every_engine_runs(engine: object) -> None:
    assert callable(engine)
    engine()


def test_answers_that_may_only_be_read_compile_nothing_again() -> None:
    """Columns of Arrow tables are read-only."""
    code, day = np.zeros(3, dtype=np.int32), np.arange(3.0)
    run_filter(Answers.of(code, code, topic=code, day=day, correct=code), Hyperparameters())
    compiled = len(filter_kernels.filter_answers.signatures)
    for array in (code, day):
        array.setflags(write=False)
    run_filter(Answers.of(code, code, topic=code, day=day, correct=code), Hyperparameters())
    assert len(filter_kernels.filter_answers.signatures) == compiled
