"""Harrell's concordance: how well scores rank the rows in the order in which they ended.

C = (concordant + tied / 2) / comparable pairs
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import codes, flags, numbers
from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.survival.errors import SurvivalDataError
from seedtest_analytics.stats.survival.kaplan_meier import checked_entries

Floats = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _move(tree, at_rank, rank, change):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Add (1) or remove (-1) a row of ``rank`` (from 1); ``tree[0]`` counts the rows inside."""
    tree[0] += change
    at_rank[rank] += change
    while rank < len(tree):
        tree[rank] += change
        rank += rank & -rank


@njit(nogil=True, cache=True)
def _below(tree, rank):  # type: ignore[no-untyped-def]
    """Number of rows inside with a smaller rank."""
    count, position = 0, rank - 1
    while position > 0:
        count += tree[position]
        position -= position & -position
    return count


@njit(nogil=True, cache=True)
def _counts(order, entry_order, times, entries, events, ranks, n_ranks):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Concordant, tied and comparable pairs of one stratum, from the latest time to the earliest.

    ``tree`` is a Fenwick tree of the ranks of the rows that are under observation and end after the current event.
    """
    tree, at_rank = np.zeros(n_ranks + 1, dtype=np.int64), np.zeros(n_ranks + 1, dtype=np.int64)
    concordant = tied = comparable = 0.0
    begin, leaver = 0, 0
    while begin < len(order):
        time = times[order[begin]]
        while leaver < len(entry_order) and entries[entry_order[leaver]] >= time:
            _move(tree, at_rank, ranks[entry_order[leaver]], -1)
            leaver += 1
        end = begin
        while end < len(order) and times[order[end]] == time:
            if not events[order[end]]:  # rows censored at this time outlived its events
                _move(tree, at_rank, ranks[order[end]], 1)
            end += 1
        for row in order[begin:end]:
            if events[row]:
                concordant += _below(tree, ranks[row])
                tied += at_rank[ranks[row]]
                comparable += tree[0]
        for row in order[begin:end]:
            if events[row]:
                _move(tree, at_rank, ranks[row], 1)
        begin = end
    return concordant, tied, comparable


def concordance_index(
    stop_times: ArrayLike,
    events: ArrayLike,
    *,
    scores: ArrayLike,
    strata: ArrayLike | None = None,
    entry_times: ArrayLike | None = None,
) -> float:
    """Share of comparable pairs in which the row with the higher score ended first; tied scores count one half.

    A pair is comparable if one row has its event while the other is under observation and ends later. Pairs are formed
    within strata, as in R's ``survival::concordance``. NaN where no pair is comparable.

    Args:
        stop_times: (n,) finite times from 0.
        events: (n,) booleans, or 0 and 1.
        scores: (n,) finite scores.
        strata: (n,) labels of one type, none missing.
        entry_times: (n,) finite times before the stop times.

    Raises:
        SurvivalDataError: for any other input; the message names the first bad rows.
    """
    stop = numbers(stop_times, "time", low=0, error=SurvivalDataError)
    n = len(stop)
    happened = flags(events, "event", length=n, error=SurvivalDataError)
    all_scores = numbers(scores, "score", like=(n,), error=SurvivalDataError)
    stratum, n_strata = np.zeros(n, dtype=np.int32), 1
    if strata is not None:
        stratum, n_strata = codes(strata, "stratum", length=n, error=SurvivalDataError)
    entry = None if entry_times is None else checked_entries(entry_times, stop)
    totals = np.zeros(3)
    for code in range(n_strata):
        rows = slice(None) if n_strata == 1 else np.flatnonzero(stratum == code)
        times, own_scores = stop[rows], all_scores[rows]
        values, ranks = np.unique(own_scores, return_inverse=True)
        order = np.argsort(-times, kind="stable")
        entries = np.empty(0) if entry is None else entry[rows]
        entry_order = np.argsort(-entries, kind="stable")
        totals += _counts(order, entry_order, times, entries, happened[rows], ranks.astype(np.int32) + 1, len(values))
    return float((totals[0] + totals[1] / 2) / totals[2]) if totals[2] else float("nan")
