"""From named covariates to the columns of a model: transformations, missing values, and reasons for dropped columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import array_of, numbers

Floats = NDArray[np.float64]

LOG_COVARIATES = frozenset(
    {"days_since_last", "sessions_28d", "mean_gap_days_28d", "sessions_7d", "tenure_days", "days_per_session"}
)
"""Counts and durations enter as log(1 + x): the step from 1 to 3 days of silence says more than from 41 to 43."""
BENDS: Mapping[str, float] = {"days_since_last": 28.0}
"""Values at which a covariate's line may bend: beyond four weeks of silence the other windows are empty, so another day
says less (or more) than within them. docs/churn.md has the value of the bend on four logs."""
INDICATOR_SHARE = 0.005
"""A covariate missing (or present) in a smaller share than this gets no missing indicator."""


@dataclass(frozen=True)
class DesignColumn:
    """One column: a covariate's value, its excess over ``bend_at``, or whether it is missing.

    ``fill`` replaces missing values, on the column's own scale.
    """

    covariate: str
    is_missing_indicator: bool
    is_log: bool
    fill: float
    bend_at: float | None = None

    @property
    def name(self) -> str:
        """The covariate's name, with ``_missing`` or ``_beyond_<bend>`` where that applies."""
        if self.bend_at is not None:
            return f"{self.covariate}_beyond_{self.bend_at:g}"
        return f"{self.covariate}_missing" if self.is_missing_indicator else self.covariate

    def values(self, raw: Floats) -> Floats:
        """The column of (n,) raw values."""
        missing = ~np.isfinite(raw)
        if self.is_missing_indicator:
            return missing.astype(raw.dtype)
        value = np.log1p(np.maximum(raw, 0)) if self.is_log else raw
        if self.bend_at is not None:
            bend = np.log1p(self.bend_at) if self.is_log else self.bend_at
            value = np.maximum(value - raw.dtype.type(bend), 0)
        return np.where(missing, raw.dtype.type(self.fill), value).astype(raw.dtype, copy=False)


@dataclass(frozen=True)
class Design:
    """Columns of a model; ``typical``: median of each raw covariate; ``dropped``: reason by covariate or column."""

    columns: tuple[DesignColumn, ...]
    typical: Mapping[str, float]
    dropped: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Covariates that have a column, in order."""
        return tuple(dict.fromkeys(column.covariate for column in self.columns))

    def matrix(self, covariates: Mapping[str, ArrayLike]) -> Floats:
        """(n, p) columns of named (n,) covariates.

        Raises:
            KeyError: names the covariates that are needed and not given.
            ValueError: for columns that are not numbers, or not of one length.
        """
        absent = [name for name in self.covariates if name not in covariates]
        if absent:
            raise KeyError(f"the model needs covariates {absent}, which were not given")
        raw = named_columns(covariates, self.covariates)
        out = np.empty((len(next(iter(raw.values()))), len(self.columns)), dtype=next(iter(raw.values())).dtype)
        for position, column in enumerate(self.columns):
            out[:, position] = column.values(raw[column.covariate])
        return out


def named_columns(covariates: Mapping[str, ArrayLike], names: Sequence[str]) -> dict[str, Floats]:
    """(n,) numbers by name, NaN where a value is missing; one number is a column of length 1.

    Raises:
        ValueError: for columns that are not numbers, are infinite, or are not of one length.
    """
    found = {
        name: numbers(np.atleast_1d(array_of(covariates[name], name)), name, is_missing_allowed=True) for name in names
    }
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"covariates need one value for each student, not the lengths {lengths}")
    return found


def _floating(values: ArrayLike) -> Floats:
    array = np.atleast_1d(np.asarray(values))
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def possible_columns(covariate: str) -> tuple[DesignColumn, ...]:
    """Every column that :func:`plan_design` may give a covariate: value, bends, missing indicator."""
    value = DesignColumn(covariate, is_missing_indicator=False, is_log=covariate in LOG_COVARIATES, fill=0.0)
    bends = (replace(value, bend_at=BENDS[covariate]),) if covariate in BENDS else ()
    return (value, *bends, replace(value, is_missing_indicator=True, is_log=False))


def plan_design(covariates: Mapping[str, ArrayLike], names: tuple[str, ...] | None = None) -> Design:
    """Choose the columns for these rows; uninformative covariates are dropped with the reason."""
    columns: list[DesignColumn] = []
    typical: dict[str, float] = {}
    dropped: dict[str, str] = {}
    for name in names if names is not None else tuple(covariates):
        if name not in covariates:
            dropped[name] = "not given"
            continue
        raw = _floating(covariates[name])
        missing = ~np.isfinite(raw)
        if missing.all():
            dropped[name] = "no value in any row"
            continue
        *values, indicator = possible_columns(name)
        for column in values:
            present = column.values(raw)[~missing]
            if np.ptp(present) <= 1e-6 * max(1.0, float(np.abs(present).max())):
                dropped[column.name] = "the same value in every row"
                continue
            typical[name] = float(np.median(raw[~missing]))
            columns.append(replace(column, fill=float(present.mean(dtype=np.float64))))
        if INDICATOR_SHARE < missing.mean() < 1.0 - INDICATOR_SHARE:
            columns.append(indicator)
    return Design(tuple(columns), typical, dropped=dropped)


def without_dependent_columns(design: Design, matrix: Floats) -> tuple[Design, Floats]:
    """Leave out columns that are collinear with the columns before them."""
    kept: list[int] = []
    dropped = dict(design.dropped)
    gram = _gram(matrix)
    for position, column in enumerate(design.columns):
        own = gram[position, position]
        explained = 0.0
        if kept:
            cross = gram[kept, position]
            explained = float(cross @ np.linalg.lstsq(gram[np.ix_(kept, kept)], cross, rcond=None)[0])
        if own <= 0 or own - explained <= 1e-7 * own:
            dropped[column.name] = "the other covariates determine it"
        else:
            kept.append(position)
    if len(kept) == len(design.columns):
        return design, matrix
    reduced = Design(tuple(design.columns[k] for k in kept), design.typical, dropped=dropped)
    return reduced, np.ascontiguousarray(matrix[:, kept])


def _gram(matrix: Floats) -> Floats:
    """(p, p) cross products of the centred columns, in float64 without a copy of all rows."""
    mean = matrix.mean(axis=0, dtype=np.float64)
    total = np.zeros((matrix.shape[1],) * 2)
    for begin in range(0, len(matrix), 200_000):
        block = matrix[begin : begin + 200_000].astype(np.float64) - mean
        total += block.T @ block
    return total
