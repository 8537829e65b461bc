"""The Kaplan-Meier curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import flags, numbers, refuse
from seedtest_analytics.stats.survival.errors import SurvivalDataError

Floats = NDArray[np.float64]


def kaplan_meier(
    stop_times: ArrayLike, events: ArrayLike, *, entry_times: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """(K,) distinct event times and ``S(t) = Π_{t_k <= t} (1 - d_k / n_k)``, the survival just after each.

    Of (n,) rows, d_k have their event at t_k and n_k are at risk; a row is at risk on ``(entry, stop]``. Without an event
    the curve has no point.

    Raises:
        SurvivalDataError: for missing or negative times, events other than 0 and 1, or an entry not before its end.
    """
    stop = numbers(stop_times, "time", low=0, error=SurvivalDataError)
    happened = flags(events, "event", length=len(stop), error=SurvivalDataError)
    times, counts = np.unique(stop[happened], return_counts=True)
    at_risk = len(stop) - np.searchsorted(np.sort(stop), times, side="left")
    if entry_times is not None:
        entry = checked_entries(entry_times, stop)
        at_risk = at_risk - (len(stop) - np.searchsorted(np.sort(entry), times, side="left"))
    return times, np.asarray(np.cumprod(1.0 - counts / at_risk), dtype=np.float64)


def checked_entries(entry_times: ArrayLike, stop_times: Floats) -> Floats:
    """(n,) finite entries, each before its end.

    Raises:
        SurvivalDataError: names the rows whose entry is missing or not before its end.
    """
    entry = numbers(entry_times, "entry time", like=stop_times.shape, error=SurvivalDataError).astype(np.float64)
    is_late = ~(entry < stop_times)
    refuse(is_late, "an entry that is not before its end", need="leave out rows of no length", error=SurvivalDataError)
    return entry
