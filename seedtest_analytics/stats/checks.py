"""Checks of the inputs of public functions: what they accept, said in one way.

Each check returns the input in the form that the function computes with, or raises the domain's error (a ``ValueError``)
with the name of the input, the number of bad entries, the first of them, and what is needed. Rules that only one function
has stay in that function.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Error = type[ValueError]

LARGEST = 1e100
_SHOWN = 5


def refuse(is_bad: NDArray[np.bool_], what: str, *, need: str, error: Error = ValueError) -> None:
    """Raise if any entry is bad: how many, what is wrong with them, the first positions, and what is needed."""
    if is_bad.any():
        rows = np.flatnonzero(is_bad.reshape(len(is_bad), -1).any(axis=1)) if is_bad.ndim else np.zeros(1, np.intp)
        raise error(f"{len(rows)} rows have {what} (first rows: {rows[:_SHOWN].tolist()}); {need}")


def array_of(values: ArrayLike, name: str, *, error: Error = ValueError) -> NDArray[Any]:
    """The array of anything array-like; lists of unequal length are refused."""
    try:
        return np.asarray(values)
    except ValueError:
        raise error(f"{name} must be an array, not lists of different lengths") from None


def floats(values: ArrayLike, name: str, *, error: Error = ValueError) -> NDArray[Any]:
    """The array of numbers of any shape and size, as float64 (float32 stays); NaN and infinity stay. Text is refused."""
    given = array_of(values, name, error=error)
    if given.dtype.kind in "mM":
        raise error(f"{name} must be numbers, not times")
    try:
        return given if given.dtype == np.float32 else given.astype(np.float64)
    except (TypeError, ValueError):
        raise error(f"{name} must be numbers") from None


def numbers(
    values: ArrayLike,
    name: str,
    *,
    like: tuple[int, ...] | None = None,
    ndim: int | None = 1,
    low: float = -math.inf,
    high: float = math.inf,
    is_missing_allowed: bool = False,
    error: Error = ValueError,
) -> Floats:
    """Numbers within ``low..high``, as float64 (float32 stays, so that a large panel is not copied).

    Args:
        values: anything array-like.
        name: of the input, as the caller knows it.
        like: shape that the array must have; None for any.
        ndim: number of dimensions; None for any.
        low, high: limits, both allowed.
        is_missing_allowed: NaN means unknown; otherwise it is refused. Infinite values, and those beyond 1e100, whose
            squares overflow, are refused either way.
        error: class to raise.
    """
    array: Floats = floats(values, name, error=error)
    if like is not None and array.shape != like:
        raise error(f"{name} has shape {array.shape}, need {like}: one entry for each of the other inputs")
    if ndim is not None and array.ndim != ndim:
        raise error(f"{name} has {array.ndim} dimensions, need {ndim}")
    missing = np.isnan(array)
    largest = min(LARGEST, float(np.finfo(array.dtype).max))
    with np.errstate(invalid="ignore"):
        is_bad = (np.abs(array) > largest) | ~(missing | ((array >= low) & (array <= high)))
    if not is_missing_allowed:
        is_bad |= missing
    if math.isfinite(low) or math.isfinite(high):
        what, need = f"a missing {name} or one outside {low:g}..{high:g}", f"need {low:g} to {high:g}"
    else:
        what, need = f"a missing or infinite {name}", "impute or leave out those rows"
    refuse(is_bad, what, need=need, error=error)
    return array


def column(values: ArrayLike, name: str, *, length: int, kinds: str, error: Error = ValueError) -> NDArray[Any]:
    """(length,) of a type among ``kinds`` of numpy's type codes. The values are not looked at: for columns of many rows."""
    array = array_of(values, name, error=error)
    if array.shape != (length,) or array.dtype.kind not in kinds:
        what = {"b": "booleans", "iu": "whole numbers"}.get(kinds, "numbers")
        raise error(f"{name} has shape {array.shape} and type {array.dtype}, need ({length},) {what}")
    return array


def flags(values: ArrayLike, name: str, *, length: int, error: Error = ValueError) -> NDArray[np.bool_]:
    """(length,) of False and True, given as booleans or 0 and 1. Anything else (1 and 2, say, or NaN) is refused."""
    array = array_of(values, name, error=error)
    if array.dtype != bool:
        array = numbers(array, name, error=error)
        refuse((array != 0) & (array != 1), f"{name} codes other than 0 and 1", need="code it as 0 or 1", error=error)
    if array.shape != (length,):
        raise error(f"{name} has shape {array.shape}, need ({length},): one entry for each row")
    return array.astype(bool)


def codes(values: ArrayLike, name: str, *, length: int, error: Error = ValueError) -> tuple[NDArray[np.int32], int]:
    """(length,) codes 0, 1, … of labels of any one type, in their order, and the number of different ones."""
    array = array_of(values, name, error=error)
    if array.shape != (length,):
        raise error(f"{name} has shape {array.shape}, need ({length},): one label for each row")
    refuse(np.asarray(pd.isna(array)), f"a missing {name}", need="give each row a label", error=error)
    try:
        labels, inverse = np.unique(array, return_inverse=True)
    except TypeError:
        raise error(f"{name} has labels of different types; convert them to one") from None
    return inverse.astype(np.int32), len(labels)


def number(
    value: Any, name: str, *, low: float = -math.inf, high: float = math.inf, error: Error = ValueError
) -> float:
    """One finite number within ``low..high``, both allowed."""
    found = float(numbers(value, name, ndim=0, is_missing_allowed=True, error=error))
    if not low <= found <= high:
        bounds = f"between {low:g} and {high:g}" if math.isfinite(low) or math.isfinite(high) else "a finite number"
        raise error(f"{name} must be {bounds}, not {value!r}")
    return found


def positive(value: Any, name: str, *, error: Error = ValueError) -> float:
    """One finite number above 0."""
    found = number(value, name, error=error)
    if found <= 0:
        raise error(f"{name} must be above 0, not {value!r}")
    return found


def count(value: Any, name: str, *, low: int = 0, high: int = 1_000_000_000, error: Error = ValueError) -> int:
    """One whole number within ``low..high``."""
    whole = number(value, name, low=low, high=high, error=error)
    if whole != int(whole):
        raise error(f"{name} must be a whole number, not {value!r}")
    return int(whole)


def one_of(value: Any, name: str, *, choices: Collection[str], error: Error = ValueError) -> None:
    """Refuse a value that is not among the choices, and list them."""
    if value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, not {value!r}")
