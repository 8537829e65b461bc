"""Predictions of answers that no method has seen: forward in time as they would have been made, and for new students."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import run_filter
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import fit_effects, learn_next
from seedtest_analytics.stats.checks import count, number

MIN_TRAINING = 500
Peers = Mapping[str, Callable[[Answers, NDArray[np.bool_]], Floats]]


@dataclass(frozen=True, eq=False)
class Block:
    """Answers ``rows`` (m,) of the log between two fits, and P(right) of each by method (m,)."""

    rows: NDArray[np.int64]
    probability: Mapping[str, Floats]


def walk_forward(
    answers: Answers, *, peers: Peers, training_share: float = 0.5, block_days: float = 28.0, max_blocks: int = 12
) -> Iterator[Block]:
    """Predict block after block. Before each, every method is fitted to the answers before it.

    The ability goes on learning within a block, answer by answer, and so does a peer that learns online.

    Args:
        answers: in the order of time.
        peers: methods by name; each takes answers and a mask of the training rows.
        training_share: share of the answers before the first block.
        block_days: days between two fits; longer where more than ``max_blocks`` would be needed.

    Raises:
        AbilityDataError: for fewer than 500 training answers, or no answer after them.
    """
    share = number(training_share, "training_share", low=0.01, high=0.99, error=AbilityDataError)
    n_blocks = count(max_blocks, "max_blocks", low=1, error=AbilityDataError)
    days = number(block_days, "block_days", low=1.0, high=3650.0, error=AbilityDataError)
    n_training = int(share * len(answers))
    if n_training < MIN_TRAINING:
        raise AbilityDataError(f"{n_training} training answers are fewer than {MIN_TRAINING}; use a longer log")
    first, last = float(answers.day[n_training]), float(answers.day[-1])
    length = max(days, (last - first) / n_blocks * (1 + 1e-9))
    fitted: Hyperparameters | None = None
    begin = first
    while begin <= last:
        training = int(np.searchsorted(answers.day, begin))
        end = int(np.searchsorted(answers.day, begin + length))
        begin += length
        if end == training:
            continue
        seen, known = answers.take(slice(0, end)), answers.take(slice(0, training))
        fitted = fit_hyperparameters(known, start=fitted).hyperparameters
        yield _predicted(seen, np.arange(end) < training, fitted=fitted, peers=peers)


def split_by_student(answers: Answers, *, peers: Peers, n_folds: int = 2) -> Iterator[Block]:
    """Predict the students of each fold, every method fitted to the students of the other folds.

    The other folds' answers come first, whenever they were given: so students are new and items are known. Items keep their
    difficulties, because the days between the two parts are made up. Each block's ``rows`` are positions in ``answers``.

    Args:
        answers: in the order of time.
        peers: as in ``walk_forward``.
        n_folds: students belong to the fold of their code modulo this number.

    Raises:
        AbilityDataError: for fewer than 500 training answers, or a fold without answers.
    """
    folds = count(n_folds, "n_folds", low=2, error=AbilityDataError)
    for fold in range(folds):
        is_test = answers.student % folds == fold
        rows = np.flatnonzero(is_test)
        known = answers.take(~is_test)
        if len(rows) == 0 or len(known) < MIN_TRAINING:
            raise AbilityDataError(
                f"fold {fold} has {len(rows)} answers and {len(known)} of other students; it needs 1 and {MIN_TRAINING}"
            )
        order = np.r_[np.flatnonzero(~is_test), rows]
        delay = float(answers.day[-1] - answers.day[0])
        seen = replace(answers.take(order), day=answers.day[order] + delay * is_test[order])
        fitted = replace(fit_hyperparameters(known).hyperparameters, item_walk=0.0)
        block = _predicted(seen, np.arange(len(order)) < len(known), fitted=fitted, peers=peers)
        yield replace(block, rows=rows)


def _predicted(seen: Answers, is_training: NDArray[np.bool_], *, fitted: Hyperparameters, peers: Peers) -> Block:
    """P(right) of the answers after the training rows, which come first."""
    filtered = run_filter(seen, fitted)
    effects = fit_effects(run_filter(seen.take(is_training), fitted))
    found = {"ability": filtered.probability, "ability and history": learn_next(filtered, effects).probability}
    found |= {name: peer(seen, is_training) for name, peer in peers.items()}
    rows = np.flatnonzero(~is_training)
    return Block(rows, {name: values[rows] for name, values in found.items()})
