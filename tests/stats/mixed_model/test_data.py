"""Rows that a mixed model rejects, and the held-out split."""

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.stats.mixed_model.data import MixedModelDataError, check_rows, held_out_rows
from seedtest_analytics.stats.mixed_model.formula import parse_formula

SLOPES = "score ~ week + (week | student)"


def some_rows(n_students=6, n_weeks=5):
    rng = np.random.default_rng(7)
    rows = pd.MultiIndex.from_product([[f"s{i}" for i in range(n_students)], range(n_weeks)], names=["student", "week"])
    return rows.to_frame(index=False).assign(score=rng.uniform(size=n_students * n_weeks))


def checked(rows, formula=SLOPES, family="gaussian"):
    return check_rows(rows, parse_formula(formula, rows.columns), family=family)


def test_good_rows_are_numbers_and_categories():
    frame = checked(some_rows())
    assert frame.dtypes.astype(str).to_dict() == {"score": "float64", "week": "float64", "student": "category"}


def test_text_predictor_is_a_category_and_a_numeric_group_stays_a_number_where_it_is_a_predictor():
    rows = some_rows().assign(topic=lambda d: np.where(d["week"] % 2, "a", "b"))
    frame = checked(rows, "score ~ topic + week + (1 | student) + (1 | week)")
    assert frame["topic"].dtype == "category"
    assert frame["week"].dtype == float


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_values_that_are_no_numbers_name_their_rows(bad):
    rows = some_rows()
    rows.loc[[3, 8], "score"] = bad
    with pytest.raises(MixedModelDataError, match=r"score is missing, infinite or not a number.*2 rows, first: 3, 8"):
        checked(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (some_rows().iloc[:0], "there are no rows"),
        (some_rows(n_students=1), "student has only one level"),
        (some_rows(n_weeks=1), "week has the same value"),
        (some_rows(n_weeks=2), "12 random effects for 12 rows"),
        (some_rows().assign(score=0.5), "score has the same value"),
        (some_rows().assign(student=None), "student is missing"),
    ],
)
def test_rows_without_the_information_are_refused(rows, message):
    with pytest.raises(MixedModelDataError, match=message):
        checked(rows)


def test_binomial_takes_shares_with_their_numbers_of_answers():
    rows = some_rows().assign(attempts=4, score=lambda d: np.arange(len(d)) % 5 / 4)
    assert checked(rows, family="binomial")["attempts"].tolist() == [4.0] * 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 0.3, "attempts": 4}, "not a whole number of right answers"),
        ({"score": 0.3}, "add a column 'attempts' with the number of answers"),
        ({"score": 1.5, "attempts": 2}, "must be a share between 0 and 1"),
        ({"score": 1.0, "attempts": 0}, "attempts must be a whole number of at least 1"),
    ],
)
def test_binomial_refuses_what_is_no_count(change, message):
    with pytest.raises(MixedModelDataError, match=message):
        checked(some_rows().assign(**change), family="binomial")


def test_unknown_family():
    with pytest.raises(MixedModelDataError, match="gaussian or binomial"):
        checked(some_rows(), family="poisson")


class TestHeldOutRows:
    rows = pd.concat([some_rows(20, 10)] * 2, ignore_index=True)

    def test_share_and_whole_student_weeks(self):
        chosen = held_out_rows(self.rows["student"], self.rows["week"], share=0.2, seed=1)
        assert chosen.mean() == pytest.approx(0.2)
        np.testing.assert_array_equal(chosen[:200], chosen[200:])

    def test_does_not_depend_on_row_order(self):
        order = np.random.default_rng(3).permutation(len(self.rows))
        shuffled = self.rows.iloc[order]
        chosen = held_out_rows(self.rows["student"], self.rows["week"], share=0.2, seed=1)
        np.testing.assert_array_equal(
            held_out_rows(shuffled["student"], shuffled["week"], share=0.2, seed=1), chosen[order]
        )

    def test_seed_matters(self):
        one, two = (held_out_rows(self.rows["student"], self.rows["week"], share=0.2, seed=s) for s in (1, 2))
        assert (one != two).any()

    @pytest.mark.parametrize("share", [-0.1, 1.0])
    def test_share_out_of_range(self, share):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            held_out_rows(self.rows["student"], self.rows["week"], share=share, seed=1)
