"""The second layer: the probability of the next answer. Its effects serve prediction alone; ability excludes them.

It starts from the ability's expectation and adds what the history says: counts of right and wrong answers in the topic and to
the item, the last answers, pauses, and effects of items, students and sequences. ``next_answer_kernels`` has the equation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import Filtered, FilterState, expect, find_slots
from seedtest_analytics.stats.checks import array_of, count, number, one_of

_NEVER = -1e300
_CHUNK = 200_000
"""Answers whose features are in memory at once."""

Owner = Literal["item", "topic", "student", "repeat", "sequence"]
Loading = Literal["one", "logit", "last"]


@dataclass(frozen=True)
class Effect:
    """Effects with one prior: one per ``owner``, times ``loading``.

    ``variance`` is the prior's, in logits²; ``walk`` is added per day. With ``fade`` > 0 the effect returns to 0 at this
    rate a day instead. A repeat is a student's item, a sequence an item after a given item, answered right or wrong.

    Raises AbilityDataError for another owner or loading, or a negative number.
    """

    owner: Owner
    loading: Loading = "one"
    variance: float = 0.05
    walk: float = 0.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.owner, "owner", choices=get_args(Owner), error=AbilityDataError)
        one_of(self.loading, "loading", choices=get_args(Loading), error=AbilityDataError)
        for name in ("variance", "walk", "fade"):
            number(getattr(self, name), name, low=0.0, error=AbilityDataError)


EFFECTS: dict[str, Effect] = {
    "item": Effect("item", variance=0.01, walk=0.0005),
    "item lately": Effect("item", variance=0.1, fade=0.3),
    "topic lately": Effect("topic", variance=0.03, fade=5.0),
    "discrimination": Effect("item", "logit", variance=0.05),
    "item after a right answer": Effect("item", "last", variance=0.05),
    "student after a right answer": Effect("student", "last", variance=0.05),
    "form": Effect("student", variance=0.05, fade=8.0),
    "item after an item": Effect("sequence", variance=0.1),
    "item of a student": Effect("repeat", variance=0.3),
}
"""The default effects by name. ``fit_effects`` scales their variances to a log."""


@dataclass(frozen=True, eq=False)
class NextAnswerState:
    """What the second layer knows after its answers; ``beliefs`` has one (n, 3) array per effect of ``effects``."""

    effects: dict[str, Effect]
    students: Floats
    pairs: Floats
    repeats: Floats
    sequence_keys: NDArray[np.int64]
    beliefs: dict[str, Floats]
    coefficients: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class NextAnswers:
    """(n,) P(right) before each answer in the order of ``Filtered.answers``, and the state after all of them."""

    state: NextAnswerState
    probability: Floats
    log_likelihood: float


_COEFFICIENT_VARIANCE = 0.1


def learn_next(filtered: Filtered, effects: dict[str, Effect] | None = None) -> NextAnswers:
    """Predict and learn every answer of a pass from the start."""
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    chosen = dict(EFFECTS) if effects is None else dict(effects)
    n = kernels.N_FEATURES
    empty = NextAnswerState(
        chosen,
        students=np.empty((0, 6)),
        pairs=np.empty((0, 4)),
        repeats=np.empty((0, 4)),
        sequence_keys=np.empty(0, dtype=np.int64),
        beliefs={name: np.empty((0, 3)) for name in chosen},
        coefficients=np.zeros(n),
        covariance=np.eye(n) * _COEFFICIENT_VARIANCE,
    )
    return continue_next(empty, filtered)


def continue_next(state: NextAnswerState, filtered: Filtered) -> NextAnswers:
    """Go on with the answers of ``continue_filter``. The result equals a pass from the start."""
    probability = np.empty(len(filtered.answers))
    total = 0.0
    for first in range(0, len(probability), _CHUNK):
        rows = slice(first, first + _CHUNK)
        state, p, log_likelihood = _learn(state, filtered, rows=rows)
        probability[rows] = p
        total += log_likelihood
    return NextAnswers(state, probability, log_likelihood=total)


def predict_next(
    ability: FilterState,
    state: NextAnswerState,
    *,
    student: ArrayLike,
    item: ArrayLike,
    topic: ArrayLike,
    day: ArrayLike,
) -> Floats:
    """(n,) P(right) of answers that are not given yet, each as the next one of its student. Unknown codes are new ones.

    Raises:
        AbilityDataError: if the two states do not come from the same answers, and as ``Answers.of`` does.
    """
    if len(state.pairs) != len(ability.pair_keys) or len(state.repeats) != len(ability.repeat_keys):
        raise AbilityDataError(
            f"the states differ: {len(ability.pair_keys)} and {len(state.pairs)} topics of students; "
            "continue both with the same answers"
        )
    n = array_of(student, "student", error=AbilityDataError).size
    wanted = Answers.of(student, item, topic=topic, day=day, correct=np.zeros(n, dtype=np.int8))
    expected = expect(ability, wanted.student, item=wanted.item, topic=wanted.topic, day=wanted.day)
    pair, _ = find_slots(wanted.student, wanted.topic, known=ability.pair_keys)
    repeat, _ = find_slots(wanted.student, wanted.item, known=ability.repeat_keys)
    rows = _Rows(wanted, pair, repeat=repeat, logit=expected.logit, variance=expected.variance)
    _, p, _ = _predict(state, rows, learn=False)
    return np.asarray(wanted.in_given_order(p))


@dataclass(frozen=True, eq=False)
class _Rows:
    answers: Answers
    pair: NDArray[np.int32]
    repeat: NDArray[np.int32]
    logit: Floats
    variance: Floats


def _learn(state: NextAnswerState, filtered: Filtered, *, rows: slice) -> tuple[NextAnswerState, Floats, float]:
    chunk = _Rows(
        filtered.answers.take(rows),
        filtered.pair_slot[rows],
        repeat=filtered.repeat_slot[rows],
        logit=filtered.logit[rows],
        variance=filtered.variance[rows],
    )
    return _predict(state, chunk, learn=True)


def _predict(state: NextAnswerState, rows: _Rows, *, learn: bool) -> tuple[NextAnswerState, Floats, float]:
    """The state after the rows (with ``learn``), P(right) before each, and Σ log P(answer)."""
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    answers, n = rows.answers, len(rows.logit)
    students = _extended(state.students, answers.student, row=[-1.0, -1.0, -1.0, -1.0, _NEVER, 0.0])
    pairs = _extended(state.pairs, rows.pair, row=[0.0, 0.0, -1.0, _NEVER])
    repeats = _extended(state.repeats, rows.repeat, row=[0.0, 0.0, -1.0, _NEVER])
    features, last_item = np.empty((n, kernels.N_FEATURES)), np.empty(n, dtype=np.int32)
    kernels.describe(
        answers.student,
        answers.item,
        answers.topic,
        rows.pair,
        rows.repeat,
        answers.day,
        answers.correct,
        rows.logit,
        students,
        pairs,
        repeats,
        features,
        last_item,
        learn,
    )
    sequence, sequence_keys = find_slots(last_item + np.int32(1), answers.item, known=state.sequence_keys)
    owners = {
        "item": answers.item,
        "topic": answers.topic,
        "student": answers.student,
        "repeat": np.where(features[:, _HAS_REPEAT] > 0, rows.repeat, -1),
        "sequence": np.where(last_item >= 0, sequence, -1),
    }
    columns = {"one": np.ones(n), "logit": features[:, 1], "last": features[:, 6]}
    kinds = list(state.effects.values())
    beliefs = [
        _extended(state.beliefs[name], owners[effect.owner], row=[0.0, 0.0, _NEVER])
        for name, effect in state.effects.items()
    ]
    offsets = np.r_[0, np.cumsum([len(values) for values in beliefs])].astype(np.int64)
    codes = np.empty((n, len(kinds)), dtype=np.int64)
    for c, effect in enumerate(kinds):
        codes[:, c] = np.where(owners[effect.owner] >= 0, owners[effect.owner] + offsets[c], -1)
    everything = np.concatenate([*beliefs, np.empty((0, 3))])
    coefficients, covariance = state.coefficients.copy(), state.covariance.copy()
    p = np.empty(n)
    log_likelihood = kernels.predict_and_learn(
        rows.logit,
        rows.variance,
        answers.day,
        answers.correct,
        features,
        codes,
        np.column_stack([columns[effect.loading] for effect in kinds]) if kinds else np.empty((n, 0)),
        np.array([[effect.variance, effect.walk, effect.fade] for effect in kinds]).reshape(-1, 3),
        everything,
        coefficients,
        covariance,
        p,
        learn,
    )
    after = NextAnswerState(
        state.effects,
        students=students,
        pairs=pairs,
        repeats=repeats,
        sequence_keys=sequence_keys,
        beliefs={name: everything[offsets[c] : offsets[c + 1]] for c, name in enumerate(state.effects)},
        coefficients=coefficients,
        covariance=covariance,
    )
    return after, p, float(log_likelihood)


_HAS_REPEAT = 17
_SCALE = 4.0
_WORTH = 2.0
"""Log likelihood that a larger variance must earn: twice what Akaike's criterion asks of a parameter."""


def _extended(values: Floats, codes: NDArray[Any], *, row: list[float]) -> Floats:
    """A copy with rows for every code."""
    needed = max(int(codes.max()) + 1 if len(codes) else 0, len(values))
    return np.concatenate([values, np.tile(row, (needed - len(values), 1))])


def fit_effects(
    filtered: Filtered, *, effects: dict[str, Effect] | None = None, max_answers: int = 60_000, rounds: int = 3
) -> dict[str, Effect]:
    """Scale the variance and walk of every effect by predictive likelihood, one effect after the other.

    A round tries four times and a quarter of each current scale. A larger scale must raise the log likelihood by
    ``_WORTH``, and a smaller one may cost as much: so an effect that says nothing shrinks round by round. Only the first
    ``max_answers`` answers count.

    Raises AbilityDataError for ``max_answers`` or ``rounds`` that are not whole numbers from 1.
    """
    count(max_answers, "max_answers", low=1, error=AbilityDataError)
    count(rounds, "rounds", low=1, error=AbilityDataError)
    chosen = dict(EFFECTS) if effects is None else dict(effects)
    start = learn_next(_head(filtered, 0), chosen).state
    head = _head(filtered, max_answers)

    def loss(candidate: dict[str, Effect]) -> float:
        return -continue_next(replace(start, effects=candidate), head).log_likelihood

    best = loss(chosen)
    for _ in range(rounds):
        for name in chosen:
            for scale in (_SCALE, 1.0 / _SCALE):
                tried = chosen | {name: _scaled(chosen[name], scale)}
                value = loss(tried)
                if value < best + (_WORTH if scale < 1.0 else -_WORTH):
                    chosen, best = tried, value
                    break
    return chosen


def _scaled(effect: Effect, scale: float) -> Effect:
    return replace(effect, variance=effect.variance * scale, walk=effect.walk * scale)


def _head(filtered: Filtered, n: int) -> Filtered:
    """The first ``n`` answers of a pass, as far as the second layer reads it."""
    names = ("probability", "logit", "variance", "earlier", "earlier_in_topic", "pair_slot", "repeat_slot")
    return replace(
        filtered, answers=filtered.answers.take(slice(0, n)), **{name: getattr(filtered, name)[:n] for name in names}
    )
