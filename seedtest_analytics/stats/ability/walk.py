"""Predictions of answers that no method has seen: forward in time week by week as the platform runs, and for new students."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import run_filter
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters, still_serves
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import NextAnswerFit, fit_next
from seedtest_analytics.stats.checks import count, numbers

MIN_TRAINING = 500
Peers = Mapping[str, Callable[[Answers, NDArray[np.bool_]], Floats]]
ItemsOfWeek = Callable[[int], KnownItems | None]


@dataclass(frozen=True, eq=False)
class Block:
    """Answers ``rows`` (m,) of the log that are predicted together, and P(right) of each by method (m,)."""

    rows: NDArray[np.int64]
    probability: Mapping[str, Floats]


def walk_forward(
    answers: Answers,
    week_starts: ArrayLike,
    *,
    refitted: Peers,
    weekly: Peers,
    items: ItemsOfWeek = lambda week: None,
    refit_days: int = 28,
) -> Iterator[Block]:
    """Predict week after week, each answer from the answers before it and from what was fitted before its week.

    Hyperparameters and effects are fitted when the platform would fit them (``still_serves``), from where they were, and a fit
    that is not usable does not replace one that is. The ability goes on learning within a week, answer by answer, and so does a
    peer that learns online. A week without answers or before the first usable fit has no block.

    Args:
        answers: in the order of time.
        week_starts: (W,) days at which weeks begin, ascending; the last week ends with the answers.
        refitted: methods by name that are fitted whenever the hyperparameters are. Each takes answers and a mask of the
            training rows and returns P(right) of all; it may learn online, but not read an answer before it is predicted.
        weekly: methods that are fitted every week.
        items: parameters of the calibration that is known when week w (0..W-1) begins, if there is one.
        refit_days: days for which a fit serves.

    Raises:
        AbilityDataError: for weeks that are not ascending numbers, fewer than 500 answers before the last week, no usable fit,
            or ``refit_days`` that are not a whole number from 1.
    """
    starts = numbers(week_starts, "week_starts", error=AbilityDataError).astype(np.float64)
    if len(starts) == 0 or (np.diff(starts) <= 0).any():
        raise AbilityDataError("week_starts need one ascending day or more")
    count(refit_days, "refit_days", low=1, error=AbilityDataError)
    edges = [*np.searchsorted(answers.day, starts).tolist(), len(answers)]
    n_training = edges[-2]
    if n_training < MIN_TRAINING:
        raise AbilityDataError(
            f"{n_training} answers before the last week are fewer than {MIN_TRAINING}; use a longer log"
        )
    fits: dict[bool, _Fit] = {}
    learned: dict[str, Floats] = {}
    for week, (first, end) in enumerate(pairwise(edges)):
        if first < MIN_TRAINING or first == end:
            continue
        calibrated = items(week)
        # On another scale the values of an earlier fit say nothing.
        earlier = fits.get(calibrated is not None)
        known, day = answers.take(slice(0, first)), float(starts[week])
        fit = _fit_of(known, day, earlier=earlier, items=calibrated, refit_days=refit_days)
        if fit is None:
            continue
        is_training = np.arange(len(answers)) < first
        if fit is not earlier:
            fits[calibrated is not None] = fit
            learned |= {name: peer(answers, is_training) for name, peer in refitted.items()}
        learned |= {name: peer(answers, is_training) for name, peer in weekly.items()}
        seen, rows = answers.take(slice(0, end)), np.arange(first, end)
        found = _of_ability(seen, fit.hyperparameters, following=fit.following, items=calibrated) | learned
        yield Block(rows, {name: values[rows] for name, values in found.items()})
    if not fits:
        raise AbilityDataError(
            "no week of the log has usable hyperparameters; use a log with more students and answers"
        )


@dataclass(frozen=True, eq=False)
class _Fit:
    """What was fitted on ``day``, and to how many answers."""

    day: float
    hyperparameters: Hyperparameters
    following: NextAnswerFit
    n_answers: int


def _fit_of(
    known: Answers, day: float, *, earlier: _Fit | None, items: KnownItems | None, refit_days: int
) -> _Fit | None:
    """The earlier fit while it serves, else a new one; None while none is usable."""
    if earlier is not None:
        # A week in which the clocks change is an hour shorter or longer.
        age = round(day - earlier.day)
        if still_serves(earlier.n_answers, age_days=age, n_answers=len(known), refit_days=refit_days):
            return earlier
    fit = fit_hyperparameters(known, items=items, start=None if earlier is None else earlier.hyperparameters)
    if not fit.verdict.is_usable:
        return earlier
    own = fit if items is None else fit_hyperparameters(known)
    return _Fit(day, fit.hyperparameters, fit_next(known, own.hyperparameters), n_answers=fit.n_answers)


def split_by_student(answers: Answers, *, peers: Peers, n_folds: int = 2) -> Iterator[Block]:
    """Predict the students of each fold, every method fitted to the students of the other folds.

    The other folds' answers come first, whenever they were given: so students are new and items are known. Items keep their
    difficulties, because the days between the two parts are made up. Each block's ``rows`` are positions in ``answers``.

    Args:
        answers: in the order of time.
        peers: methods by name; each takes answers and a mask of the training rows.
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
        is_training = np.arange(len(order)) < len(known)
        found = _of_ability(seen, fitted, following=fit_next(known, fitted))
        found |= {name: peer(seen, is_training) for name, peer in peers.items()}
        yield Block(rows, {name: values[len(known) :] for name, values in found.items()})


def _of_ability(
    seen: Answers, fitted: Hyperparameters, *, following: NextAnswerFit, items: KnownItems | None = None
) -> dict[str, Floats]:
    """P(right) of every answer by the ability alone, and with what the history says besides.

    The history learns its items itself. A calibration knows the answers that the history learns from: it would see too few
    surprises there, and trust itself too much in the new week.
    """
    ability = run_filter(seen, fitted, items=items).probability
    return {"ability": ability, "ability and history": following.learn(seen).probability}
