"""Rows that a Bayesian growth model rejects."""

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.stats.mixed_model.brms_draws import check_growth_rows
from seedtest_analytics.stats.mixed_model.data import MixedModelDataError


def some_rows(n_students=4, n_weeks=5):
    grid = pd.MultiIndex.from_product([range(n_students), range(n_weeks)], names=["student_id", "week"])
    rows = grid.to_frame(index=False)
    return rows.assign(score=np.linspace(0, 1, len(rows)), right=2, attempts=5)


def test_takes_only_what_the_family_needs():
    assert list(check_growth_rows(some_rows(), "gaussian")) == ["student_id", "week", "score"]
    assert list(check_growth_rows(some_rows(), "binomial")) == ["student_id", "week", "right", "attempts"]


@pytest.mark.parametrize(
    ("rows", "family", "message"),
    [
        (some_rows().drop(columns="score"), "gaussian", r"missing: \['score'\]"),
        (some_rows(n_students=1), "gaussian", "at least 2 students"),
        (some_rows(n_weeks=2), "gaussian", "at least 3 distinct weeks"),
        (some_rows().assign(score=0.3), "gaussian", "score has the same value"),
        (some_rows().assign(student_id=None), "gaussian", "student_id is missing"),
        (some_rows().assign(right=6), "binomial", "invalid counts"),
        (some_rows().assign(right=1.5), "binomial", "invalid counts"),
        (some_rows().assign(right=0, attempts=0), "binomial", "invalid counts"),
    ],
)
def test_refuses_with_the_reason(rows, family, message):
    with pytest.raises(MixedModelDataError, match=message):
        check_growth_rows(rows, family)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_scores_are_named(bad):
    rows = some_rows()
    rows.loc[[2, 7], "score"] = bad
    with pytest.raises(
        MixedModelDataError, match=r"score is missing, infinite or not a number \(2 rows, first: 2, 7\)"
    ):
        check_growth_rows(rows, "gaussian")
