"""Weekly scores: shares, the ability that a week's own answers imply, and the share expected at an ability."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.growth.bayesian.scores import (
    WeeklyScores,
    ability_scores,
    accuracy_scores,
    expected_share,
)
from seedtest_analytics.assets.psychometrics.scale.current import Scale
from tests.assets.psychometrics._scale import scale_of

MONDAY = dt.date(2026, 1, 5)
USERS = np.array(["kim", "lee"], dtype=object)
NO_ITEMS = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def shares(answered: list[int], right: list[int]) -> WeeklyScores:
    n = len(answered)
    rows = {"student": np.arange(n), "week": np.arange(n), "answered": np.array(answered), "right": np.array(right)}
    return accuracy_scores(rows, USERS, first_monday=MONDAY, scale=None, item_answers=NO_ITEMS)


def abilities(scale: Scale | None, *answers: tuple[int, int, int, int]) -> WeeklyScores:
    """Answers as student, week, item, correct."""
    columns = np.array(answers, dtype=np.int64).reshape(-1, 4).T
    rows = dict(zip(("student", "week", "item_id", "correct"), columns, strict=True))
    return ability_scores(rows, USERS, first_monday=MONDAY, scale=scale, item_answers=NO_ITEMS)


def test_a_share_is_weighted_by_its_answers() -> None:
    scores = shares([10, 30, 0], [5, 24, 0])
    assert scores.score.tolist() == [0.5, 0.8, 0.0]
    assert scores.weight.tolist() == pytest.approx([10 / (40 / 3), 30 / (40 / 3), 0.0])
    assert (scores.source, scores.unit) == ("accuracy", "share right")
    assert len(shares([], []).weight) == 0


def test_an_ability_is_not_pulled_towards_the_prior() -> None:
    """Three of four answers to items of difficulty 0 are right: the likelihood's mode is log 3, the EAP is below it."""
    week = [(0, 2, item, int(item < 4)) for item in (1, 2, 3, 4)]
    scores = abilities(scale_of(0.0, 0.0, 0.0, 0.0), *week)
    assert (scores.student.tolist(), scores.week.tolist(), scores.answered.tolist()) == ([0], [2.0], [4])
    assert scores.score[0] == pytest.approx(np.log(3), abs=0.2)
    assert scores.weight.tolist() == [1.0]
    assert (scores.unit, scores.set_aside) == ("logit", 0)


def test_weeks_of_able_students_are_not_pulled_towards_the_population() -> None:
    """300 students of ability 2.5 among a population N(0, 1), ten weeks of five answers (seed 12).

    Around the population's mean the same answers give 2.25.
    """
    rng = np.random.default_rng(12)
    difficulty = rng.normal(0.0, 1.0, 50)
    student, item = (codes.ravel() for codes in np.indices((300, 50)))
    right = rng.random(len(item)) < 1 / (1 + np.exp(difficulty[item] - 2.5))
    rows = {"student": student, "week": item // 5, "item_id": item + 1, "correct": right.astype(np.int64)}
    users = np.array([f"student {n}" for n in range(300)], dtype=object)
    scores = ability_scores(
        rows, users, first_monday=MONDAY, scale=scale_of(*difficulty), item_answers=(np.zeros(0), np.zeros(0))
    )
    assert np.average(scores.score, weights=scores.weight) == pytest.approx(2.5, abs=0.1)
    assert scores.set_aside == 0


def test_the_weight_follows_the_information_and_a_week_with_next_to_none_is_set_aside() -> None:
    scale = scale_of(0.0, 0.0, 0.0, 9.0)
    scores = abilities(scale, (0, 0, 1, 1), (0, 1, 1, 1), (0, 1, 2, 0), (0, 1, 3, 1), (1, 0, 4, 0))
    assert list(zip(scores.student.tolist(), scores.week.tolist(), strict=True)) == [(0, 0.0), (0, 1.0)]
    assert scores.weight[1] == pytest.approx(3 * scores.weight[0], rel=0.15)
    assert scores.weight.mean() == pytest.approx(1.0)
    assert scores.set_aside == 1, "an item of difficulty 9 says nothing about lee"


@pytest.mark.parametrize("scale", [None, scale_of(0.0)])
def test_without_a_scale_or_answers_there_are_no_abilities(scale: Scale | None) -> None:
    answers = [(0, 0, 1, 1)] if scale is None else []
    scores = abilities(scale, *answers)
    assert (len(scores.score), len(scores.student), scores.source) == (0, 0, "theta")


def test_the_share_expected_at_an_ability_weighs_items_by_how_often_they_are_answered() -> None:
    scale = scale_of(-1.0, 1.0)
    scores = WeeklyScores(
        USERS,
        **{name: np.zeros(0) for name in ("student", "week", "score", "weight", "answered", "right")},
        first_monday=MONDAY,
        source="theta",
        scale=scale,
        item_answers=(np.array([1, 2, 50]), np.array([30, 10, 99])),
    )
    share = expected_share(scores, np.array([0.0, 40.0]))
    logistic = 1 / (1 + np.exp(-1.0))
    assert share[0] == pytest.approx((30 * logistic + 10 * (1 - logistic)) / 40, abs=1e-4)
    assert share[1] == pytest.approx(1.0, abs=1e-4)


def test_without_a_calibration_of_the_answered_items_no_share_is_expected() -> None:
    none = abilities(None)
    assert np.isnan(expected_share(none, np.zeros(2))).all()
    unknown: Any = abilities(scale_of(0.0))
    assert np.isnan(expected_share(unknown, np.zeros(2))).all()


def test_the_fingerprint_changes_with_everything_that_a_fit_uses() -> None:
    assert shares([10], [5]).fingerprint == shares([10], [5]).fingerprint
    assert len({shares(*c).fingerprint for c in (([10], [5]), ([10], [6]), ([20], [10]), ([10, 10], [5, 5]))}) == 4
