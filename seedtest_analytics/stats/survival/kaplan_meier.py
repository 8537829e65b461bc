"""The Kaplan-Meier curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def kaplan_meier(
    stop_times: ArrayLike, events: ArrayLike, *, entry_times: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """(K,) distinct event times and ``S(t) = Π_{t_k <= t} (1 - d_k / n_k)``, the survival just after each.

    Of (n,) rows, d_k have their event at t_k and n_k are at risk; a row is at risk on ``(entry, stop]``.
    """
    stop = np.asarray(stop_times, dtype=np.float64)
    times, counts = np.unique(stop[np.asarray(events).astype(bool)], return_counts=True)
    at_risk = len(stop) - np.searchsorted(np.sort(stop), times, side="left")
    if entry_times is not None:
        entries = np.sort(np.asarray(entry_times, dtype=np.float64))
        at_risk = at_risk - (len(stop) - np.searchsorted(entries, times, side="left"))
    return times, np.asarray(np.cumprod(1.0 - counts / at_risk), dtype=np.float64)
