"""The state of the filter: what it knows after its answers, and the rows of new students, topics and items."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import LAST_DAY, Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.checks import number

NEVER = -1e300
"""The day of what has no answer yet."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What the filter believes of students, their topics, items and topics.

    ``students`` (n_students, 20), ``pairs`` (n_pairs, 6), ``items`` (n_items, 5) and ``topics`` (n_topics, 2) have the
    columns that ``filter_kernels`` names.
    """

    hyperparameters: Hyperparameters
    students: Floats
    first_pair: NDArray[np.int32]
    pairs: Floats
    next_pair: NDArray[np.int32]
    items: Floats
    item_topic: NDArray[np.int32]
    discrimination: Floats
    topics: Floats

    def difficulties(self) -> tuple[Floats, Floats]:
        """(n_items,) difficulty and standard error of every item; an item without answers has its topic's, or the mean's."""
        h = self.hyperparameters
        is_open = self.item_topic < 0
        topics = np.vstack([self.topics, [h.item_mean, h.item_topic_spread]])
        mean, variance = topics[np.where(is_open, len(self.topics), self.item_topic)].T
        alpha, beta, residual = self.items.T[:3]
        return alpha + beta * mean, np.sqrt(residual + beta**2 * variance)


@dataclass(frozen=True, eq=False)
class FilterState(Beliefs):
    """Everything that the filter knows after its answers. ``to_arrays`` and ``from_arrays`` store and restore it.

    ``pair_keys`` and ``repeat_keys`` are student · 2³² + topic or item, in the order of first appearance. ``last_day`` is the
    time of the newest answer.
    """

    pair_keys: NDArray[np.int64]
    repeat_keys: NDArray[np.int64]
    repeat_counts: NDArray[np.int32]
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


def empty_state(hyperparameters: Hyperparameters, items: KnownItems | None) -> FilterState:
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
        last_day=NEVER,
    )
    if items is not None:
        is_known = ~np.isnan(items.b)
        state.discrimination[:] = items.a
        state.items[is_known] = np.column_stack(
            [items.b, np.zeros(n_items), items.se_b**2, np.full(n_items, NEVER), np.zeros(n_items)]
        )[is_known]
    return state


def _new_item(h: Hyperparameters) -> list[float]:
    return [0.0, 1.0, h.item_spread, NEVER, 1.0]


def _new_student(h: Hyperparameters) -> list[float]:
    level = [h.level_mean, h.slope_mean, h.level_variance, 0.0, h.slope_variance]
    form = [0.0, 0.0, 0.0, h.form_variance]
    unmoved = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    return [*level, NEVER, 0.0, *form, *unmoved]


def with_room(state: FilterState, answers: Answers, *, n_pairs: int) -> Beliefs:
    """Copies of the state's arrays with rows for every code of the answers."""
    h = state.hyperparameters
    n_students = needed(answers.student, len(state.students))
    n_items = needed(answers.item, len(state.items))
    n_topics = max(needed(answers.topic, len(state.topics)), 1)
    new_pair = [0.0, 0.0, 0.0, 0.0, NEVER, 0.0]
    return Beliefs(
        h,
        students=_extended(state.students, n_students, row=_new_student(h)),
        first_pair=grown(state.first_pair, n_students, fill=-1),
        pairs=_extended(state.pairs, n_pairs, row=new_pair),
        next_pair=grown(state.next_pair, n_pairs, fill=-1),
        items=_extended(state.items, n_items, row=_new_item(h)),
        item_topic=grown(state.item_topic, n_items, fill=-1),
        discrimination=np.append(state.discrimination, np.ones(n_items - len(state.items))),
        topics=_extended(state.topics, n_topics, row=[h.item_mean, h.item_topic_spread]),
    )


def needed(codes: NDArray[np.int32], known: int) -> int:
    return max(int(codes.max()) + 1, known) if len(codes) else known


def _extended(rows: Floats, size: int, *, row: list[float]) -> Floats:
    """A copy with ``row`` repeated behind the known rows, up to ``size`` rows."""
    out = np.empty((size, rows.shape[1]))
    out[: len(rows)] = rows
    out[len(rows) :] = row
    return out


def grown(values: NDArray[np.int32], size: int, *, fill: int) -> NDArray[np.int32]:
    return np.concatenate([values, np.full(size - len(values), fill, dtype=np.int32)])
