"""Reduction of weekly scores to sufficient statistics and designs, and the faults it refuses."""

import numpy as np
import pandas as pd
import pytest

from benchmarks._cohorts import simulate_cohort
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.errors import GrowthDataError


def cohort(n_students=20, seed=3):
    return simulate_cohort(n_students, seed=seed)


def test_statistics_are_the_sums_of_each_student():
    c = cohort()
    data = growth_data(c.student, c.week, score=c.score)
    for student in (0, 7, 19):
        rows = c.student == student
        week = c.week[rows]
        rest = c.score[rows] - data.reference[0] - data.reference[1] * week
        expected = [len(week), week.sum(), (week**2).sum(), rest.sum(), week @ rest, rest @ rest]
        np.testing.assert_allclose(data.statistics[student], expected, atol=1e-12)
        assert data.last_week[student] == week.max()


def test_precision_weights_enter_every_sum():
    c = cohort()
    weight = np.random.default_rng(1).integers(1, 9, len(c.week)).astype(float)
    data = growth_data(c.student, c.week, score=c.score, weight=weight)
    rows = c.student == 4
    rest = c.score[rows] - data.reference[0] - data.reference[1] * c.week[rows]
    v, w = weight[rows], c.week[rows]
    expected = [v.sum(), v @ w, v @ w**2, v @ rest, v @ (w * rest), v @ rest**2]
    np.testing.assert_allclose(data.statistics[4], expected, atol=1e-12)
    assert data.n_scores == len(c.week)
    assert data.log_weights == pytest.approx(np.log(weight).sum())


def test_students_of_one_design_share_its_row():
    student = [1, 1, 1, 2, 2, 2, 3, 3]
    week = [0, 1, 2, 0, 1, 2, 0, 2]
    score = [0.1, 0.2, 0.4, 0.2, 0.3, 0.3, 0.5, 0.6]
    data = growth_data(student, week, score=score)
    assert data.n_designs == 2
    assert data.design[0] == data.design[1] != data.design[2]
    shared = data.designs[data.design[0]]
    assert shared[0] == 2
    c = data.statistics[:2, 3:5]
    np.testing.assert_allclose(shared[4:6], c.sum(axis=0))
    np.testing.assert_allclose(shared[6:9], [(c[:, 0] ** 2).sum(), c[:, 0] @ c[:, 1], (c[:, 1] ** 2).sum()])


def test_order_of_rows_does_not_matter_and_ids_are_kept():
    c = cohort()
    ids = np.array([f"s{k:03d}" for k in range(20)], dtype=object)[c.student]
    shuffled = np.random.default_rng(5).permutation(len(ids))
    one = growth_data(ids, c.week, score=c.score)
    two = growth_data(ids[shuffled], c.week[shuffled], score=c.score[shuffled])
    assert list(one.students) == sorted(set(ids)) == list(two.students)
    np.testing.assert_allclose(one.statistics, two.statistics, atol=1e-12)


@pytest.mark.parametrize("column", ["week", "score", "weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_by_row(column, value):
    c = cohort()
    columns = {"week": c.week.copy(), "score": c.score.copy(), "weight": np.ones(len(c.week))}
    columns[column][[4, 9]] = value
    with pytest.raises(GrowthDataError, match=rf"{column}: 2 of \d+ values are missing or infinite \(rows 4, 9\)"):
        growth_data(c.student, columns["week"], score=columns["score"], weight=columns["weight"])


def test_weights_must_be_positive():
    c = cohort()
    weight = np.ones(len(c.week))
    weight[3] = 0
    with pytest.raises(GrowthDataError, match="weight: 1 values are not positive"):
        growth_data(c.student, c.week, score=c.score, weight=weight)


def test_a_row_without_student_is_named():
    with pytest.raises(GrowthDataError, match=r"student: 1 rows have no id \(rows 1\)"):
        growth_data(["a", None, "b", "b"], [0, 1, 2, 3], score=[0.1, 0.2, 0.3, 0.4])


def test_no_rows_and_unequal_columns():
    with pytest.raises(GrowthDataError, match="no scores"):
        growth_data([], [], score=[])
    with pytest.raises(GrowthDataError, match="one length"):
        growth_data([1, 2], [0, 1], score=[0.1])


def test_one_student_is_refused():
    with pytest.raises(GrowthDataError, match="compares students and there is 1"):
        growth_data(["a"] * 10, range(10), score=np.linspace(0.2, 0.8, 10))


@pytest.mark.parametrize("weeks", [[3, 3, 3, 3], [3, 4, 3, 4]])
def test_fewer_than_three_weeks_are_refused(weeks):
    with pytest.raises(GrowthDataError, match="distinct week"):
        growth_data([1, 1, 2, 2], weeks, score=[0.1, 0.2, 0.3, 0.5])


def test_constant_scores_are_refused():
    c = cohort()
    with pytest.raises(GrowthDataError, match=r"all \d+ scores equal 0.7"):
        growth_data(c.student, c.week, score=np.full(len(c.week), 0.7))


def test_a_student_with_500_weeks_is_counted_whole():
    c = cohort()
    rng = np.random.default_rng(8)
    student = np.append(c.student, np.full(500, 99))
    week = np.append(c.week, np.arange(500))
    score = np.append(c.score, 0.5 + 0.05 * rng.standard_normal(500))
    data = growth_data(student, week, score=score)
    assert data.statistics[-1, 0] == 500
    assert data.statistics[-1, 2] == (np.arange(500.0) ** 2).sum()


def test_scores_off_the_unit_scale_and_small_cohorts_are_flagged():
    c = cohort(4)
    data = growth_data(c.student, c.week, score=100 * c.score)
    assert any("only 4 students" in text for text in data.warnings)
    assert any("rescale the scores" in text for text in data.warnings)
    assert growth_data(cohort().student, cohort().week, score=cohort().score).warnings == ()


def test_pandas_columns_are_taken_as_they_are():
    c = cohort()
    frame = pd.DataFrame({"s": pd.Series(c.student, dtype="string"), "w": c.week, "y": c.score})
    assert growth_data(frame["s"], frame["w"], score=frame["y"]).n_students == 20
