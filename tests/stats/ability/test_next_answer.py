"""The second layer: continuation, consistency of prediction and learning, what it learns, and that ability stays apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from seedtest_analytics.stats.ability import next_answer_kernels as kernels
from seedtest_analytics.stats.ability.data import Answers, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import continue_filter, run_filter
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import continue_next, fit_effects, fit_next, learn_next, predict_next
from seedtest_analytics.stats.ability.next_answer_effects import EFFECTS, Effect
from tests.stats.ability._simulation import simulate

H = Hyperparameters()


def sequence_effect(n_students: int, seed: int) -> Answers:
    """Item 1 always follows item 0 and goes well only after a right answer to it, beyond ability."""
    random = np.random.default_rng(seed)
    n = 40
    student = np.repeat(np.arange(n_students), n)
    item = np.tile(np.arange(n) % 2, n_students)
    first = (random.random(len(item)) < 0.5).astype(int)
    p = np.where(item == 0, 0.5, np.where(np.roll(first, 1) == 1, 0.9, 0.2))
    correct = np.where(item == 0, first, (random.random(len(item)) < p).astype(int))
    day = np.tile(np.arange(n) / 10, n_students)
    return Answers.of(student, item, topic=np.zeros_like(item), day=day, correct=correct)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_continued_state_equals_a_pass_from_the_start(share: float) -> None:
    answers = simulate(H, seed=31, n_students=30).answers
    cut = int(share * len(answers))
    whole = run_filter(answers, H)
    first = run_filter(answers.take(np.arange(cut)), H)
    second = continue_filter(first.state, answers.take(np.arange(cut, len(answers))))
    start = learn_next(first)
    end = continue_next(start.state, second)
    expected = learn_next(whole)
    np.testing.assert_allclose(np.r_[start.probability, end.probability], expected.probability, atol=1e-12)
    np.testing.assert_allclose(end.state.coefficients, expected.state.coefficients, atol=1e-12)
    for name in EFFECTS:
        np.testing.assert_allclose(end.state.beliefs[name], expected.state.beliefs[name], atol=1e-12)


def test_prediction_of_the_next_answer_is_what_learning_predicts_before_it() -> None:
    answers = simulate(H, seed=32, n_students=20).answers
    expected = learn_next(run_filter(answers, H)).probability
    for cut in (0, 1, 50, len(answers) - 1):
        filtered = run_filter(answers.take(np.arange(cut)), H)
        state = learn_next(filtered).state
        p = predict_next(
            filtered.state,
            state,
            student=answers.student[cut : cut + 1],
            item=answers.item[cut : cut + 1],
            topic=answers.topic[cut : cut + 1],
            day=answers.day[cut : cut + 1],
        )
        assert p[0] == pytest.approx(expected[cut], abs=1e-12)


def test_predicting_changes_no_state() -> None:
    filtered = run_filter(simulate(H, seed=33, n_students=10).answers, H)
    state = learn_next(filtered).state
    before = {name: values.copy() for name, values in state.beliefs.items()}
    histories = state.students.copy()
    arguments = {"student": [0, 88], "item": [1, 9000], "topic": [0, 70], "day": [100.0, 100.0]}
    one = predict_next(filtered.state, state, **arguments)
    np.testing.assert_array_equal(predict_next(filtered.state, state, **arguments), one)
    np.testing.assert_array_equal(state.students, histories)
    for name, values in before.items():
        np.testing.assert_array_equal(state.beliefs[name], values)


@pytest.mark.long
def test_history_improves_prediction_and_ability_does_not_see_it() -> None:
    filtered = run_filter(sequence_effect(150, seed=34), H)
    learned = learn_next(filtered)
    second_half = np.arange(len(filtered.answers)) > len(filtered.answers) // 2

    def loss(p: np.ndarray) -> float:
        y = filtered.answers.correct
        return float(-np.log(np.where(y == 1, p, 1 - p))[second_half].mean())

    assert loss(learned.probability) < loss(filtered.probability) - 0.05
    # The same filter state with or without a second layer.
    again = run_filter(filtered.answers, H)
    np.testing.assert_array_equal(again.state.students, filtered.state.students)


@pytest.mark.long
def test_an_effect_without_a_trace_shrinks_and_one_with_a_trace_stays() -> None:
    last, sequence = Effect("item", "last", variance=1.0), Effect("sequence", variance=0.3)
    without = run_filter(simulate(H, seed=35, n_students=100).answers, H)
    assert fit_effects(without, effects={"last": last})["last"].variance < 0.3
    with_sequences = run_filter(sequence_effect(100, seed=35), H)
    assert fit_effects(with_sequences, effects={"sequence": sequence})["sequence"].variance >= 0.3


@pytest.mark.long
@pytest.mark.parametrize(("n_students", "keeps_form"), [(120, True), (None, False)])
def test_form_stays_where_it_predicts_better(n_students: int | None, keeps_form: bool) -> None:
    """In a cohort with form alone it does. Where answers follow each other, the effects explain what form would take."""
    h = replace(H, form_variance=0.6)
    answers = simulate(h, seed=41, n_students=n_students).answers if n_students else sequence_effect(120, seed=41)
    fit = fit_next(answers, h)
    assert fit.hyperparameters == (h if keeps_form else H)
    assert fit.effects == fit_effects(run_filter(answers, fit.hyperparameters))
    other = run_filter(answers, H if keeps_form else h)
    assert fit.learn(answers).log_likelihood > learn_next(other, fit_effects(other)).log_likelihood


def test_without_effects_and_history_the_layer_adds_only_common_coefficients() -> None:
    answers = Answers.of([0], [0], topic=[0], day=[0.0], correct=[1])
    filtered = run_filter(answers, H)
    p = learn_next(filtered, {}).probability[0]
    assert p == pytest.approx(float(expit(filtered.logit[0])), abs=0.05)


def test_states_of_different_answers_are_refused() -> None:
    answers = simulate(H, seed=36, n_students=10).answers
    whole, part = run_filter(answers, H), run_filter(answers.take(np.arange(20)), H)
    with pytest.raises(AbilityDataError, match="the states differ"):
        predict_next(whole.state, learn_next(part).state, student=[0], item=[0], topic=[0], day=[99.0])


def alone(owner: str, answers: Answers) -> tuple[float, float]:
    """Mean log loss of the last half with no effect, and with one kind of effect alone."""
    filtered = run_filter(answers, H)
    half = np.arange(len(answers)) >= len(answers) // 2

    def loss(effects: dict[str, Effect]) -> float:
        p = learn_next(filtered, effects).probability
        return float(-np.log(np.where(answers.correct == 1, p, 1 - p))[half].mean())

    return loss({}), loss({"one": Effect(owner, variance=0.5)})  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize("lag", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["sequence", "topic sequence"])
def test_a_sequence_is_found_best_at_its_lag(kind: str, lag: int) -> None:
    """Each item goes well after a right answer to the item that many answers before, for odd items the other way round.

    The same with topics, each with so many items that hardly one returns.
    """
    random = np.random.default_rng(37)
    n_students, n = 200, 30
    code = random.integers(0, 6, (n_students, n))
    correct = (random.random((n_students, n)) < 0.5).astype(int)
    for k in range(lag, n):
        follows = correct[:, k - lag] == (code[:, k] + code[:, k - lag]) % 2
        correct[:, k] = random.random(n_students) < np.where(follows, 0.85, 0.15)
    student, position = np.indices(code.shape)
    item, topic = (
        (code, np.zeros_like(code)) if kind == "sequence" else (6 * random.integers(0, 999, code.shape) + code, code)
    )
    answers = Answers.of(
        student.ravel(), item.ravel(), topic=topic.ravel(), day=position.ravel() / 10, correct=correct.ravel()
    )
    owners = [kind, f"{kind} 2", f"{kind} 3", f"{kind} 4"]
    without, found = alone(owners[lag - 1], answers)
    assert found < without - 0.05
    other = owners[lag % 4]
    assert alone(other, answers)[1] > found + 0.05


def plain_regression(
    logit: Floats, variance: Floats, day: Floats, correct: Floats, features: Floats, codes: Floats, kinds: list[Effect]
) -> Floats:
    """The equations of the second layer, with dictionaries and matrices; every kind loads 1."""
    known: dict[tuple[int, int], tuple[float, float, float]] = {}
    size = features.shape[1] + len(kinds)
    coefficient, covariance = np.zeros(size), np.eye(size) * 0.1
    p = np.empty(len(logit))
    for n in range(len(logit)):
        now, claimed = {}, np.zeros(len(kinds))
        for c, kind in enumerate(kinds):
            key = (c, int(codes[n, c]))
            mean, spread, seen = known.get(key, (0.0, kind.variance, day[n]))
            kept = np.exp(-kind.fade * (day[n] - seen))
            spread = spread * kept**2 + (kind.variance * (1 - kept**2) if kind.fade else kind.walk * (day[n] - seen))
            now[key] = (mean * kept, spread)
            claimed[c] = mean * kept
        x = np.r_[features[n], claimed]
        total = logit[n] + claimed.sum() + coefficient @ x
        uncertain = variance[n] + sum(spread for _, spread in now.values()) + x @ covariance @ x
        narrow = 1 / np.sqrt(1 + np.pi / 8 * uncertain)
        p[n] = expit(narrow * total)
        step, curvature = narrow * (correct[n] - p[n]), narrow**2 * p[n] * (1 - p[n])
        gain = covariance @ x
        coefficient, covariance = coefficient + gain * step, covariance - np.outer(gain, gain) * curvature
        known |= {k: (m + v * step, v - v**2 * curvature, day[n]) for k, (m, v) in now.items()}
    return p


def test_predictions_are_those_of_the_equations() -> None:
    random = np.random.default_rng(40)
    n = 400
    kinds = [
        Effect("item", variance=0.3, walk=0.02),
        Effect("student", variance=0.2, fade=0.5),
        Effect("topic", variance=0.1),
    ]
    codes = np.column_stack([random.integers(0, size, n) for size in (9, 5, 3)])
    features = np.column_stack([np.ones(n), random.normal(size=(n, 2))])
    logit, variance, day = random.normal(size=n), random.uniform(0, 0.5, n), np.sort(random.uniform(0, 20, n))
    correct = (random.random(n) < expit(logit + 0.5 * features[:, 1] + (codes[:, 0] - 4) / 3)).astype(np.int8)
    effects = np.tile(kernels.NEW_EFFECT, (17, 1))
    p, size = np.empty(n), features.shape[1] + len(kinds)
    coefficients = np.zeros(size)
    kernels.predict_and_learn(
        logit,
        variance,
        day,
        correct,
        features,
        codes + np.array([0, 9, 14]),
        np.zeros(3, dtype=np.int64),
        np.array([[kind.variance, kind.walk, kind.fade] for kind in kinds]),
        effects,
        coefficients,
        np.eye(size) * 0.1,
        p,
        True,
    )
    expected = plain_regression(logit, variance, day, correct, features=features, codes=codes, kinds=kinds)
    np.testing.assert_allclose(p, expected, atol=1e-9)
    assert np.abs(coefficients[features.shape[1] :]).max() > 0.02


@pytest.mark.long
def test_kinds_that_claim_the_same_answers_lose_weight() -> None:
    """Eight kinds explain the same item. Each learns as if it were alone, so together they claim too much."""
    answers = simulate(H, seed=39, n_students=150, n_items=60).answers
    flat = replace(run_filter(answers, H), logit=np.zeros(len(answers)), variance=np.zeros(len(answers)))
    state = learn_next(flat, {f"copy {k}": Effect("item", variance=1.0) for k in range(8)}).state
    weights = state.coefficients[-8:]
    assert weights.sum() < -0.05
    assert np.ptp(weights) < 1e-6


@pytest.mark.long
def test_pauses_after_which_answers_go_wrong_are_found() -> None:
    random = np.random.default_rng(38)
    n_students, n = 200, 30
    seconds = random.choice([2.0, 60.0, 1800.0], (n_students, n))
    correct = (random.random(seconds.shape) < np.where(seconds == 60, 0.9, 0.3)).astype(int)
    student, position = np.indices(seconds.shape)
    answers = Answers.of(
        student.ravel(),
        (position % 7).ravel(),
        topic=np.zeros(seconds.size, int),
        day=(np.cumsum(seconds, axis=1) / 86400).ravel(),
        correct=correct.ravel(),
    )
    without, found = alone("pause in topic", answers)
    assert found < without - 0.05


def test_a_scale_stays_where_the_answers_say_nothing_about_it() -> None:
    """No item returns to a student here, so the effect of a student's item never enters."""
    n = 60
    answers = Answers.of(
        np.arange(n) % 6, np.arange(n), topic=np.zeros(n, int), day=np.arange(n) / 10, correct=np.arange(n) % 2
    )
    effect = Effect("repeat", variance=0.3)
    assert fit_effects(run_filter(answers, H), effects={"repeat": effect}) == {"repeat": effect}
