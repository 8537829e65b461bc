"""The second layer: the probability of the next answer. Its effects serve prediction alone; ability excludes them.

It starts from the ability's expectation and adds what the history says: counts of right and wrong answers in the topic and to
the item, the last answers, pauses, and effects of items, students and sequences. ``next_answer_kernels`` has the equation,
``next_answer_effects`` the kinds of effects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filter_state import FilterState
from seedtest_analytics.stats.ability.filtering import Filtered, expect, find_slots, run_filter
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer_effects import EFFECTS, Effect, Loading, Owner
from seedtest_analytics.stats.checks import array_of, count

_CHUNK = 200_000
_MOST_CHUNKS = 12
"""The features of a chunk of answers are in memory at once, and each chunk copies the state. So a chunk has at least 200,000
answers, and a long log has few chunks."""
_COEFFICIENT_VARIANCE = 0.1


@dataclass(frozen=True, eq=False)
class NextAnswerState:
    """What the second layer knows after its answers.

    ``beliefs`` has one (n, 3) array per effect of ``effects``. ``coefficients`` are of the features and of the weights of
    ``effects``, with their ``covariance``. ``keys`` has the codes of owners that are pairs, by owner, in the order of first
    appearance. ``students``, ``pairs``, ``repeats`` and ``items`` are histories, whose columns ``next_answer_kernels`` names.
    """

    effects: dict[str, Effect]
    students: Floats
    pairs: Floats
    repeats: Floats
    items: Floats
    keys: dict[Owner, NDArray[np.int64]]
    beliefs: dict[str, Floats]
    coefficients: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class NextAnswers:
    """(n,) P(right) before each answer in the order of ``Filtered.answers``, and the state after all of them."""

    state: NextAnswerState
    probability: Floats
    log_likelihood: float


def learn_next(filtered: Filtered, effects: dict[str, Effect] | None = None) -> NextAnswers:
    """Predict and learn every answer of a pass from the start."""
    return continue_next(_empty(EFFECTS if effects is None else effects), filtered)


def _empty(effects: dict[str, Effect]) -> NextAnswerState:
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    n = kernels.N_FEATURES + len(effects)
    return NextAnswerState(
        dict(effects),
        students=np.empty((0, kernels.N_STUDENT)),
        pairs=np.empty((0, 4)),
        repeats=np.empty((0, 4)),
        items=np.empty((0, 2)),
        keys={},
        beliefs={name: np.empty((0, 3)) for name in effects},
        coefficients=np.zeros(n),
        covariance=np.eye(n) * _COEFFICIENT_VARIANCE,
    )


def continue_next(state: NextAnswerState, filtered: Filtered) -> NextAnswers:
    """Go on with the answers of ``continue_filter``. The result equals a pass from the start."""
    probability = np.empty(len(filtered.answers))
    total = 0.0
    chunk = max(_CHUNK, -(-len(probability) // _MOST_CHUNKS))
    for first in range(0, len(probability), chunk):
        rows = slice(first, first + chunk)
        described = _describe(state, _rows_of(filtered, rows), learn=True)
        state, probability[rows], log_likelihood = _regress(described, learn=True)
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
    _, p, _ = _regress(_describe(state, rows, learn=False), learn=False)
    return np.asarray(wanted.in_given_order(p))


@dataclass(frozen=True, eq=False)
class _Rows:
    answers: Answers
    pair: NDArray[np.int32]
    repeat: NDArray[np.int32]
    logit: Floats
    variance: Floats


def _rows_of(filtered: Filtered, rows: slice) -> _Rows:
    return _Rows(
        filtered.answers.take(rows),
        filtered.pair_slot[rows],
        repeat=filtered.repeat_slot[rows],
        logit=filtered.logit[rows],
        variance=filtered.variance[rows],
    )


@dataclass(frozen=True, eq=False)
class _Described:
    """Rows with their features (n, F), the row of every effect in its kind's beliefs (n, C), -1 for none, and the state
    whose histories know the rows while its beliefs do not."""

    rows: _Rows
    state: NextAnswerState
    features: Floats
    codes: NDArray[np.int64]


def _describe(state: NextAnswerState, rows: _Rows, *, learn: bool) -> _Described:
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    answers, n = rows.answers, len(rows.logit)
    after = replace(
        state,
        students=_extended(state.students, answers.student, row=kernels.NEW_STUDENT),
        pairs=_extended(state.pairs, rows.pair, row=kernels.NEW_PAIR),
        repeats=_extended(state.repeats, rows.repeat, row=kernels.NEW_PAIR),
        items=_extended(state.items, answers.item, row=kernels.NEW_ITEM),
        keys=dict(state.keys),
    )
    features, contexts = np.empty((n, kernels.N_FEATURES)), np.empty((n, kernels.N_CONTEXTS), dtype=np.int32)
    kernels.describe(
        answers.student,
        answers.item,
        answers.topic,
        rows.pair,
        rows.repeat,
        answers.day,
        answers.correct,
        rows.logit,
        rows.variance,
        after.students,
        after.pairs,
        after.repeats,
        after.items,
        features,
        contexts,
        learn,
    )
    owners = {effect.owner for effect in state.effects.values()}
    by_owner = {
        owner: _owner_codes(owner, rows, features=features, contexts=contexts, keys=after.keys) for owner in owners
    }
    codes = np.empty((n, len(state.effects)), dtype=np.int64)
    for c, effect in enumerate(state.effects.values()):
        codes[:, c] = by_owner[effect.owner]
    return _Described(rows, after, features=features, codes=codes)


def _owner_codes(
    owner: Owner, rows: _Rows, *, features: Floats, contexts: NDArray[np.int32], keys: dict[Owner, NDArray[np.int64]]
) -> NDArray[np.int32]:
    """(n,) codes of the owner from 0, -1 for none; ``keys`` of an owner that is a pair grow."""
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    answers = rows.answers
    if owner == "all":
        return np.zeros(len(rows.logit), dtype=np.int32)
    if owner == "repeat":
        return np.where(features[:, kernels.HAS_REPEAT] > 0, rows.repeat, -1)
    plain = {"item": answers.item, "topic": answers.topic, "student": answers.student}
    if owner in plain:
        return plain[owner]
    direct = {
        "results": kernels.LAST_RESULTS,
        "pause in topic": kernels.TOPIC_PAUSE,
        "pause of item": kernels.ITEM_PAUSE,
    }
    if owner in direct:
        return contexts[:, direct[owner]]
    column, second = {
        "sequence": (0, answers.item),
        "sequence 2": (1, answers.item),
        "sequence 3": (2, answers.item),
        "sequence 4": (3, answers.item),
        "topic sequence": (4, answers.topic),
        "topic sequence 2": (5, answers.topic),
        "topic sequence 3": (6, answers.topic),
        "topic sequence 4": (7, answers.topic),
        "item and results": (kernels.FIRST_RESULTS, answers.item),
        "item and counts": (kernels.TOPIC_COUNTS, answers.item),
        "pause of student": (kernels.STUDENT_PAUSE, answers.student),
        "repeated result of student": (kernels.REPEATED_RESULT, answers.student),
    }[owner]
    first = np.ascontiguousarray(contexts[:, column])
    slots, keys[owner] = find_slots(first + np.int32(1), second, known=keys.get(owner, np.empty(0, dtype=np.int64)))
    return np.where(first >= 0, slots, -1)


def _regress(described: _Described, *, learn: bool) -> tuple[NextAnswerState, Floats, float]:
    """The state after the rows (with ``learn``), P(right) before each, and Σ log P(answer)."""
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    state, rows = described.state, described.rows
    kinds = list(state.effects.values())
    beliefs = [
        _extended(values, described.codes[:, c], row=kernels.NEW_EFFECT)
        for c, values in enumerate(state.beliefs[name] for name in state.effects)
    ]
    offsets = np.r_[0, np.cumsum([len(values) for values in beliefs])].astype(np.int64)
    everything = np.concatenate([*beliefs, np.empty((0, 3))])
    coefficients, covariance = state.coefficients.copy(), state.covariance.copy()
    p = np.empty(len(rows.logit))
    columns = _loading_columns()
    log_likelihood = kernels.predict_and_learn(
        rows.logit,
        rows.variance,
        rows.answers.day,
        rows.answers.correct,
        described.features,
        np.where(described.codes >= 0, described.codes + offsets[:-1], -1),
        np.array([columns[effect.loading] for effect in kinds], dtype=np.int64),
        np.array([[effect.variance, effect.walk, effect.fade] for effect in kinds]).reshape(-1, 3),
        everything,
        coefficients,
        covariance,
        p,
        learn,
    )
    after = replace(
        state,
        beliefs={name: everything[offsets[c] : offsets[c + 1]] for c, name in enumerate(state.effects)},
        coefficients=coefficients,
        covariance=covariance,
    )
    return after, p, float(log_likelihood)


def _loading_columns() -> dict[Loading, int]:
    from seedtest_analytics.stats.ability import next_answer_kernels as kernels

    return {
        "one": 0,
        "logit": kernels.LOGIT,
        "last": kernels.LAST,
        "last in topic": kernels.LAST_IN_TOPIC,
        "right in topic": kernels.TOPIC_RIGHT,
        "wrong in topic": kernels.TOPIC_WRONG,
        "same topic": kernels.SAME_TOPIC,
        "last of same topic": kernels.LAST_OF_SAME_TOPIC,
        "slowness": kernels.SLOWNESS_OF_STUDENT,
        "form": kernels.FORM,
    }


@dataclass(frozen=True)
class NextAnswerFit:
    """What predicts the next answer: the ability with or without form, and the effects on top of it."""

    hyperparameters: Hyperparameters
    effects: dict[str, Effect]

    def learn(self, answers: Answers) -> NextAnswers:
        """Predict and learn all answers from the start."""
        return learn_next(run_filter(answers, self.hyperparameters), self.effects)


def fit_next(answers: Answers, hyperparameters: Hyperparameters) -> NextAnswerFit:
    """Choose whether the ability keeps its form, and scale the effects; both by predictive likelihood.

    The effects know the form of the day, too. Where a log has little else, the ability's belief of it is the better one. Where
    much else passes, form takes what the effects explain better.

    Args:
        answers: in the order of time; the first 100,000 count.
        hyperparameters: fitted without known items.
    """
    head = answers.take(slice(0, _MOST_FITTED))
    without = replace(hyperparameters, form_variance=0.0)
    passes = [run_filter(head, h) for h in (hyperparameters, without)]
    best = max(passes, key=lambda filtered: learn_next(filtered).log_likelihood)
    return NextAnswerFit(best.state.hyperparameters, fit_effects(best))


_MOST_FITTED = 100_000
_SCALE = 2.0
_PRIOR_SD_LOG = 1.5
"""SD of the log of a scale around the default, as of the hyperparameters: a factor of 4 must earn 0.4 nats."""


def _extended(values: Floats, codes: NDArray[Any], *, row: list[float]) -> Floats:
    """A copy with rows for every code."""
    needed = max(int(codes.max()) + 1 if len(codes) else 0, len(values))
    return np.concatenate([values, np.tile(row, (needed - len(values), 1))])


def fit_effects(
    filtered: Filtered, *, effects: dict[str, Effect] | None = None, max_answers: int = _MOST_FITTED, rounds: int = 6
) -> dict[str, Effect]:
    """Scale the variance and walk of every effect by predictive likelihood, one effect after the other.

    maximise  Σ_n log P(answer n | answers before n) + log prior,   log scale ~ N(0, 1.5²)

    The first round tries twice and half of each scale; the next ones go on where the one before gained. The prior
    keeps the scale of an effect about which the answers say nothing. Only the first ``max_answers`` answers count.

    Raises AbilityDataError for ``max_answers`` or ``rounds`` that are not whole numbers from 1.
    """
    count(max_answers, "max_answers", low=1, error=AbilityDataError)
    count(rounds, "rounds", low=1, error=AbilityDataError)
    start = dict(EFFECTS) if effects is None else dict(effects)
    described = _describe(_empty(start), _rows_of(filtered, slice(0, max_answers)), learn=True)

    def loss(log_scale: dict[str, float]) -> float:
        chosen = {name: _scaled(effect, math.exp(log_scale[name])) for name, effect in start.items()}
        log_likelihood = _regress(replace(described, state=replace(described.state, effects=chosen)), learn=True)[2]
        return 0.5 * sum((value / _PRIOR_SD_LOG) ** 2 for value in log_scale.values()) - log_likelihood

    found = dict.fromkeys(start, 0.0)
    best = loss(found)
    steps: dict[str, tuple[float, ...]] = dict.fromkeys(start, (math.log(_SCALE), -math.log(_SCALE)))
    for _ in range(rounds):
        moved: dict[str, tuple[float, ...]] = {}
        for name, tries in steps.items():
            for step in tries:
                tried = found | {name: found[name] + step}
                value = loss(tried)
                if value < best:
                    found, best = tried, value
                    moved[name] = (step,)
                    break
        steps = moved
    return {name: _scaled(effect, math.exp(found[name])) for name, effect in start.items()}


def _scaled(effect: Effect, scale: float) -> Effect:
    return replace(effect, variance=effect.variance * scale, walk=effect.walk * scale)
