"""The forward filter: beliefs after every answer, predictions before it, and a state that can be stored and continued."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.evidence import Evidence, by_student, items_of
from seedtest_analytics.stats.ability.filter_state import Beliefs, FilterState, empty_state, grown, needed, with_room
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.origin import with_origin
from seedtest_analytics.stats.checks import array_of, count


@dataclass(frozen=True, eq=False)
class Filtered:
    """A pass of the filter. Arrays are (n,) in the order of ``answers``.

    ``probability``, ``logit`` and ``variance`` are known before the answer: P(right), mean and variance of η.
    ``earlier`` counts the student's earlier answers to the item, ``earlier_in_topic`` those in the topic.
    ``pair_slot`` and ``repeat_slot`` are the rows of the state's ``pair_keys`` and ``repeat_keys``.
    """

    state: FilterState
    answers: Answers
    log_likelihood: float
    probability: Floats
    logit: Floats
    variance: Floats
    earlier: NDArray[np.int32]
    earlier_in_topic: NDArray[np.int32]
    pair_slot: NDArray[np.int32]
    repeat_slot: NDArray[np.int32]


def run_filter(answers: Answers, hyperparameters: Hyperparameters, *, items: KnownItems | None = None) -> Filtered:
    """Filter all answers from the start.

    Args:
        answers: in the order of time.
        items: parameters of a calibration. The filter starts from them with their errors; other items start from
            their topic. None lets every item start from its topic, on a scale with mean level ``level_mean``.
    """
    return continue_filter(empty_state(hyperparameters, items), answers)


def continue_filter(state: FilterState, answers: Answers) -> Filtered:
    """Filter new answers after those that the state knows. The given state stays as it is.

    The result equals a pass over all answers from the start, bit by bit. New students, items and topics have codes that
    the state does not know yet.

    Raises:
        AbilityDataError: if an answer is older than the newest that the state knows.
    """
    if len(answers) and answers.day[0] < state.last_day:
        n_late = int(np.searchsorted(answers.day, state.last_day))
        raise AbilityDataError(
            f"{n_late} answers are older than the newest that the state knows (day {state.last_day:g}); "
            "run the filter from the start"
        )
    counted = _count(state, answers)
    n = len(answers)
    out = _results(n_predicted=n, n_weighed=0)
    after, log_likelihood = _pass(state, answers, slots=counted.slots, out=out)
    new_state = FilterState(
        **{field.name: getattr(after, field.name) for field in fields(Beliefs)},
        pair_keys=counted.pair_keys,
        repeat_keys=counted.repeat_keys,
        repeat_counts=counted.repeat_counts,
        last_day=max(state.last_day, float(answers.day[-1])) if n else state.last_day,
    )
    probability, logit, variance, _, _ = out
    return Filtered(
        new_state,
        answers,
        log_likelihood=log_likelihood,
        probability=probability,
        logit=logit,
        variance=variance,
        earlier=counted.slots.earlier,
        earlier_in_topic=counted.earlier_in_topic,
        pair_slot=counted.slots.pair,
        repeat_slot=counted.repeat_slot,
    )


def gather_evidence(
    answers: Answers, hyperparameters: Hyperparameters, *, items: KnownItems | None = None, n_predicted: int = 0
) -> Evidence:
    """Filter all answers from the start and keep what the smoother reads. The result has no state that could go on.

    A topic of a student takes memory only between its first and its last answer, so the pass needs a third of the memory of
    ``run_filter``. Its numbers are the same, bit by bit, but for the origin of a scale without known items: here the mean level
    of the first week is ``level_mean``.

    Args:
        answers: in the order of time.
        items: as in ``run_filter``.
        n_predicted: the newest answers whose predictions are kept.

    Raises:
        AbilityDataError: if ``n_predicted`` is not a whole number from 0 to the number of answers.
    """
    count(n_predicted, "n_predicted", low=0, high=len(answers), error=AbilityDataError)
    state = empty_state(hyperparameters, items)
    out = _results(n_predicted=n_predicted, n_weighed=len(answers))
    start, order = by_student(answers)
    slots = _reused(answers, start, order=order)
    after, log_likelihood = _pass(state, answers, slots=slots, out=out)
    probability, _, _, item_precision, item_shift = out
    evidence = Evidence(
        answers,
        hyperparameters,
        log_likelihood=log_likelihood,
        start=start,
        order=order,
        earlier=slots.earlier,
        items=items_of(after),
        item_precision=item_precision,
        item_shift=item_shift,
        probability=probability,
    )
    if items is None or bool(np.isnan(items.b).all()):
        return with_origin(evidence)
    return evidence


class PredictiveLikelihood:
    """Σ log P(answer | earlier answers) as a function of the hyperparameters; what does not depend on them is kept."""

    def __init__(self, answers: Answers, items: KnownItems | None = None) -> None:
        self._answers, self._items = answers, items
        start, order = by_student(answers)
        self._slots = _reused(answers, start, order=order)

    def __call__(self, hyperparameters: Hyperparameters) -> float:
        state = empty_state(hyperparameters, self._items)
        return _pass(state, self._answers, slots=self._slots, out=_results(n_predicted=0, n_weighed=0))[1]

    def by_student(self, hyperparameters: Hyperparameters) -> Floats:
        """(n_students,) each student's part of the sum."""
        answers, state = self._answers, empty_state(hyperparameters, self._items)
        probability, *rest = _results(n_predicted=len(answers), n_weighed=0)
        _pass(state, answers, slots=self._slots, out=(probability, *rest))
        logs: Floats = np.log(np.where(answers.correct == 1, probability, 1.0 - probability))
        return np.bincount(answers.student, logs).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Slots:
    """By answer: the row of its student's topic, as ``filter_answers`` reads it, and earlier answers to the item."""

    pair: NDArray[np.int32]
    earlier: NDArray[np.int32]
    n_pairs: int


def _reused(answers: Answers, start: NDArray[np.int64], *, order: NDArray[np.int32]) -> _Slots:
    """Rows that topics use one after the other."""
    from seedtest_analytics.stats.ability import layout_kernels as layout

    n_topics, n_items = (needed(codes, 0) for codes in (answers.topic, answers.item))
    pair, earlier, is_last = layout.link_answers(start, order, answers.topic, answers.item, n_topics, n_items)
    return _Slots(pair, earlier, n_pairs=layout.reuse_slots(pair, is_last))


@dataclass(frozen=True, eq=False)
class _Counted:
    """Slots of the answers' (student, topic), and what counts of earlier answers they have."""

    slots: _Slots
    repeat_slot: NDArray[np.int32]
    pair_keys: NDArray[np.int64]
    repeat_keys: NDArray[np.int64]
    repeat_counts: NDArray[np.int32]
    earlier_in_topic: NDArray[np.int32]


def _count(state: FilterState, answers: Answers) -> _Counted:
    from seedtest_analytics.stats.ability import slot_kernels as kernels
    from seedtest_analytics.stats.ability.filter_kernels import COUNT

    pair_slot, pair_keys = find_slots(answers.student, answers.topic, known=state.pair_keys)
    repeat_slot, repeat_keys = find_slots(answers.student, answers.item, known=state.repeat_keys)
    repeat_counts = grown(state.repeat_counts, len(repeat_keys), fill=0)
    earlier = kernels.earlier_counts(repeat_slot, repeat_counts)
    pair_counts = grown(state.pairs[:, COUNT].astype(np.int32), len(pair_keys), fill=0)
    return _Counted(
        _Slots(pair_slot, earlier, n_pairs=len(pair_keys)),
        repeat_slot,
        pair_keys=pair_keys,
        repeat_keys=repeat_keys,
        repeat_counts=repeat_counts,
        earlier_in_topic=kernels.earlier_counts(pair_slot, pair_counts),
    )


def _pass(
    state: FilterState, answers: Answers, *, slots: _Slots, out: tuple[NDArray[Any], ...]
) -> tuple[Beliefs, float]:
    """The state's arrays after the answers, and their log-likelihood; results per answer go to ``out``."""
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    after = with_room(state, answers, n_pairs=slots.n_pairs)
    log_likelihood = kernels.filter_answers(
        answers.student,
        answers.item,
        answers.topic,
        slots.pair,
        slots.earlier,
        answers.day,
        answers.correct,
        state.hyperparameters.as_array(),
        after.discrimination,
        after.students,
        after.first_pair,
        after.pairs,
        after.next_pair,
        after.items,
        after.item_topic,
        after.topics,
        *out,
    )
    return after, float(log_likelihood)


@dataclass(frozen=True, eq=False)
class Expected:
    """(n,) P(right) of answers that are not given yet, and mean and variance of their logit."""

    probability: Floats
    logit: Floats
    variance: Floats


def expect(state: FilterState, student: ArrayLike, *, item: ArrayLike, topic: ArrayLike, day: ArrayLike) -> Expected:
    """What the state expects of (n,) answers, each as the next one of its student. Unknown codes are new ones.

    Raises AbilityDataError as ``Answers.of`` does.
    """
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    n = array_of(student, "student", error=AbilityDataError).size
    wanted = Answers.of(student, item, topic=topic, day=day, correct=np.zeros(n, dtype=np.int8))
    pair_slot, _ = find_slots(wanted.student, wanted.topic, known=state.pair_keys)
    repeat_slot, _ = find_slots(wanted.student, wanted.item, known=state.repeat_keys)
    counts = np.append(state.repeat_counts, 0)
    earlier = counts[np.minimum(repeat_slot, len(state.repeat_counts))].astype(np.int32)
    after = with_room(state, wanted, n_pairs=len(state.pair_keys))
    results = kernels.predict_answers(
        wanted.student,
        wanted.item,
        wanted.topic,
        np.where(pair_slot < len(state.pair_keys), pair_slot, -1).astype(np.int32),
        earlier,
        wanted.day,
        state.hyperparameters.as_array(),
        after.discrimination,
        after.students,
        after.pairs,
        after.items,
        after.item_topic,
        after.topics,
    )
    probability, logit, variance = (wanted.in_given_order(values) for values in results)
    return Expected(probability, logit, variance=variance)


def _results(*, n_predicted: int, n_weighed: int) -> tuple[NDArray[Any], ...]:
    """Room for probability, logit and variance of the newest answers, and in single precision for what answers say about
    their items."""
    return (*(np.empty(n_predicted) for _ in range(3)), *(np.empty(n_weighed, dtype=np.float32) for _ in range(2)))


def find_slots(
    first: NDArray[np.int32], second: NDArray[np.int32], *, known: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(n,) slot of each pair and the keys of all slots: the known ones, then new ones by first appearance."""
    from seedtest_analytics.stats.ability import slot_kernels as kernels

    keys = np.concatenate([known, np.empty(len(first), dtype=np.int64)])
    table = np.full(1 << max(4, int(1.5 * len(keys) + 1).bit_length()), -1, dtype=np.int32)
    kernels.fill_table(keys, len(known), table)
    slots, n_known = kernels.find_slots(first, second, keys, table, len(known))
    return slots, keys[:n_known].copy()
