"""Time and memory of the churn panel, fit and score, of many Prophet series and of segments.

Usage: ``python -m benchmarks.risk [--quick] [--only churn|graph|prophet|prophet_all_weeks|expectations|segments]``; ``--study``
prints instead how well the churn model predicts on the published logs (walk-forward) and how many planted
anomalies are found. Every case runs in a separate process, so that its peak memory is its own; compilation
(numba) is done before the clock starts. ``churn`` is the panel, fit and score of arrays, ``graph`` the same from an
embedded PostgreSQL to its tables.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measure import in_own_process, machine
from benchmarks._sessions import FIRST_DAY, WEEKS, simulated_sessions

if TYPE_CHECKING:
    from benchmarks._landmarks import ActivityLog
    from seedtest_analytics.stats.forecasts.series import ForecastSettings

LAST_SERIES_WEEK = dt.date(2024, 3, 18)


def churn(n_users: int) -> str:
    """Panel of 13 landmarks, Cox fit with clustered errors and held-out check, score of everybody."""
    from benchmarks._landmarks import activity_log, landmark_panel
    from seedtest_analytics.stats.survival.churn_fit import fit_churn

    as_of = FIRST_DAY + 7 * WEEKS
    landmarks = as_of - 7 * np.arange(1, 14)
    fit_churn(landmark_panel(activity_log(*simulated_sessions(500), n_users=500), landmarks, data_end_day=as_of))
    log = activity_log(*simulated_sessions(n_users), n_users=n_users)
    times = [time.perf_counter()]
    panel = landmark_panel(log, landmarks, data_end_day=as_of)
    times.append(time.perf_counter())
    model = fit_churn(panel)
    times.append(time.perf_counter())
    now = landmark_panel(log, [as_of], data_end_day=as_of + 1)
    risk = model.predict_silence(now.covariates)[0]
    times.append(time.perf_counter())
    parts = "  ".join(
        f"{name} {b - a:6.2f} s" for name, a, b in zip(("panel", "fit", "score"), times, times[1:], strict=False)
    )
    return f"{len(panel):>11,} rows  {parts}  ({model.method}, {len(risk):,} scored)"


def prophet(n_series: int) -> str:
    """Series of twelve weeks: the last week scored and four weeks predicted."""
    from seedtest_analytics.stats.forecasts.series import ForecastSettings

    return _prophet(n_series, ForecastSettings(scored_weeks=1), processes=os.cpu_count() or 1)


def prophet_all_weeks(n_series: int) -> str:
    """The same series by the settings of the asset, which scores every week again."""
    from seedtest_analytics.assets.forecasts.week import model_settings
    from seedtest_analytics.settings import load_settings

    settings = load_settings().forecast
    return _prophet(n_series, model_settings(LAST_SERIES_WEEK, settings), processes=settings.processes)


def _prophet(n_series: int, settings: ForecastSettings, *, processes: int) -> str:
    from seedtest_analytics.stats.forecasts.forecast import forecast_many
    from seedtest_analytics.stats.forecasts.series import weekly_series

    rng = np.random.default_rng(2)
    weeks = np.datetime64(LAST_SERIES_WEEK) - 7 * np.arange(11, -1, -1)
    series = [
        weekly_series(f"topic {i}", weeks, values=rng.normal(0.1, 0.1, 12), evidence=rng.integers(20, 200, 12))
        for i in range(n_series)
    ]
    begin = time.perf_counter()
    results = forecast_many(series, settings, processes=processes)
    seconds = time.perf_counter() - begin
    made = sum(result.method == "prophet" for result in results)
    each_ms = 1000 * seconds / n_series
    return f"{made:>11,} by Prophet in {processes} processes  {seconds:6.1f} s  ({each_ms:.0f} ms each)"


def expectations(n_users: int) -> str:
    """Expected value and anomaly of every student and week."""
    from seedtest_analytics.stats.forecasts.expectation import expect_students

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
        name: rng.normal(rng.permutation([0.5, 2.0, 3.5, 5.0])[kind], 0.5).clip(0) for name in CONTRACT_FEATURES
    }
    begin = time.perf_counter()
    result = segment_students(features)
    return f"{n_users:>11,} students  {time.perf_counter() - begin:6.1f} s  ({result.method}, k = {result.count.k})"


def published_logs(shared: Path) -> dict[str, tuple[ActivityLog, int]]:
    """Activity of the public data sets, and the horizon in days that suits each (OULAD's tasks are a month
    apart).
    """
    import pandas as pd

    from benchmarks._landmarks import activity_log

    logs = {}
    for name in ("assist17_small", "ednet_main"):
        rows = pd.read_parquet(shared / f"data/attempts_{name}.parquet")
        starts = rows.groupby(["user_id", "session_id"]).completed_at.min().reset_index()
        user, users = pd.factorize(starts.user_id)
        days = (starts.completed_at - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(days=1)
        logs[name] = activity_log(user, days, n_users=len(users)), 14
    tasks = pd.read_parquet(shared / "data/churn/oulad_assessment_submissions.parquet")
    tasks = tasks[(tasks.date_submitted >= 0) & ~tasks.is_banked]
    key = tasks.code_module + tasks.code_presentation + tasks.id_student.astype(str)
    user, users = pd.factorize(key)
    logs["oulad"] = activity_log(user, tasks.date_submitted, n_users=len(users)), 28
    return logs


def walk_forward(log: ActivityLog, horizon: int, *, n_landmarks: int = 12) -> str:
    """Refit at each of the landmarks on what was known then, score what followed.

    ``model`` is as the graph fits it, ``definition`` with the covariates of the metric definition alone (a log of
    activity has no A_t, E_t and R_t), ``heuristic`` the contract's.
    """
    from benchmarks._landmarks import landmark_panel
    from seedtest_analytics.stats.survival.churn import HEURISTIC_COVARIATES, ChurnModel, ChurnSettings
    from seedtest_analytics.stats.survival.churn_fit import fit_churn
    from seedtest_analytics.stats.verification.probabilities import score_probabilities

    first, last = np.quantile(log.start_days, [0.3, 0.95])
    models = {
        "model": ChurnSettings(horizon_days=horizon, forward_landmarks=1),
        "definition": ChurnSettings(horizon_days=horizon, forward_landmarks=1, covariates=HEURISTIC_COVARIATES),
    }
    parts = []
    for as_of in np.unique(np.linspace(first, last - horizon, n_landmarks).astype(int)):
        past = landmark_panel(log, as_of - 7 * np.arange(1, 27), data_end_day=int(as_of), max_silence_days=90)
        now = landmark_panel(log, [as_of], data_end_day=int(as_of) + horizon, max_silence_days=90)
        silent = now.outcome_at(horizon)[1]
        judged, before = past.outcome_at(horizon)
        base = before[judged].mean() if judged.any() else 0.5
        risks = [fit_churn(past, settings).predict_silence(now.covariates)[0] for settings in models.values()]
        heuristic = ChurnModel("heuristic", horizon, follow_up_days=horizon).predict_silence(now.covariates)[0]
        parts.append((now.user, silent, np.full(len(silent), base), *risks, heuristic))
    user, silent, base, *predictions = (np.concatenate(column) for column in zip(*parts, strict=True))
    lines = []
    for name, predicted in zip((*models, "heuristic"), predictions, strict=True):
        s = score_probabilities(predicted, silent, baseline=base, clusters=user)
        lines.append(
            f"  {name:<10} n {s.n:>7,}  silent {s.observed_share:.3f}  predicted {s.predicted_share:.3f}  "
            f"Brier {s.brier:.4f}  skill {s.brier_skill:+.3f}  log skill {s.log_skill:+.3f}  "
            f"slope {s.calibration_slope:.2f} ({s.calibration_slope_se:.2f})  ICI {s.ici:.3f}  AUC {s.auc:.3f}"
        )
    return "\n".join(lines)


def anomaly_rates(history: int, n_series: int = 60) -> str:
    """False alarms and recall in the week after ``history`` quiet weeks, at the threshold 2.5."""
    from seedtest_analytics.stats.forecasts.forecast import forecast_series
    from seedtest_analytics.stats.forecasts.series import ForecastSettings, weekly_series

    weeks = np.datetime64("2024-01-01") + 7 * np.arange(history + 1)
    rates = {}
    for shock in (0, 4, 8):
        scores = []
        for seed in range(n_series):
            rng = np.random.default_rng(seed)
            evidence = rng.integers(30, 120, history + 1).astype(float)
            noise = 0.5 / np.sqrt(evidence)
            values = 0.1 + rng.normal(size=history + 1) * noise
            values[-1] += shock * noise[-1]
            series = weekly_series("planted", weeks, values=values, evidence=evidence)
            scores.append(forecast_series(series, ForecastSettings(scored_weeks=1)).anomaly_score[-1])
        rates[shock] = float((np.abs(scores) >= 2.5).mean())
    return f"  {history:>3} weeks  false alarms {rates[0]:.3f}  recall of 4 SD {rates[4]:.2f}  of 8 SD {rates[8]:.2f}"


def study() -> None:
    shared = Path(__file__).resolve().parents[2] / "shared"
    print(
        "Predicted pauses, refitted at 12 landmarks on the data of that day; skill against the earlier share of pauses"
    )
    for name, (log, horizon) in published_logs(shared).items():
        print(f"{name}, {horizon} days\n{walk_forward(log, horizon)}", flush=True)
    print("Planted anomalies, 60 series each")
    for history in (8, 12, 26):
        print(anomaly_rates(history), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes or less")
    parser.add_argument(
        "--only", choices=["churn", "graph", "prophet", "prophet_all_weeks", "expectations", "segments"]
    )
    parser.add_argument("--study", action="store_true", help="print quality instead of speed")
    chosen = parser.parse_args()
    if chosen.study:
        study()
        return
    users = (10_000, 100_000) if chosen.quick else (10_000, 100_000, 1_000_000)
    if chosen.only in (None, "graph"):
        from benchmarks import risk_graph

        risk_graph.main(users[:1] if chosen.quick else users)
    sizes = {
        churn: users,
        prophet: (20,) if chosen.quick else (1_000,),
        prophet_all_weeks: (20,) if chosen.quick else (200,),
        expectations: (100_000,) if chosen.quick else (1_000_000,),
        segments: users,
    }
    if chosen.only != "graph":
        print(machine())
    for work, cases in sizes.items():
        for size in cases if chosen.only in (None, work.__name__) else ():
            run = in_own_process(work, size)
            print(f"{work.__name__:<13}{size:>10,}  {run.result}  peak {run.megabytes / 1024:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
