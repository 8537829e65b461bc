"""Answers in a compressed row layout: the observed cells only, never a persons × items matrix.

A row is whatever one ability belongs to: a student, or a student in a window. An answer takes four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.irt.errors import DuplicateAnswersError, IrtDataError

Floats = NDArray[np.float64]
Ids = NDArray[Any]
Duplicates = Literal["error", "first", "keep"]

_SHOWN = 5
"""Offending rows named in an error."""
_DENSE_IDS = 4
"""Integer ids are looked up in a table up to so many cells an answer."""


@dataclass(frozen=True, eq=False)
class ResponseData:
    """Scored answers by row.

    ``row_keys``: one array (n_rows,) a key column, rows in ascending order of the keys. ``item_ids`` (n_items,)
    ascending. ``row_start`` (n_rows + 1,): answers of row r are ``row_start[r]:row_start[r + 1]``.
    ``answer_code`` (n_answers,) int32: 2 · item position + correct, ascending within a row. ``row_weight``
    (n_rows,) case weights, None for ones. ``group_ids`` (n_groups,) and ``row_group`` (n_rows,) name the
    populations, None where there is one.
    """

    row_keys: tuple[Ids, ...]
    item_ids: Ids
    row_start: NDArray[np.int64]
    answer_code: NDArray[np.int32]
    row_weight: Floats | None = None
    group_ids: Ids | None = None
    row_group: NDArray[np.int32] | None = None

    @classmethod
    def from_long(
        cls,
        user: ArrayLike | tuple[ArrayLike, ...],
        item: ArrayLike,
        *,
        correct: ArrayLike,
        weight: ArrayLike | None = None,
        group: ArrayLike | None = None,
        duplicates: Duplicates = "error",
    ) -> ResponseData:
        """Rows from one entry an answer; every argument has length n_answers.

        ``user`` may be a tuple of arrays, such as (user, window): the row is then the combination. ``weight``
        (case weights, > 0) and ``group`` must not change within a row. ``duplicates`` says what happens to a
        second answer of a row to an item: an error, only the first in the given order, or all kept.

        Raises IrtDataError for missing ids, answers other than 0 and 1, lengths that differ, and
        DuplicateAnswersError.
        """
        row_code, row_keys = _row_codes(user if isinstance(user, tuple) else (user,))
        item_code, item_ids = _codes(item, "item")
        answers = _binary(correct)
        _same_length(row_code, item_code, answers)
        n_rows, n_items = len(row_keys[0]), len(item_ids)
        row_start, answer_code = _compress(row_code, item_code, answers=answers, n_rows=n_rows, n_items=n_items)
        if duplicates != "keep":
            row_start, answer_code = _resolve_duplicates(
                row_start, answer_code, row_keys=row_keys, item_ids=item_ids, error=duplicates == "error"
            )
        row_weight = None if weight is None else _weights(weight, row_code, n_rows=n_rows, row_keys=row_keys)
        group_ids, row_group = None, None
        if group is not None:
            group_code, group_ids = _codes(group, "group")
            row_group = _constant_in_row(group_code, row_code, n_rows=n_rows, row_keys=row_keys, name="group").astype(
                np.int32
            )
        return cls(
            row_keys,
            item_ids,
            row_start=row_start,
            answer_code=answer_code,
            row_weight=row_weight,
            group_ids=group_ids,
            row_group=row_group,
        )

    @classmethod
    def from_matrix(
        cls, matrix: ArrayLike, item_ids: ArrayLike | None = None, *, weight: ArrayLike | None = None
    ) -> ResponseData:
        """Rows from a (n_rows, n_items) matrix of 0, 1 and NaN for not seen; for test forms and references."""
        wide = np.asarray(matrix, dtype=np.float64)
        row, column = np.nonzero(~np.isnan(wide))
        names = np.arange(wide.shape[1]) if item_ids is None else np.asarray(item_ids)
        row_weight = None if weight is None else np.asarray(weight, dtype=np.float64)[row]
        return cls.from_long(row, names[column], correct=wide[row, column], weight=row_weight)

    @property
    def n_rows(self) -> int:
        return len(self.row_start) - 1

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def n_answers(self) -> int:
        return len(self.answer_code)

    @property
    def n_groups(self) -> int:
        return 1 if self.group_ids is None else len(self.group_ids)

    @property
    def row_ids(self) -> Ids:
        """(n_rows,) the first key column: the only one unless rows are combinations."""
        return self.row_keys[0]

    @property
    def n_answers_by_row(self) -> NDArray[np.int64]:
        return np.diff(self.row_start)

    def weights(self) -> Floats:
        """(n_rows,) case weights."""
        return np.ones(self.n_rows) if self.row_weight is None else self.row_weight

    def groups(self) -> NDArray[np.int32]:
        """(n_rows,) position of each row's population in ``group_ids``."""
        return np.zeros(self.n_rows, dtype=np.int32) if self.row_group is None else self.row_group

    def answer_counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n_items,) answers and right answers of each item, without case weights."""
        by_code = np.bincount(self.answer_code, minlength=2 * self.n_items).reshape(-1, 2)
        return by_code.sum(axis=1), by_code[:, 1]

    def with_items(self, keep: NDArray[np.bool_]) -> ResponseData:
        """The answers to the items where ``keep`` (n_items,); rows stay, if need be without answers."""
        if bool(keep.all()):
            return self
        from seedtest_analytics.stats.irt import kernels

        new_position = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
        row_start, answer_code = kernels.select_items(self.row_start, self.answer_code, new_position)
        return ResponseData(
            self.row_keys,
            self.item_ids[keep],
            row_start=row_start,
            answer_code=answer_code,
            row_weight=self.row_weight,
            group_ids=self.group_ids,
            row_group=self.row_group,
        )

    def with_rows(self, keep: NDArray[np.bool_]) -> ResponseData:
        """The rows where ``keep`` (n_rows,), with all their answers; items and groups stay."""
        lengths = self.n_answers_by_row
        return ResponseData(
            tuple(key[keep] for key in self.row_keys),
            self.item_ids,
            row_start=np.concatenate([[0], np.cumsum(lengths[keep])]),
            answer_code=self.answer_code[np.repeat(keep, lengths)],
            row_weight=None if self.row_weight is None else self.row_weight[keep],
            group_ids=self.group_ids,
            row_group=None if self.row_group is None else self.row_group[keep],
        )

    def rows_of_item(self, position: int) -> NDArray[np.bool_]:
        """(n_rows,) rows with an answer to the item at ``position``."""
        answers = np.flatnonzero(self.answer_code >> 1 == position)
        has = np.zeros(self.n_rows, dtype=bool)
        has[np.searchsorted(self.row_start, answers, side="right") - 1] = True
        return has

    def components(self) -> NDArray[np.int64]:
        """(n_items,) number of the connected part of the rows × items graph that each item is in, from 0.

        Items of two parts share no row, directly or through others: nothing in the answers links their
        scales.
        """
        from seedtest_analytics.stats.irt import kernels

        return kernels.item_components(self.row_start, self.answer_code, self.n_items)


def _codes(values: ArrayLike, name: str) -> tuple[NDArray[np.int32], Ids]:
    array = values if isinstance(values, np.ndarray | pd.Series | pd.Categorical) else np.asarray(values)
    if getattr(array, "ndim", 1) != 1:
        raise IrtDataError(f"{name} has {array.ndim} dimensions; give one entry an answer")
    if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.integer) and len(array):
        lowest, highest = int(array.min()), int(array.max())
        if highest - lowest < _DENSE_IDS * len(array):
            return _dense_codes(array, lowest, highest=highest)
    code, unique = pd.factorize(array, sort=True)
    missing = np.flatnonzero(code < 0)
    if len(missing):
        raise IrtDataError(
            f"{len(missing)} answers have no {name} (first at positions {missing[:_SHOWN].tolist()}); "
            "leave such rows out"
        )
    return code.astype(np.int32), np.asarray(unique)


def _dense_codes(array: NDArray[Any], lowest: int, *, highest: int) -> tuple[NDArray[np.int32], Ids]:
    """Codes of integers that fill their range well, by a table: several times as fast as hashing."""
    offset = np.subtract(array, lowest, dtype=np.int64)
    is_present = np.zeros(highest - lowest + 1, dtype=bool)
    is_present[offset] = True
    code = np.cumsum(is_present, dtype=np.int32) - np.int32(1)
    return code[offset], (np.flatnonzero(is_present) + lowest).astype(array.dtype)


def _row_codes(keys: tuple[ArrayLike, ...]) -> tuple[NDArray[np.int32], tuple[Ids, ...]]:
    code, ids = _codes(keys[0], "user")
    if len(keys) == 1:
        return code, (ids,)
    combined = code.astype(np.int64)
    levels = [ids]
    for position, key in enumerate(keys[1:], start=1):
        key_code, key_ids = _codes(key, f"row key {position}")
        _same_length(code, key_code)
        combined = combined * len(key_ids) + key_code
        levels.append(key_ids)
    row_code, present = pd.factorize(combined, sort=True)
    columns: list[Ids] = []
    rest = np.asarray(present)
    for ids in reversed(levels[1:]):
        rest, within = np.divmod(rest, len(ids))
        columns.append(ids[within])
    columns.append(levels[0][rest])
    return row_code.astype(np.int32), tuple(reversed(columns))


def _binary(correct: ArrayLike) -> NDArray[np.int8]:
    values = np.asarray(correct)
    if values.dtype == object:
        values = np.asarray(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)
    wrong = np.flatnonzero(~((values == 0) | (values == 1)))
    if len(wrong):
        raise IrtDataError(
            f"{len(wrong)} answers are neither 0 nor 1 (first at positions {wrong[:_SHOWN].tolist()}); "
            "score them or leave them out: an unanswered item is no row"
        )
    return values.astype(np.int8)


def _same_length(first: NDArray[Any], *others: NDArray[Any]) -> None:
    for other in others:
        if len(other) != len(first):
            raise IrtDataError(f"arrays differ in length: {len(first)} and {len(other)}")
    if len(first) >= 2**31:
        raise IrtDataError(f"{len(first)} answers: more than a calibration takes at once (2³¹); sample rows")


def _compress(
    row_code: NDArray[np.int32],
    item_code: NDArray[np.int32],
    *,
    answers: NDArray[np.int8],
    n_rows: int,
    n_items: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    from seedtest_analytics.stats.irt import kernels

    return kernels.compress(row_code, item_code, answers, n_rows, n_items)


def _resolve_duplicates(
    row_start: NDArray[np.int64],
    answer_code: NDArray[np.int32],
    *,
    row_keys: tuple[Ids, ...],
    item_ids: Ids,
    error: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    repeated = np.flatnonzero((answer_code[1:] >> 1) == (answer_code[:-1] >> 1)) + 1
    row = np.searchsorted(row_start, repeated, side="right") - 1
    inside = repeated > row_start[row]
    repeated, row = repeated[inside], row[inside]
    if not len(repeated):
        return row_start, answer_code
    if error:
        shown = [
            f"{'/'.join(str(key[r]) for key in row_keys)}: {item_ids[answer_code[k] >> 1]}"
            for r, k in zip(row[:_SHOWN], repeated[:_SHOWN], strict=True)
        ]
        raise DuplicateAnswersError(
            f"{len(repeated)} answers repeat a row and item ({'; '.join(shown)}); keep the first attempt in the "
            "query, or say duplicates='first' or 'keep'"
        )
    keep = np.ones(len(answer_code), dtype=bool)
    keep[repeated] = False
    removed = np.bincount(row, minlength=len(row_start) - 1)
    return row_start - np.concatenate([[0], np.cumsum(removed)]), answer_code[keep]


def _constant_in_row(
    values: NDArray[Any], row_code: NDArray[np.int32], *, n_rows: int, row_keys: tuple[Ids, ...], name: str
) -> NDArray[Any]:
    _same_length(row_code, values)
    by_row = np.zeros(n_rows, dtype=values.dtype)
    by_row[row_code] = values
    bad = np.unique(row_code[by_row[row_code] != values])
    if len(bad):
        raise IrtDataError(
            f"{name} changes within {len(bad)} rows ({row_keys[0][bad[:_SHOWN]].tolist()}); it belongs to the row"
        )
    return by_row


def _weights(weight: ArrayLike, row_code: NDArray[np.int32], *, n_rows: int, row_keys: tuple[Ids, ...]) -> Floats:
    values = np.asarray(weight, dtype=np.float64)
    if not bool(np.all(np.isfinite(values) & (values > 0))):
        raise IrtDataError("weights must be finite and > 0; leave rows of weight 0 out")
    return _constant_in_row(values, row_code, n_rows=n_rows, row_keys=row_keys, name="weight")


def row_blocks(row_start: NDArray[np.int64], max_answers: int) -> Iterator[slice]:
    """Consecutive slices of rows with about ``max_answers`` answers each."""
    first, n_rows = 0, len(row_start) - 1
    while first < n_rows:
        last = int(np.searchsorted(row_start, row_start[first] + max_answers, side="right")) - 1
        last = max(min(last, n_rows), first + 1)
        yield slice(first, last)
        first = last
