"""The Kaplan-Meier curve with Greenwood's standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalCurve:
    """(K,) by distinct event time: rows at risk, events, survival just after it and its standard error."""

    times: Floats
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    survival: Floats
    standard_error: Floats

    def at(self, times: ArrayLike) -> Floats:
        """Survival at any times; 1 before the first event, constant after the last."""
        steps = np.concatenate([[1.0], self.survival])
        return np.asarray(steps[np.searchsorted(self.times, np.asarray(times, dtype=np.float64), side="right")])

    def standard_error_at(self, times: ArrayLike) -> Floats:
        """Greenwood standard error of the survival at any times."""
        steps = np.concatenate([[0.0], self.standard_error])
        return np.asarray(steps[np.searchsorted(self.times, np.asarray(times, dtype=np.float64), side="right")])


def kaplan_meier(stop_times: ArrayLike, events: ArrayLike, *, entry_times: ArrayLike | None = None) -> SurvivalCurve:
    """Product-limit curve of (n,) times; a row is at risk on ``(entry, stop]``."""
    stop = np.asarray(stop_times, dtype=np.float64)
    died = np.asarray(events).astype(bool)
    times, counts = np.unique(stop[died], return_counts=True)
    at_risk = len(stop) - np.searchsorted(np.sort(stop), times, side="left")
    if entry_times is not None:
        entries = np.sort(np.asarray(entry_times, dtype=np.float64))
        at_risk = at_risk - (len(stop) - np.searchsorted(entries, times, side="left"))
    survival = np.asarray(np.cumprod(1.0 - counts / at_risk), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(counts / (at_risk * (at_risk - counts).astype(np.float64)))
        error = np.where(survival > 0, survival * np.sqrt(greenwood), 0.0)
    return SurvivalCurve(
        times,
        at_risk.astype(np.int64),
        events=counts.astype(np.int64),
        survival=survival,
        standard_error=np.asarray(error, dtype=np.float64),
    )
