"""Walking forward: every later answer is predicted once, from the answers before it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.walk import walk_forward
from seedtest_analytics.stats.verification.next_answer import PEERS, elo, item_mean
from seedtest_analytics.stats.verification.probabilities import auc
from tests.stats.ability._simulation import Cohort, simulate

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(Hyperparameters(level_walk=0.01), seed=81, n_students=60, n_items=80, weeks=16)


def test_every_later_answer_is_predicted_once_and_better_than_by_peers(cohort: Cohort) -> None:
    answers = cohort.answers
    blocks = list(walk_forward(answers, peers=PEERS, block_days=21))
    rows = np.concatenate([block.rows for block in blocks])
    assert rows.tolist() == list(range(int(0.5 * len(answers)), len(answers)))
    assert len(blocks) > 2
    correct = answers.correct[rows]
    scores = {
        name: auc(np.concatenate([block.probability[name] for block in blocks]), correct)[0]
        for name in blocks[0].probability
    }
    assert set(scores) == {"ability", "ability and history", *PEERS}
    assert scores["ability"] > max(scores[name] for name in PEERS)


def test_no_prediction_reads_a_later_answer(cohort: Cohort) -> None:
    """With other outcomes from the third block on, the first two blocks keep their predictions."""
    answers = cohort.answers
    before = list(walk_forward(answers, peers={"Elo": elo, "item mean": item_mean}, block_days=21))
    changed = answers.correct.copy()
    changed[before[2].rows[0] :] = 1 - changed[before[2].rows[0] :]
    other = replace(answers, correct=changed)
    after = list(walk_forward(other, peers={"Elo": elo, "item mean": item_mean}, block_days=21))
    for old, new in zip(before[:2], after[:2], strict=True):
        for name, values in old.probability.items():
            np.testing.assert_array_equal(new.probability[name], values, err_msg=name)
    assert (after[2].probability["ability"] != before[2].probability["ability"]).any()


def test_a_short_log_is_refused(cohort: Cohort) -> None:
    with pytest.raises(AbilityDataError, match="fewer than 500; use a longer log"):
        next(walk_forward(cohort.answers.take(slice(0, 900)), peers={}))
