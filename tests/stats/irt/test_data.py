"""The compressed layout: what goes in, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import DuplicateAnswersError, IrtDataError
from tests.stats.irt._simulation import from_matrix


def long_answers(data: ResponseData) -> set[tuple]:
    row = np.repeat(np.arange(data.n_rows), data.n_answers_by_row)
    keys = zip(*(key[row].tolist() for key in data.row_keys), strict=True)
    items = data.item_ids[data.answer_code >> 1].tolist()
    return set(zip(keys, items, (data.answer_code & 1).tolist(), strict=True))


@settings(max_examples=50, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=100), st.randoms())
def test_every_answer_is_found_again_whatever_the_order(cells: set[tuple[int, int]], random) -> None:
    answers = [(f"u{u}", f"i{i}", (u * 7 + i) % 2) for u, i in cells]
    random.shuffle(answers)
    user, item, correct = (np.array(column) for column in zip(*answers, strict=True))
    data = ResponseData.from_long(user, item, correct=correct)
    assert long_answers(data) == {((u,), i, x) for u, i, x in answers}
    assert data.row_ids.tolist() == sorted(set(user.tolist()))
    for r in range(data.n_rows):
        codes = data.answer_code[data.row_start[r] : data.row_start[r + 1]]
        assert np.all(np.diff(codes) > 0)


def test_rows_may_be_users_in_windows() -> None:
    data = ResponseData.from_long((["b", "a", "b", "b"], [1, 2, 1, 2]), [10, 10, 11, 10], correct=[1, 0, 0, 1])
    assert [key.tolist() for key in data.row_keys] == [["a", "b", "b"], [2, 1, 2]]
    assert data.n_answers_by_row.tolist() == [1, 2, 1]


def test_duplicates_are_an_error_that_names_them() -> None:
    user, item, correct = ["ann", "bob", "ann"], [1, 1, 1], [0, 1, 1]
    with pytest.raises(DuplicateAnswersError, match=r"1 answers repeat a row and item \(ann: 1\)"):
        ResponseData.from_long(user, item, correct=correct)
    assert ResponseData.from_long(user, item, correct=correct, duplicates="keep").n_answers == 3


@pytest.mark.parametrize(
    ("user", "item", "correct", "message"),
    [
        ([1, 2], [1, 1], [1, 2], "neither 0 nor 1"),
        ([1, 2], [1, 1], [1, np.nan], "neither 0 nor 1"),
        ([1, None], [1, 1], [1, 0], "have no user"),
        ([1, 2], ["x", None], [1, 0], "have no item"),
        ([1, 2, 3], [1, 1], [1, 0], "differ in length"),
    ],
)
def test_bad_answers_are_refused(user: list, item: list, correct: list, message: str) -> None:
    with pytest.raises(IrtDataError, match=message):
        ResponseData.from_long(user, item, correct=correct)


def test_weights_and_groups_belong_to_rows() -> None:
    data = ResponseData.from_long(
        [2, 1, 2], [1, 1, 2], correct=[0, 1, 1], weight=[3.0, 1.0, 3.0], group=["y", "x", "y"]
    )
    assert data.weights().tolist() == [1.0, 3.0]
    assert data.groups().tolist() == [0, 1]
    with pytest.raises(IrtDataError, match="weight changes within 1 rows"):
        ResponseData.from_long([1, 1], [1, 2], correct=[0, 1], weight=[1.0, 2.0])
    with pytest.raises(IrtDataError, match="finite and > 0"):
        ResponseData.from_long([1, 1], [1, 2], correct=[0, 1], weight=[1.0, 0.0])


def test_components_of_unlinked_blocks() -> None:
    data = ResponseData.from_long([1, 1, 2, 2, 3, 3], [10, 11, 12, 13, 11, 14], correct=[0, 1, 0, 1, 0, 1])
    assert dict(zip(data.item_ids.tolist(), data.components().tolist(), strict=True)) == {
        10: 0,
        11: 0,
        12: 1,
        13: 1,
        14: 0,
    }


def test_matrix_and_selection_of_items() -> None:
    data = from_matrix([[1, 0, np.nan], [np.nan, 1, 1]], item_ids=["a", "b", "c"])
    kept = data.with_items(np.array([False, True, True]))
    assert long_answers(kept) == {((0,), "b", 0), ((1,), "b", 1), ((1,), "c", 1)}
    n, right = data.answer_counts()
    assert n.tolist() == [1, 2, 1]
    assert right.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint32])
def test_integer_ids_keep_type_and_order_dense_or_not(dtype: type) -> None:
    dense = ResponseData.from_long(np.array([7, 3, 7, 5], dtype), np.array([1, 1, 2, 2], dtype), correct=[1, 0, 1, 0])
    assert dense.row_ids.tolist() == [3, 5, 7]
    assert dense.row_ids.dtype == dtype
    wide = ResponseData.from_long(np.array([-128, 127, 0] * 50, np.int8), np.arange(150), correct=[0] * 150)
    assert wide.row_ids.tolist() == [-128, 0, 127]
    sparse = ResponseData.from_long(np.array([-9, 10**12]), [1, 1], correct=[1, 0])
    assert sparse.row_ids.tolist() == [-9, 10**12]


def test_rows_are_taken_with_their_answers() -> None:
    """Row 'b' alone has item 7; taking it keeps its key, weight and group."""
    data = ResponseData.from_long(
        ["a", "a", "b", "b", "b"],
        [1, 2, 1, 7, 2],
        correct=[1, 0, 0, 1, 1],
        weight=[1, 1, 2, 2, 2],
        group=[0, 0, 1, 1, 1],
    )
    assert data.rows_of_item(2).tolist() == [False, True]
    assert data.rows_of_item(0).tolist() == [True, True]
    part = data.with_rows(data.rows_of_item(2))
    assert (part.row_ids.tolist(), part.item_ids.tolist()) == (["b"], [1, 2, 7])
    assert part.answer_code.tolist() == [0, 3, 5]
    assert part.row_start.tolist() == [0, 3]
    assert (part.weights().tolist(), part.groups().tolist()) == ([2.0], [1])
