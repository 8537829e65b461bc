"""What is stored of a mixed model's random effects."""

import json

import numpy as np
import pytest

from seedtest_analytics.stats.mixed_model.result import MAX_LISTED_LEVELS, MixedModelFit, RandomEffects

INTERCEPT = "(Intercept)"


def fit_with(*effects: RandomEffects) -> MixedModelFit:
    return MixedModelFit(
        formula="score ~ week + (week | student) + (1 | topic)",
        family="gaussian",
        criterion="REML",
        n_rows=100,
        fixed_effects=(),
        variance_components=(),
        random_effects=effects,
        residual_sd=0.1,
        log_likelihood=-1.0,
        aic=2.0,
        bic=3.0,
        is_singular=False,
        convergence_messages=(),
        warnings=(),
        optimizer="bobyqa",
        rmse=0.1,
        held_out=None,
        backend="lme4",
    )


def effects_of(group: str, values: np.ndarray, *terms: str) -> RandomEffects:
    levels = tuple(f"{group} {number}" for number in range(len(values)))
    return RandomEffects(group, levels, terms=terms, values=values, conditional_sd=np.full(values.shape, 0.05))


def test_topics_are_stored_one_by_one_and_students_summed_up() -> None:
    students = np.column_stack([np.linspace(-1, 1, 41), np.linspace(0, 0.4, 41)])
    fit = fit_with(
        effects_of("student", students, INTERCEPT, "week"),
        effects_of("topic", np.array([[0.2], [-0.1]]), INTERCEPT),
        effects_of("topic:student", np.ones((3, 1)), INTERCEPT),
    )
    stored = json.loads(json.dumps(fit.metrics(), allow_nan=False))["random_effects"]
    assert stored["topic"]["effects"] == {
        "topic 0": {INTERCEPT: {"effect": 0.2, "sd": 0.05}},
        "topic 1": {INTERCEPT: {"effect": -0.1, "sd": 0.05}},
    }
    assert (stored["topic"]["levels"], stored["topic"]["levels_listed"]) == (2, 2)
    assert stored["student"]["levels"] == 41
    assert stored["student"]["terms"][INTERCEPT] == pytest.approx(
        {"q2.5": -0.95, "q25": -0.5, "q50": 0, "q75": 0.5, "q97.5": 0.95}
    )
    assert stored["student"]["terms"]["week"]["q75"] == pytest.approx(0.3)
    # As many as students, and named by codes that nobody else knows.
    assert "effects" not in stored["student"]
    assert "effects" not in stored["topic:student"]


def test_of_too_many_levels_those_furthest_from_the_population_are_listed() -> None:
    values = np.linspace(-0.5, 1.0, MAX_LISTED_LEVELS + 50)[:, None]
    (topics,) = fit_with(effects_of("topic", values, INTERCEPT)).metrics()["random_effects"].values()
    assert (topics["levels"], topics["levels_listed"]) == (len(values), MAX_LISTED_LEVELS)
    listed = [effect[INTERCEPT]["effect"] for effect in topics["effects"].values()]
    left_out = np.setdiff1d(values[:, 0], listed)
    assert len(left_out) == 50
    assert np.abs(left_out).max() <= np.abs(listed).min()


def test_a_term_that_a_level_does_not_have_is_null() -> None:
    values = np.array([[0.5, np.nan], [-0.5, 0.1]])
    (topics,) = fit_with(effects_of("topic", values, INTERCEPT, "week")).metrics()["random_effects"].values()
    assert topics["effects"]["topic 0"]["week"] == {"effect": None, "sd": 0.05}
    assert topics["terms"]["week"]["q50"] == pytest.approx(0.1)
    empty = fit_with(effects_of("topic", np.full((2, 1), np.nan), INTERCEPT)).metrics()
    assert set(empty["random_effects"]["topic"]["terms"][INTERCEPT].values()) == {None}
