"""Scored answers in compressed rows: the observed cells only, never a persons × items matrix.

One row has one ability: a student, or a student in a window. An answer takes four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import array_of, numbers, one_of
from seedtest_analytics.stats.irt.errors import DuplicateAnswersError, IrtDataError

Floats = NDArray[np.float64]
Ids = NDArray[Any]

_SHOWN = 5
"""Offending rows named in an error."""
_DENSE_IDS = 4
"""A lookup table for integer ids may have this many cells per answer."""


@dataclass(frozen=True, eq=False)
class ResponseData:
    """Scored answers by row.

    ``row_keys``: one array (n_rows,) per key column, rows in ascending order of the keys. ``item_ids`` (n_items,)
    ascending. ``row_start`` (n_rows + 1,): the answers of row r are ``row_start[r]:row_start[r + 1]``.
    ``answer_code`` (n_answers,): 2 · item position + correct, ascending within a row. ``row_weight`` (n_rows,): case
    weights, None for ones. ``group_ids`` (n_groups,) and ``row_group`` (n_rows,): populations, None for a single one.
    ``item_topic`` (n_items,): code of each item's topic, from 0; None for a single one.
    """

    row_keys: tuple[Ids, ...]
    item_ids: Ids
    row_start: NDArray[np.int64]
    answer_code: NDArray[np.int32]
    row_weight: Floats | None = None
    group_ids: Ids | None = None
    row_group: NDArray[np.int32] | None = None
    item_topic: NDArray[np.int64] | None = None

    @classmethod
    def from_long(
        cls,
        user: ArrayLike | tuple[ArrayLike, ...],
        item: ArrayLike,
        *,
        correct: ArrayLike,
        weight: ArrayLike | None = None,
        group: ArrayLike | None = None,
        duplicates: Literal["error", "keep"] = "error",
    ) -> ResponseData:
        """Rows from one entry per answer; every argument has length n_answers.

        ``user`` may be a tuple of arrays, such as (user, window): each combination is then a row. ``weight`` (> 0) and
        ``group`` must be constant within a row. Raises IrtDataError for missing ids, answers other than 0 and 1 and
        unequal lengths, and DuplicateAnswersError for repeated answers unless ``duplicates`` is "keep".
        """
        from seedtest_analytics.stats.irt import kernels

        one_of(duplicates, "duplicates", choices=("error", "keep"), error=IrtDataError)
        row_code, row_keys = _row_codes(user if isinstance(user, tuple) else (user,))
        item_code, item_ids = _codes(item, "item")
        answers = _binary(correct)
        _same_length(row_code, item_code, answers)
        n_rows, n_items = len(row_keys[0]), len(item_ids)
        row_start, answer_code = kernels.compress(row_code, item_code, answers, n_rows, n_items)
        if duplicates == "error":
            _refuse_duplicates(row_start, answer_code, row_keys=row_keys, item_ids=item_ids)
        row_weight = None if weight is None else _by_row(_weights(weight), row_code, row_keys=row_keys, name="weight")
        group_ids, row_group = None, None
        if group is not None:
            group_code, group_ids = _codes(group, "group")
            row_group = _by_row(group_code, row_code, row_keys=row_keys, name="group")
        return cls(
            row_keys,
            item_ids,
            row_start=row_start,
            answer_code=answer_code,
            row_weight=row_weight,
            group_ids=group_ids,
            row_group=row_group,
        )

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
        """(n_rows,) the first key column, which is the only one unless rows are combinations."""
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

    def topics(self) -> NDArray[np.int64]:
        """(n_items,) code of each item's topic."""
        return np.zeros(self.n_items, dtype=np.int64) if self.item_topic is None else self.item_topic

    def with_topics(self, item_ids: ArrayLike, topic: ArrayLike) -> ResponseData:
        """The same answers with the topics of their items, from one entry per item.

        Raises IrtDataError for an item of the data without a topic, and for codes that are negative or not numbers.
        """
        ids = array_of(item_ids, "item ids", error=IrtDataError)
        code = numbers(topic, "topic", like=ids.shape, low=0.0, error=IrtDataError).astype(np.int64)
        order = np.argsort(ids)
        place = np.minimum(np.searchsorted(ids[order], self.item_ids), max(len(ids) - 1, 0))
        is_found = ids[order][place] == self.item_ids if len(ids) else np.zeros(self.n_items, dtype=bool)
        if not bool(np.all(is_found)):
            raise IrtDataError(f"{int((~is_found).sum())} items have no topic; give one entry per item")
        return replace(self, item_topic=code[order][place])

    def answer_counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n_items,) number of answers and of right answers per item, ignoring case weights."""
        by_code = np.bincount(self.answer_code, minlength=2 * self.n_items).reshape(-1, 2)
        return by_code.sum(axis=1), by_code[:, 1]

    def with_items(self, keep: NDArray[np.bool_]) -> ResponseData:
        """The answers to the items where ``keep`` (n_items,) is true. All rows stay, some perhaps without answers."""
        if bool(keep.all()):
            return self
        from seedtest_analytics.stats.irt import kernels

        new_position = np.where(keep, np.cumsum(keep) - 1, -1).astype(np.int32)
        row_start, answer_code = kernels.select_items(self.row_start, self.answer_code, new_position)
        item_topic = None if self.item_topic is None else self.item_topic[keep]
        return replace(
            self, item_ids=self.item_ids[keep], row_start=row_start, answer_code=answer_code, item_topic=item_topic
        )

    def with_rows(self, keep: NDArray[np.bool_]) -> ResponseData:
        """The rows where ``keep`` (n_rows,) is true, with all their answers. Items and groups stay."""
        lengths = self.n_answers_by_row
        return replace(
            self,
            row_keys=tuple(key[keep] for key in self.row_keys),
            row_start=np.concatenate([[0], np.cumsum(lengths[keep])]),
            answer_code=self.answer_code[np.repeat(keep, lengths)],
            row_weight=None if self.row_weight is None else self.row_weight[keep],
            row_group=None if self.row_group is None else self.row_group[keep],
        )

    def joined(self, n_keys: int) -> ResponseData:
        """The same answers, with the rows joined that agree in their first ``n_keys`` keys.

        Weights and groups are those of the first of them.
        """
        is_first, row_start = self._starts(n_keys)
        row = np.repeat(np.arange(len(row_start) - 1), np.diff(row_start))
        return replace(
            self,
            row_keys=tuple(key[is_first] for key in self.row_keys[:n_keys]),
            row_start=row_start,
            answer_code=self.answer_code[np.lexsort((self.answer_code, row))],
            row_weight=None if self.row_weight is None else self.row_weight[is_first],
            row_group=None if self.row_group is None else self.row_group[is_first],
        )

    def _starts(self, n_keys: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """(n_rows,) whether a row is the first with its first ``n_keys`` keys, and where the answers of these rows start."""
        is_first = np.ones(self.n_rows, dtype=bool)
        is_first[1:] = np.any([key[1:] != key[:-1] for key in self.row_keys[:n_keys]], axis=0)
        return is_first, np.r_[self.row_start[:-1][is_first], self.row_start[-1]]

    def rows_of_item(self, position: int) -> NDArray[np.bool_]:
        """(n_rows,) rows with an answer to the item at ``position``."""
        answers = np.flatnonzero(self.answer_code >> 1 == position)
        has = np.zeros(self.n_rows, dtype=bool)
        has[np.searchsorted(self.row_start, answers, side="right") - 1] = True
        return has

    def components(self) -> NDArray[np.int64]:
        """(n_items,) number of each item's connected part of the students × items graph, from 0 in the order of items.

        Rows with the same first key belong to one student. Items in different parts share no student, directly or through
        other items, so the answers do not link their scales.
        """
        from seedtest_analytics.stats.irt import kernels

        _, student_start = self._starts(1)
        components: NDArray[np.int64] = kernels.item_components(student_start, self.answer_code, self.n_items)
        return components


def _codes(values: ArrayLike, name: str) -> tuple[NDArray[np.int32], Ids]:
    array = (
        values
        if isinstance(values, np.ndarray | pd.Series | pd.Categorical)
        else array_of(values, name, error=IrtDataError)
    )
    if getattr(array, "ndim", 1) != 1:
        raise IrtDataError(f"{name} has {array.ndim} dimensions; pass one entry per answer")
    if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.integer) and len(array):
        lowest, highest = int(array.min()), int(array.max())
        if highest - lowest < _DENSE_IDS * len(array):
            return _dense_codes(array, lowest, highest=highest)
    code, unique = pd.factorize(array, sort=True)
    missing = np.flatnonzero(code < 0)
    if len(missing):
        raise IrtDataError(
            f"{len(missing)} answers have no {name} (first at positions {missing[:_SHOWN].tolist()}); leave them out"
        )
    return code.astype(np.int32), np.asarray(unique)


def _dense_codes(array: NDArray[Any], lowest: int, *, highest: int) -> tuple[NDArray[np.int32], Ids]:
    """Codes of integers that fill their range well, by a lookup table: several times as fast as hashing."""
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
    values = array_of(correct, "correct", error=IrtDataError)
    if values.ndim != 1:
        raise IrtDataError(f"correct has {values.ndim} dimensions; pass one entry per answer")
    if values.dtype == object:
        values = np.asarray(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)
    wrong = np.flatnonzero(~((values == 0) | (values == 1)))
    if len(wrong):
        raise IrtDataError(
            f"{len(wrong)} answers are neither 0 nor 1 (first at positions {wrong[:_SHOWN].tolist()}); "
            "score them, or leave unanswered items out"
        )
    return values.astype(np.int8)


def _same_length(first: NDArray[Any], *others: NDArray[Any]) -> None:
    for other in others:
        if len(other) != len(first):
            raise IrtDataError(f"arrays differ in length: {len(first)} and {len(other)}")
    if len(first) >= 2**31:
        raise IrtDataError(f"{len(first)} answers are more than one calibration can process (2³¹); sample rows")


def _refuse_duplicates(
    row_start: NDArray[np.int64], answer_code: NDArray[np.int32], *, row_keys: tuple[Ids, ...], item_ids: Ids
) -> None:
    repeated = np.flatnonzero((answer_code[1:] >> 1) == (answer_code[:-1] >> 1)) + 1
    row = np.searchsorted(row_start, repeated, side="right") - 1
    is_same_row = repeated > row_start[row]
    repeated, row = repeated[is_same_row], row[is_same_row]
    if len(repeated):
        shown = [
            f"{'/'.join(str(key[r]) for key in row_keys)}: {item_ids[answer_code[k] >> 1]}"
            for r, k in zip(row[:_SHOWN], repeated[:_SHOWN], strict=True)
        ]
        raise DuplicateAnswersError(
            f"{len(repeated)} answers repeat a row and item ({'; '.join(shown)}); keep the first attempt in the "
            "query, or pass duplicates='keep'"
        )


def _by_row(values: NDArray[Any], row_code: NDArray[np.int32], *, row_keys: tuple[Ids, ...], name: str) -> NDArray[Any]:
    """(n_rows,) the value of each row. Raises IrtDataError where it is not constant within a row."""
    _same_length(row_code, values)
    by_row = np.zeros(len(row_keys[0]), dtype=values.dtype)
    by_row[row_code] = values
    bad = np.unique(row_code[by_row[row_code] != values])
    if len(bad):
        raise IrtDataError(
            f"{name} changes within {len(bad)} rows ({row_keys[0][bad[:_SHOWN]].tolist()}); give each row one {name}"
        )
    return by_row


def _weights(weight: ArrayLike) -> Floats:
    values = numbers(weight, "weight", is_missing_allowed=True, error=IrtDataError).astype(np.float64)
    if not bool((values > 0).all()):
        raise IrtDataError("weights must be finite and > 0; leave rows of weight 0 out")
    return values


def row_blocks(row_start: NDArray[np.int64], max_answers: int) -> Iterator[slice]:
    """Consecutive slices of rows with about ``max_answers`` answers each."""
    first, n_rows = 0, len(row_start) - 1
    while first < n_rows:
        last = int(np.searchsorted(row_start, row_start[first] + max_answers, side="right")) - 1
        last = max(min(last, n_rows), first + 1)
        yield slice(first, last)
        first = last
