"""Occasions: a student's answers of a few weeks share one ability, so growth does not blur the items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.occasions import MOST_EXPLAINED, explained_by_items, occasions

N_ITEMS, N_ANCHORS = 150, 30
PRIORS = ItemPriors(a=LogNormal(0.25, 0.5), b=Normal(0.0, 2.0))


def test_an_occasion_is_a_period_with_enough_answers_before_it() -> None:
    day = np.repeat([0, 27, 28, 56, 84], [6, 6, 12, 3, 12])
    found = occasions(np.zeros(len(day), dtype=int), day, days=28, min_answers=10)
    # Periods have 12, 12, 3 and 12 answers. The third is too short to end the occasion before the fourth.
    assert found.tolist() == [0] * 12 + [1] * 12 + [2] * 15


def test_every_student_has_the_same_periods_and_counts_alone() -> None:
    student = np.array([0, 1, 0, 1, 0, 1])
    assert occasions(student, [27, 27, 28, 28, 29, 100], days=28, min_answers=1).tolist() == [0, 0, 1, 1, 1, 2]
    assert occasions([], [], days=28).tolist() == []


ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), min_size=1, max_size=120)


@settings(max_examples=60)
@given(answers=ANSWERS, later=ANSWERS, days=st.integers(1, 60), least=st.integers(1, 20))
def test_later_answers_leave_earlier_occasions_as_they_are(answers, later, days, least) -> None:
    student, day = np.array(answers).T
    found = occasions(student, day, days=days, min_answers=least)
    new_student, new_day = np.array(later).T
    both = occasions(np.r_[student, new_student], np.r_[day, new_day + 201 + days], days=days, min_answers=least)
    assert both[: len(found)].tolist() == found.tolist()
    for one in range(4):
        in_time = np.argsort(day[student == one], kind="stable")
        assert (np.diff(found[student == one][in_time]) >= 0).all()
    # The order of the answers does not matter.
    mixed = np.random.default_rng(1).permutation(len(day))
    assert occasions(student[mixed], day[mixed], days=days, min_answers=least).tolist() == found[mixed].tolist()


def test_joining_rows_gives_those_of_the_first_keys() -> None:
    random = np.random.default_rng(3)
    student, item = (code.ravel() for code in np.indices((20, 12)))
    correct, number, period = (random.integers(0, k, len(item)) for k in (2, 2, 4))
    number *= item % 2
    by_student = ResponseData.from_long((student, number), item, correct=correct)
    joined = ResponseData.from_long((student, number, period), item, correct=correct).joined(2)
    assert [key.tolist() for key in joined.row_keys] == [key.tolist() for key in by_student.row_keys]
    assert joined.row_start.tolist() == by_student.row_start.tolist()
    assert joined.answer_code.tolist() == by_student.answer_code.tolist()


def test_rows_of_one_student_link_items() -> None:
    item = np.array([1, 2, 3, 4])
    apart = ResponseData.from_long(([0, 0, 1, 1], [0, 1, 0, 0]), item, correct=[0, 1, 1, 0])
    assert apart.components().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("n", [400, 4000])
def test_the_share_that_items_explain_is_that_of_the_simulation(n: int) -> None:
    random = np.random.default_rng(52)
    item = random.integers(0, 40, n)
    for between in (0.0, 0.5, 0.9):
        centre = random.normal(0.0, np.sqrt(between), 40)
        day = 100.0 * (centre[item] + random.normal(0.0, np.sqrt(1.0 - between), n))
        truth = centre.var(ddof=1) / (centre.var(ddof=1) + 1.0 - between)
        assert explained_by_items(item, day) == pytest.approx(truth, abs=4.0 / np.sqrt(n))
    assert explained_by_items(np.arange(5), [0, 3, 9, 30, 31]) == 1.0
    assert explained_by_items([3, 3, 3], [0, 3, 9]) == 0.0


def test_items_of_a_course_follow_each_other_and_those_of_an_exam_do_not() -> None:
    random = np.random.default_rng(53)
    item = random.integers(0, 100, 3000)
    assert explained_by_items(item, random.uniform(0, 300, 3000)) < MOST_EXPLAINED
    assert explained_by_items(item, 3 * item + random.uniform(0, 28, 3000)) > 0.9


@pytest.mark.parametrize("n_students", [300, 1200])
def test_growth_does_not_draw_difficulties_together(n_students: int) -> None:
    """Students differ in growth by 0.06 logits a week. One ability for forty weeks draws difficulties together."""
    random = np.random.default_rng(410)
    a, b = np.exp(random.normal(0.1, 0.3, N_ITEMS)), random.normal(0.0, 1.0, N_ITEMS)
    truth = ItemParameters.of(np.arange(N_ITEMS), a, b=b)
    student = np.repeat(np.arange(n_students), N_ITEMS)
    item = np.argsort(random.random((n_students, N_ITEMS)), axis=1).ravel()
    day = np.tile(np.sort(random.integers(0, 280, N_ITEMS)), n_students)
    pace = random.normal(0.0, 0.06, n_students)
    level = random.normal(0.0, 1.0, n_students)[student] + pace[student] * (day / 7.0 - 20.0)
    correct = (random.random(len(item)) < 1.0 / (1.0 + np.exp(-a[item] * (level - b[item])))).astype(np.int32)
    config = CalibrationConfig(priors=PRIORS, anchors=truth.take(np.arange(N_ANCHORS)))

    def slope(row: np.ndarray) -> float:
        found = calibrate(ResponseData.from_long((student, row), item, correct=correct), config).parameters
        free = found.item_ids >= N_ANCHORS
        return float(np.polyfit(b[found.item_ids[free]], found.b[free], 1)[0])

    # Standard errors of b are about 0.2 with 300 students. The slope over 120 items has a tenth of that, and the scale of
    # 30 anchors adds as much again.
    tolerance = 3.0 * 0.025 * np.sqrt(300.0 / n_students)
    whole, parts = slope(np.zeros(len(student), dtype=int)), slope(occasions(student, day, days=28))
    assert parts == pytest.approx(1.0, abs=tolerance)
    assert whole < 0.96
