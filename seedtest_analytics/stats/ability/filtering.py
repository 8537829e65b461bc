"""The forward filter: beliefs after every answer, predictions before it, and a state that can be stored and continued."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import LAST_DAY, Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.checks import array_of, number

_NEVER = -1e300


@dataclass(frozen=True, eq=False)
class FilterState:
    """Everything that the filter knows after its answers. ``to_arrays`` and ``from_arrays`` store and restore it.

    ``students`` (n_students, 10), ``pairs`` (n_pairs, 8), ``items`` (n_items, 5) and ``topics`` (n_topics, 2) have the
    columns that ``filter_kernels`` names. ``pair_keys`` and ``repeat_keys`` are student · 2³² + topic or item, in the
    order of first appearance. ``last_day`` is the time of the newest answer.
    """

    hyperparameters: Hyperparameters
    students: Floats
    first_pair: NDArray[np.int32]
    pairs: Floats
    next_pair: NDArray[np.int32]
    pair_keys: NDArray[np.int64]
    repeat_keys: NDArray[np.int64]
    repeat_counts: NDArray[np.int32]
    items: Floats
    item_topic: NDArray[np.int32]
    discrimination: Floats
    topics: Floats
    last_day: float

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Named arrays, as ``np.savez`` takes them."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        values = asdict(self.hyperparameters)
        return arrays | {
            "last_day": np.array(self.last_day),
            "hyperparameter_names": np.array(list(values)),
            "hyperparameter_values": np.array(list(values.values())),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> FilterState:
        """The state that ``to_arrays`` stored. Raises AbilityDataError for a missing array."""
        missing = [name for name in (*_ARRAYS, "last_day", *_STORED_HYPERPARAMETERS) if name not in arrays]
        if missing:
            raise AbilityDataError(f"the stored state lacks {', '.join(missing)}; run the filter from the start")
        names, values = (arrays[name] for name in _STORED_HYPERPARAMETERS)
        hyperparameters = Hyperparameters(
            **{str(name): float(value) for name, value in zip(names, values.astype(np.float64), strict=True)}
        )
        # The filter changes arrays in place, so a state never shares them.
        own = {name: np.array(arrays[name]) for name in _ARRAYS}
        return cls(hyperparameters, last_day=float(arrays["last_day"]), **own)

    @property
    def n_students(self) -> int:
        return len(self.students)

    def levels(self, day: float) -> tuple[Floats, Floats]:
        """(n_students,) level and standard error at ``day``. Silence keeps the level and widens the error.

        Raises AbilityDataError for a day that is not finite or beyond 10 million.
        """
        number(day, "day", low=-LAST_DAY, high=LAST_DAY, error=AbilityDataError)
        from seedtest_analytics.stats.ability import filter_kernels as kernels

        level, variance = kernels.levels_at(self.students, float(day), self.hyperparameters.as_array())
        return level, np.sqrt(variance)

    def difficulties(self) -> tuple[Floats, Floats]:
        """(n_items,) difficulty and standard error of every item; an item without answers has its topic's, or the mean's."""
        h = self.hyperparameters
        is_open = self.item_topic < 0
        topics = np.vstack([self.topics, [h.item_mean, h.item_topic_spread]])
        mean, variance = topics[np.where(is_open, len(self.topics), self.item_topic)].T
        alpha, beta, residual = self.items.T[:3]
        return alpha + beta * mean, np.sqrt(residual + beta**2 * variance)


_ARRAYS = (
    "students",
    "first_pair",
    "pairs",
    "next_pair",
    "pair_keys",
    "repeat_keys",
    "repeat_counts",
    "items",
    "item_topic",
    "discrimination",
    "topics",
)
_STORED_HYPERPARAMETERS = ("hyperparameter_names", "hyperparameter_values")


@dataclass(frozen=True, eq=False)
class Filtered:
    """A pass of the filter. Arrays are (n,) in the order of ``answers``.

    ``probability``, ``logit`` and ``variance`` are known before the answer: P(right), mean and variance of η.
    ``earlier`` counts the student's earlier answers to the item, ``earlier_in_topic`` those in the topic.
    ``pair_slot`` and ``repeat_slot`` are the rows of the state's ``pair_keys`` and ``repeat_keys``.
    ``item_precision`` and ``item_shift`` are what the answer says about its item's difficulty, as natural parameters.
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
    item_precision: NDArray[np.float32]
    item_shift: NDArray[np.float32]


def run_filter(answers: Answers, hyperparameters: Hyperparameters, *, items: KnownItems | None = None) -> Filtered:
    """Filter all answers from the start.

    Args:
        answers: in the order of time.
        items: parameters of a calibration. The filter starts from them with their errors; other items start from
            their topic. None lets every item start from its topic, on a scale with mean level ``level_mean``.
    """
    return continue_filter(_empty_state(hyperparameters, items), answers)


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
    out = _results(n)
    grown, log_likelihood = _pass(state, answers, counted=counted, out=out)
    new_state = FilterState(
        state.hyperparameters,
        **{field.name: getattr(grown, field.name) for field in fields(_Grown)},
        pair_keys=counted.pair_keys,
        repeat_keys=counted.repeat_keys,
        repeat_counts=counted.repeat_counts,
        last_day=max(state.last_day, float(answers.day[-1])) if n else state.last_day,
    )
    probability, logit, variance, item_precision, item_shift = out
    return Filtered(
        new_state,
        answers,
        log_likelihood=log_likelihood,
        probability=probability,
        logit=logit,
        variance=variance,
        earlier=counted.earlier,
        earlier_in_topic=counted.earlier_in_topic,
        pair_slot=counted.pair_slot,
        repeat_slot=counted.repeat_slot,
        item_precision=item_precision,
        item_shift=item_shift,
    )


class PredictiveLikelihood:
    """Σ log P(answer | earlier answers) as a function of the hyperparameters; what does not depend on them is kept."""

    def __init__(self, answers: Answers, items: KnownItems | None = None) -> None:
        self._answers, self._items = answers, items
        self._counted = _count(_empty_state(Hyperparameters(), items), answers)

    def __call__(self, hyperparameters: Hyperparameters) -> float:
        state = _empty_state(hyperparameters, self._items)
        return _pass(state, self._answers, counted=self._counted, out=_results(0))[1]


@dataclass(frozen=True, eq=False)
class _Counted:
    """Slots of the answers' (student, topic), and what counts of earlier answers they have."""

    pair_slot: NDArray[np.int32]
    repeat_slot: NDArray[np.int32]
    pair_keys: NDArray[np.int64]
    repeat_keys: NDArray[np.int64]
    repeat_counts: NDArray[np.int32]
    earlier: NDArray[np.int32]
    earlier_in_topic: NDArray[np.int32]


def _count(state: FilterState, answers: Answers) -> _Counted:
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    pair_slot, pair_keys = find_slots(answers.student, answers.topic, known=state.pair_keys)
    repeat_slot, repeat_keys = find_slots(answers.student, answers.item, known=state.repeat_keys)
    repeat_counts = _grown(state.repeat_counts, len(repeat_keys), fill=0)
    earlier = kernels.earlier_counts(repeat_slot, repeat_counts)
    pair_counts = _grown(state.pairs[:, kernels.COUNT].astype(np.int32), len(pair_keys), fill=0)
    return _Counted(
        pair_slot,
        repeat_slot,
        pair_keys=pair_keys,
        repeat_keys=repeat_keys,
        repeat_counts=repeat_counts,
        earlier=earlier,
        earlier_in_topic=kernels.earlier_counts(pair_slot, pair_counts),
    )


def _pass(
    state: FilterState, answers: Answers, *, counted: _Counted, out: tuple[NDArray[Any], ...]
) -> tuple[_Grown, float]:
    """The state's arrays after the answers, and their log-likelihood; results per answer go to ``out``."""
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    grown = _with_room(state, answers, n_pairs=len(counted.pair_keys))
    log_likelihood = kernels.filter_answers(
        answers.student,
        answers.item,
        answers.topic,
        counted.pair_slot,
        counted.earlier,
        answers.day,
        answers.correct,
        state.hyperparameters.as_array(),
        grown.discrimination,
        grown.students,
        grown.first_pair,
        grown.pairs,
        grown.next_pair,
        grown.items,
        grown.item_topic,
        grown.topics,
        *out,
    )
    return grown, float(log_likelihood)


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
    grown = _with_room(state, wanted, n_pairs=len(state.pair_keys))
    results = kernels.predict_answers(
        wanted.student,
        wanted.item,
        wanted.topic,
        np.where(pair_slot < len(state.pair_keys), pair_slot, -1).astype(np.int32),
        earlier,
        wanted.day,
        state.hyperparameters.as_array(),
        grown.discrimination,
        grown.students,
        grown.pairs,
        grown.items,
        grown.item_topic,
        grown.topics,
    )
    probability, logit, variance = (wanted.in_given_order(values) for values in results)
    return Expected(probability, logit, variance=variance)


def _empty_state(hyperparameters: Hyperparameters, items: KnownItems | None) -> FilterState:
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    n_items = 0 if items is None else len(items)
    state = FilterState(
        hyperparameters,
        students=np.empty((0, kernels.N_STUDENT)),
        first_pair=np.empty(0, dtype=np.int32),
        pairs=np.empty((0, kernels.N_PAIR)),
        next_pair=np.empty(0, dtype=np.int32),
        pair_keys=np.empty(0, dtype=np.int64),
        repeat_keys=np.empty(0, dtype=np.int64),
        repeat_counts=np.empty(0, dtype=np.int32),
        items=_extended(np.empty((0, kernels.N_ITEM)), n_items, row=_new_item(hyperparameters)),
        item_topic=np.full(n_items, -1, dtype=np.int32),
        discrimination=np.ones(n_items),
        topics=np.empty((0, 2)),
        last_day=_NEVER,
    )
    if items is not None:
        is_known = ~np.isnan(items.b)
        state.discrimination[:] = items.a
        state.items[is_known] = np.column_stack(
            [items.b, np.zeros(n_items), items.se_b**2, np.full(n_items, _NEVER), np.zeros(n_items)]
        )[is_known]
    return state


def _new_item(h: Hyperparameters) -> list[float]:
    return [0.0, 1.0, h.item_spread, _NEVER, 1.0]


def _new_student(h: Hyperparameters) -> list[float]:
    return [h.level_mean, h.slope_mean, h.level_variance, 0.0, h.slope_variance, _NEVER, 1.0, 0.0, 0.0, 0.0]


@dataclass(frozen=True, eq=False)
class _Grown:
    students: Floats
    first_pair: NDArray[np.int32]
    pairs: Floats
    next_pair: NDArray[np.int32]
    items: Floats
    item_topic: NDArray[np.int32]
    discrimination: Floats
    topics: Floats


def _with_room(state: FilterState, answers: Answers, *, n_pairs: int) -> _Grown:
    """Copies of the state's arrays with rows for every code of the answers."""
    h = state.hyperparameters
    n_students = _needed(answers.student, len(state.students))
    n_items = _needed(answers.item, len(state.items))
    n_topics = max(_needed(answers.topic, len(state.topics)), 1)
    new_pair = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, _NEVER, 0.0]
    return _Grown(
        students=_extended(state.students, n_students, row=_new_student(h)),
        first_pair=_grown(state.first_pair, n_students, fill=-1),
        pairs=_extended(state.pairs, n_pairs, row=new_pair),
        next_pair=_grown(state.next_pair, n_pairs, fill=-1),
        items=_extended(state.items, n_items, row=_new_item(h)),
        item_topic=_grown(state.item_topic, n_items, fill=-1),
        discrimination=np.append(state.discrimination, np.ones(n_items - len(state.items))),
        topics=_extended(state.topics, n_topics, row=[h.item_mean, h.item_topic_spread]),
    )


def _needed(codes: NDArray[np.int32], known: int) -> int:
    return max(int(codes.max()) + 1, known) if len(codes) else known


def _extended(rows: Floats, size: int, *, row: list[float]) -> Floats:
    """A copy with ``row`` repeated behind the known rows, up to ``size`` rows."""
    out = np.empty((size, rows.shape[1]))
    out[: len(rows)] = rows
    out[len(rows) :] = row
    return out


def _results(n: int) -> tuple[NDArray[Any], ...]:
    """Room for probability, logit and variance of n answers, and in single precision for what they say about items."""
    return (*(np.empty(n) for _ in range(3)), *(np.empty(n, dtype=np.float32) for _ in range(2)))


def _grown(values: NDArray[np.int32], size: int, *, fill: int) -> NDArray[np.int32]:
    return np.concatenate([values, np.full(size - len(values), fill, dtype=np.int32)])


def find_slots(
    first: NDArray[np.int32], second: NDArray[np.int32], *, known: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(n,) slot of each pair and the keys of all slots: the known ones, then new ones by first appearance."""
    from seedtest_analytics.stats.ability import filter_kernels as kernels

    keys = np.concatenate([known, np.empty(len(first), dtype=np.int64)])
    table = np.full(1 << max(4, int(1.5 * len(keys) + 1).bit_length()), -1, dtype=np.int32)
    kernels.fill_table(keys, len(known), table)
    slots, n_known = kernels.find_slots(first, second, keys, table, len(known))
    return slots, keys[:n_known].copy()
