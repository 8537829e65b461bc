"""Input of a mixed model: checked rows, and the split for its held-out error."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.api.types import is_numeric_dtype

from seedtest_analytics.stats.checks import array_of, count, number
from seedtest_analytics.stats.mixed_model.formula import MixedModelFormula, RandomTerm

Family = Literal["gaussian", "binomial"]
ATTEMPTS = "attempts"
ROWS_SHOWN = 5
# A share of right answers times their number is a count up to rounding of the share.
COUNT_TOLERANCE = 1e-4


class MixedModelDataError(ValueError):
    """The model cannot be estimated from these rows. The message says which rows, why, and what to do."""


def check_rows(rows: pd.DataFrame, formula: MixedModelFormula, *, family: Family) -> pd.DataFrame:
    """The columns that the model needs: numbers as float, groups and text as categories.

    In the binomial family the response is the share of right answers, and ``attempts`` the number of answers of a row (1
    if the column is missing). Raises :class:`MixedModelDataError`.
    """
    if family not in get_args(Family):
        raise MixedModelDataError(f"unknown family {family!r}; use {' or '.join(get_args(Family))}")
    if rows.empty:
        raise MixedModelDataError("there are no rows to fit")
    checked = pd.DataFrame(index=rows.index)
    checked[formula.response] = _finite(rows, formula.response)
    for column in formula.predictor_columns:
        checked[column] = _finite(rows, column) if is_numeric_dtype(rows[column]) else _categories(rows, column)
    for column in formula.group_columns:
        _check_levels(_categories(rows, column), column)
        if column not in checked:
            checked[column] = _categories(rows, column)
    _check_terms(checked, formula, family=family)
    if family == "binomial":
        checked[ATTEMPTS] = _finite(rows, ATTEMPTS) if ATTEMPTS in rows else 1.0
        _check_counts(checked[formula.response], checked[ATTEMPTS], response=formula.response)
    elif checked[formula.response].nunique() < 2:
        raise MixedModelDataError(f"{formula.response} has the same value in all rows, so there is nothing to explain")
    return checked.reset_index(drop=True)


def _finite(rows: pd.DataFrame, column: str) -> pd.Series:
    values = pd.to_numeric(rows[column], errors="coerce").astype(float)
    is_bad = pd.Series(~np.isfinite(values.to_numpy()), index=rows.index)
    refuse(is_bad, f"{column} is missing, infinite or not a number; remove these rows")
    return values


def _categories(rows: pd.DataFrame, column: str) -> pd.Series:
    refuse(rows[column].isna(), f"{column} is missing; remove these rows")
    return rows[column].astype(str).astype("category")


def _check_levels(groups: pd.Series, column: str) -> None:
    if len(groups.cat.categories) < 2:
        raise MixedModelDataError(
            f"{column} has only one level, and a variance between groups needs two; remove its term from the formula"
        )


def refuse(is_bad: pd.Series, message: str) -> None:
    """Raise :class:`MixedModelDataError` with the message and the first bad rows, if there are any."""
    if is_bad.any():
        shown = ", ".join(str(label) for label in is_bad.index[is_bad][:ROWS_SHOWN])
        raise MixedModelDataError(f"{message} ({int(is_bad.sum())} rows, first: {shown})")


def _check_terms(checked: pd.DataFrame, formula: MixedModelFormula, *, family: Family) -> None:
    for column in formula.predictor_columns:
        if checked[column].nunique() < 2:
            raise MixedModelDataError(
                f"{column} has the same value in all rows, so it has no slope; use a longer lookback or remove it "
                "from the formula"
            )
    if family == "gaussian":
        for term in formula.random_terms:
            _check_enough_rows(checked, term)


def _check_enough_rows(checked: pd.DataFrame, term: RandomTerm) -> None:
    n_levels = len(checked[list(term.group_columns)].drop_duplicates())
    if n_levels * term.n_effects >= len(checked):
        raise MixedModelDataError(
            f"{term.text} has {n_levels * term.n_effects} random effects for {len(checked)} rows, so the residual "
            "is not identified; use more rows per group or fewer random effects"
        )


def _check_counts(share: pd.Series, attempts: pd.Series, *, response: str) -> None:
    refuse((attempts < 1) | (attempts != attempts.round()), f"{ATTEMPTS} must be a whole number of at least 1")
    refuse((share < 0) | (share > 1), f"{response} must be a share between 0 and 1 in the binomial family")
    count = share * attempts
    refuse(
        (count - count.round()).abs() > COUNT_TOLERANCE * attempts,
        f"{response} × {ATTEMPTS} is not a whole number of right answers; add a column {ATTEMPTS!r} with the number of "
        "answers, or use the gaussian family",
    )


def held_out_rows(student: ArrayLike, week: ArrayLike, *, share: float, seed: int) -> np.ndarray:
    """(n_rows,) mask of a random ``share`` of the student-weeks, a function of the set of student-weeks and ``seed``.

    All rows of a student's week are on one side, so a week is never predicted from itself.

    Raises:
        ValueError: for columns that are not (n_rows,), a missing student or week, a share outside 0 <= share < 1, or a seed
            that is not a whole number from 0.
    """
    students, weeks = array_of(student, "student"), array_of(week, "week")
    if students.ndim != 1 or students.shape != weeks.shape:
        raise ValueError(
            f"student and week have the shapes {students.shape} and {weeks.shape}; give one of each per row"
        )
    if pd.isna(students).any() or pd.isna(weeks).any():
        raise ValueError(
            f"{int((pd.isna(students) | pd.isna(weeks)).sum())} rows lack a student or week; leave them out"
        )
    count(seed, "seed", high=2**53)
    if not 0 <= number(share, "share") < 1:
        raise ValueError(f"invalid held-out share {share}; it must be at least 0 and below 1")
    pairs = pd.DataFrame({"student": pd.Series(students).astype(str).to_numpy(), "week": weeks})
    pair_of_row = pairs.groupby(["student", "week"], sort=True).ngroup().to_numpy()
    n_pairs = int(pair_of_row.max()) + 1 if len(pair_of_row) else 0
    chosen = np.zeros(n_pairs, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(n_pairs)[: round(share * n_pairs)]] = True
    return chosen[pair_of_row]
