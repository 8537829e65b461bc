"""Walk forward: predictions of each answer as they would have been made, with hyperparameters of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

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
        filtered = run_filter(seen, fitted)
        effects = fit_effects(run_filter(known, fitted))
        found = {"ability": filtered.probability, "ability and history": learn_next(filtered, effects).probability}
        is_training = np.arange(end) < training
        found |= {name: peer(seen, is_training) for name, peer in peers.items()}
        yield Block(np.arange(training, end), {name: values[training:] for name, values in found.items()})
