"""Time and memory of the churn panel, fit and score, of many Prophet series and of segments.

Usage: ``python benchmarks/risk.py [--quick] [--only churn|prophet|segments]``. Every case runs in a process
of its own, so that its peak memory is its own; compilation (numba) is done before the clock starts. Prints
one table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable

import numpy as np

FIRST_DAY, WEEKS = 18_004, 26


def simulated_sessions(n_users: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """User index and day of sessions over 26 weeks; rates differ and fade."""
    rng = np.random.default_rng(seed)
    rate = np.clip(rng.lognormal(-2.3, 0.9, n_users), 0.003, 0.9)
    stop = rng.exponential(120.0, n_users)
    counts = rng.poisson(rate * np.minimum(stop, 7 * WEEKS))
    user = np.repeat(np.arange(n_users), counts)
    return user, FIRST_DAY + rng.random(len(user)) * np.minimum(stop, 7 * WEEKS)[user]


def churn(n_users: int) -> str:
    """Panel of 13 landmarks, Cox fit with clustered errors and held-out check, score of everybody."""
    from seedtest_analytics.stats.survival.churn_fit import fit_churn
    from seedtest_analytics.stats.survival.panel import activity_log, landmark_panel

    as_of = FIRST_DAY + 7 * WEEKS
    landmarks = as_of - 7 * np.arange(1, 14)
    fit_churn(landmark_panel(activity_log(*simulated_sessions(500), 500), landmarks, as_of))
    log = activity_log(*simulated_sessions(n_users), n_users)
    times = [time.perf_counter()]
    panel = landmark_panel(log, landmarks, as_of)
    times.append(time.perf_counter())
    model = fit_churn(panel)
    times.append(time.perf_counter())
    now = landmark_panel(log, [as_of], as_of + 1)
    risk = model.predict_silence(now.covariates)[0]
    times.append(time.perf_counter())
    parts = "  ".join(
        f"{name} {b - a:6.2f} s"
        for name, a, b in zip(("panel", "fit", "score"), times, times[1:], strict=False)
    )
    return f"{len(panel):>11,} rows  {parts}  ({model.method}, {len(risk):,} scored)"


def prophet(n_series: int) -> str:
    """Series of twelve weeks: the last week scored and four weeks foretold."""
    from seedtest_analytics.stats.forecast.forecast import forecast_many
    from seedtest_analytics.stats.forecast.series import ForecastSettings, weekly_series

    rng = np.random.default_rng(2)
    weeks = np.datetime64("2024-01-01") + 7 * np.arange(12)
    series = [
        weekly_series(f"topic {i}", weeks, rng.normal(0.1, 0.1, 12), rng.integers(20, 200, 12))
        for i in range(n_series)
    ]
    processes = os.cpu_count() or 1
    begin = time.perf_counter()
    results = forecast_many(series, ForecastSettings(scored_weeks=1), processes=processes)
    seconds = time.perf_counter() - begin
    made = sum(result.method == "prophet" for result in results)
    each_ms = 1000 * seconds / n_series
    return f"{made:>11,} by Prophet in {processes} processes  {seconds:6.1f} s  ({each_ms:.0f} ms each)"


def expectations(n_users: int) -> str:
    """Expected value and anomaly of every student and week."""
    from seedtest_analytics.stats.forecast.expectation import expect_students

    rng = np.random.default_rng(3)
    values = rng.normal(size=(n_users, 12))
    evidence = rng.integers(0, 40, (n_users, 12)).astype(float)
    begin = time.perf_counter()
    expect_students(values, evidence)
    return f"{n_users * 12:>11,} student-weeks  {time.perf_counter() - begin:6.2f} s"


def segments(n_users: int) -> str:
    """Nine features, number of segments chosen, stability, names and map."""
    from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES
    from seedtest_analytics.stats.segments.segments import segment_students

    rng = np.random.default_rng(4)
    kind = rng.integers(0, 4, n_users)
    features = {
        name: rng.normal(rng.permutation([0.5, 2.0, 3.5, 5.0])[kind], 0.5).clip(0)
        for name in CONTRACT_FEATURES
    }
    begin = time.perf_counter()
    result = segment_students(features)
    return f"{n_users:>11,} students  {time.perf_counter() - begin:6.1f} s  ({result.method}, k = {result.count.k})"


def _in_own_process(work: Callable[[int], str], size: int, out: multiprocessing.Queue) -> None:
    text = work(size)
    used = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    out.put((text, max(used) / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes or less")
    parser.add_argument("--only", choices=["churn", "prophet", "expectations", "segments"])
    chosen = parser.parse_args()
    sizes = {
        churn: (10_000, 100_000) if chosen.quick else (10_000, 100_000, 1_000_000),
        prophet: (20,) if chosen.quick else (1_000,),
        expectations: (100_000,) if chosen.quick else (1_000_000,),
        segments: (10_000, 100_000) if chosen.quick else (10_000, 100_000, 1_000_000),
    }
    context = multiprocessing.get_context("spawn")
    for work, cases in sizes.items():
        for size in cases if chosen.only in (None, work.__name__) else ():
            out = context.Queue()
            process = context.Process(target=_in_own_process, args=(work, size, out))
            process.start()
            text, gigabytes = out.get()
            process.join()
            print(f"{work.__name__:<13}{size:>10,}  {text}  peak {gigabytes:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
