"""What a mixed model takes: checked rows, and the split that its held-out error is measured on."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from seedtest_analytics.stats.mixed_model.formula import MixedModelFormula, RandomTerm

Family = Literal["gaussian", "binomial"]
ATTEMPTS = "attempts"
ROWS_SHOWN = 5
# A share of right answers times their number is a count, but for rounding of the share.
COUNT_TOLERANCE = 1e-4


class MixedModelDataError(ValueError):
    """Rows from which the model cannot be estimated; the message says which, why and what to do."""


def check_rows(rows: pd.DataFrame, formula: MixedModelFormula, *, family: Family) -> pd.DataFrame:
    """The columns the model needs: numbers as float, groups and text as categories, ``attempts`` for shares.

    With the binomial family the response is the share of right answers and ``attempts`` the number of
    answers of a row (one each where the column is missing). Raises :class:`MixedModelDataError`.
    """
    if family not in get_args(Family):
        raise MixedModelDataError(f"family {family!r} is not known: {' or '.join(get_args(Family))}")
    if rows.empty:
        raise MixedModelDataError("there are no rows")
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
        raise MixedModelDataError(f"{formula.response} has one value in all rows: there is nothing to explain")
    return checked.reset_index(drop=True)


def _finite(rows: pd.DataFrame, column: str) -> pd.Series:
    values = pd.to_numeric(rows[column], errors="coerce").astype(float)
    is_finite = pd.Series(np.isfinite(values.to_numpy()), index=rows.index)
    _refuse(~is_finite, f"{column} is missing, infinite or no number: remove these rows")
    return values


def _categories(rows: pd.DataFrame, column: str) -> pd.Series:
    _refuse(rows[column].isna(), f"{column} is missing: remove these rows")
    return rows[column].astype(str).astype("category")


def _check_levels(groups: pd.Series, column: str) -> None:
    if len(groups.cat.categories) < 2:
        raise MixedModelDataError(
            f"{column} has one level in all rows: a variance between groups needs two and more; "
            f"take its term out of the formula"
        )


def _refuse(is_bad: pd.Series, message: str) -> None:
    if is_bad.any():
        shown = ", ".join(str(label) for label in is_bad.index[is_bad][:ROWS_SHOWN])
        raise MixedModelDataError(f"{message} ({int(is_bad.sum())} rows, first: {shown})")


def _check_terms(checked: pd.DataFrame, formula: MixedModelFormula, *, family: Family) -> None:
    for column in formula.predictor_columns:
        if checked[column].nunique() < 2:
            raise MixedModelDataError(
                f"{column} has one value in all rows, so it has no slope: use more of it (a longer lookback) "
                f"or take it out of the formula"
            )
    if family == "gaussian":
        for term in formula.random_terms:
            _check_enough_rows(checked, term)


def _check_enough_rows(checked: pd.DataFrame, term: RandomTerm) -> None:
    n_levels = len(checked[list(term.group_columns)].drop_duplicates())
    if n_levels * term.n_effects >= len(checked):
        raise MixedModelDataError(
            f"{term.text} has {n_levels * term.n_effects} random effects for {len(checked)} rows, so they "
            "cannot be told from the residual: use more rows for each group, or fewer random effects"
        )


def _check_counts(share: pd.Series, attempts: pd.Series, *, response: str) -> None:
    _refuse((attempts < 1) | (attempts != attempts.round()), f"{ATTEMPTS} is no whole number of 1 and more")
    _refuse((share < 0) | (share > 1), f"{response} is no share between 0 and 1, as the binomial family needs")
    count = share * attempts
    _refuse(
        (count - count.round()).abs() > COUNT_TOLERANCE * attempts,
        f"{response} × {ATTEMPTS} is no whole number of right answers: give the number of answers in a "
        f"column {ATTEMPTS!r}, or use the gaussian family",
    )


def held_out_rows(student: pd.Series, week: pd.Series, *, share: float, seed: int) -> np.ndarray:
    """Boolean array: the rows of a random ``share`` of the student-weeks, drawn without regard to row order.

    All rows of a student's week are on one side, so that a week is not predicted from itself. Deterministic
    in the set of student-weeks and ``seed``.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share is {share}; it must be at least 0 and below 1")
    pairs = pd.DataFrame({"student": student.astype(str).to_numpy(), "week": week.to_numpy()})
    number = pairs.groupby(["student", "week"], sort=True).ngroup().to_numpy()
    n_pairs = int(number.max()) + 1 if len(number) else 0
    chosen = np.zeros(n_pairs, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(n_pairs)[: round(share * n_pairs)]] = True
    return chosen[number]
