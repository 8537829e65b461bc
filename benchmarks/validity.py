"""Validity of theta, the next answer, P, S and growth, forward in time: the tables of docs/validity.md.

    python -m benchmarks.validity [--logs ASSISTments,EdNet] [--data FOLDER] [--cohorts 1] [--resamples 200] [--most 100]

Each number is predicted at landmarks from earlier answers alone and compared with what followed. `do nothing` is what is
known without a model; `cheating` has seen what it predicts, so it bounds what the outcome allows. Intervals are 2.5 and
97.5 % of resamples of students.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from benchmarks._landmarks import ActivityLog, activity_log, landmark_panel
from benchmarks._measure import machine
from benchmarks._next_answer import FILES, SHARED, forward_in_time
from benchmarks._sessions import simulated_sessions
from benchmarks.ability import Cohort, cohort
from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.filtering import gather_evidence, run_filter
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.goals import goal_path
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import fit_effects, learn_next
from seedtest_analytics.stats.ability.smoothing import LevelWeeks, smooth
from seedtest_analytics.stats.survival.churn import ChurnSettings
from seedtest_analytics.stats.survival.churn_fit import fit_churn
from seedtest_analytics.stats.verification.measured import probability_of_measured
from seedtest_analytics.stats.verification.next_answer import item_mean
from seedtest_analytics.stats.verification.probabilities import auc
from seedtest_analytics.stats.verification.recalibration import decide, published
from seedtest_analytics.stats.verification.verdict_words import WITHHELD

Floats = NDArray[np.float64]
AHEAD, WINDOW, RECENT = 28.0, 14.0, 28.0
"""Days: horizon of P and growth, window of the measurement after it, longest silence of a judged student."""
FEWEST = 20
"""Students, of fewer than which nothing is said."""
SEED = 20_261_129


@dataclass(frozen=True)
class Judged:
    """Predictions by row of the table, outcomes and students, all (n,)."""

    said: Mapping[str, Floats]
    seen: Floats
    student: NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", default="ASSISTments,EdNet")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the published logs")
    parser.add_argument("--cohorts", type=int, default=1, help="simulated cohorts")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--most", type=int, default=100, help="first answers of each student that count")
    arguments = parser.parse_args()
    started = time.perf_counter()
    print(f"{machine()}\n")
    for name in filter(None, arguments.logs.split(",")):
        answers = _first(forward_in_time(name, arguments.data).answers, arguments.most)
        print(f"## {name}\n\n{len(answers):,} answers of {len(np.unique(answers.student)):,} students.\n")
        _print_all(answers, _activity(arguments.data / FILES[name]), resamples=arguments.resamples)
    for k in range(arguments.cohorts):
        made = cohort(SEED + k, n_students=300, n_items=400, n_topics=8, weeks=24, per_week=10.0)
        print(f"## Simulated cohort {k + 1}\n\nSeed {SEED + k}; 300 students, 24 weeks, true levels known.\n")
        _print_all(made.answers, _simulated_activity(SEED + k), resamples=arguments.resamples, truth=made)
    print(f"Run time: {time.perf_counter() - started:.0f} s.")


def _first(answers: Answers, most: int) -> Answers:
    return answers.take(pd.Series(answers.student).groupby(answers.student).cumcount().to_numpy() < most)


def _activity(path: Path) -> ActivityLog:
    rows = pd.read_parquet(path, columns=["user_id", "session_id", "completed_at"])
    starts = rows.groupby(["user_id", "session_id"]).completed_at.min().reset_index()
    user, users = pd.factorize(starts.user_id)
    days = (starts.completed_at - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(days=1)
    return activity_log(user, days, n_users=len(users))


def _simulated_activity(seed: int) -> ActivityLog:
    return activity_log(*simulated_sessions(600, seed), n_users=600)


def _print_all(answers: Answers, log: ActivityLog, *, resamples: int, truth: Cohort | None = None) -> None:
    parts = {**_abilities(answers, truth), "S": _silence(log)}
    print("| number | row | n | students | error | AUC or correlation |\n|---|---|---|---|---|---|")
    for number, judged in parts.items():
        n_judged = len(np.unique(judged.student))
        if n_judged < FEWEST:
            print(f"| {number} | too few to judge | {len(judged.seen):,} | {n_judged:,} | – | – |", flush=True)
            continue
        for row, said in judged.said.items():
            error = _interval(judged, (said - judged.seen) ** 2, resamples=resamples)
            rank = _rank_interval(judged, said, resamples=resamples)
            print(f"| {number} | {row} | {len(said):,} | {n_judged:,} | {error} | {rank} |", flush=True)
    print()


def _resamples(judged: Judged, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Rows of students drawn with replacement."""
    random = np.random.default_rng(SEED)
    order = np.argsort(judged.student, kind="stable")
    _, first, count = np.unique(judged.student[order], return_index=True, return_counts=True)
    for _ in range(resamples):
        drawn = random.integers(0, len(first), len(first))
        starts, sizes = first[drawn], count[drawn]
        offset = np.repeat(starts - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        yield order[offset + np.arange(sizes.sum())]


def _interval(judged: Judged, losses: Floats, *, resamples: int) -> str:
    _, student = np.unique(judged.student, return_inverse=True)
    total, count = np.bincount(student, weights=losses), np.bincount(student)
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(total), (resamples, len(total)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{losses.mean():.4f} [{low:.4f}, {high:.4f}]"


def _rank_interval(judged: Judged, said: Floats, *, resamples: int) -> str:
    if np.ptp(said) < 1e-12:
        return "–"
    rows = np.arange(len(said))
    found = [_rank(said[drawn], judged.seen[drawn]) for drawn in _resamples(judged, min(resamples, 100))]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return f"{_rank(said[rows], judged.seen[rows]):.3f} [{low:.3f}, {high:.3f}]"


def _rank(said: Floats, seen: Floats) -> float:
    """AUC of outcomes of 0 and 1, else the correlation."""
    if np.isin(seen, (0.0, 1.0)).all():
        return auc(said, seen)[0]
    return float(np.corrcoef(said, seen)[0, 1])


def _abilities(answers: Answers, truth: Cohort | None) -> dict[str, Judged]:
    half = answers.day < np.quantile(answers.day, 0.5)
    fit = fit_hyperparameters(answers.take(half)).hyperparameters
    ends = np.quantile(answers.day, [0.5, 0.6, 0.7, 0.8])
    everything = gather_evidence(answers, fit)
    days = np.unique(np.concatenate([ends, ends + AHEAD, [float(answers.day[-1]) + 1.0]]))
    later = smooth(everything, days).levels
    found: dict[str, list[Judged]] = {}
    for day in ends.tolist():
        position = int(np.searchsorted(days, day)), int(np.searchsorted(days, day + AHEAD))
        for name, judged in _at(answers, fit, day=day, later=later, position=position, truth=truth).items():
            found.setdefault(name, []).append(judged)
    return {name: _joined(parts) for name, parts in found.items()}


def _joined(parts: list[Judged]) -> Judged:
    said = {row: np.concatenate([part.said[row] for part in parts]) for row in parts[0].said}
    return Judged(said, *(np.concatenate([getattr(p, name) for p in parts]) for name in ("seen", "student")))


def _at(
    answers: Answers,
    fit: Hyperparameters,
    *,
    day: float,
    later: LevelWeeks,
    position: tuple[int, int],
    truth: Cohort | None,
) -> dict[str, Judged]:
    """Predictions at one landmark."""
    past = answers.take(answers.day < day)
    known = gather_evidence(past, fit)
    difficulty, error = known.difficulties()
    items = KnownItems.of(np.ones(len(difficulty)), difficulty, se_b=error)
    levels = smooth(known, [day]).levels
    is_judged = levels.silent_days <= RECENT
    student, level, se = levels.student[is_judged], levels.level[is_judged], levels.level_se[is_judged]
    now, then = (_by_student(later, k) for k in position)
    found = {"next answer": _next_answers(answers, fit, day=day, now=now)}
    found["theta"] = _theta(answers, day, student=student, level=level, se=se, now=now, difficulty=difficulty)
    path = goal_path(levels, fit, days_ahead=AHEAD, target=float(np.median(level)))
    if truth is None:
        measured, noise = _measured(answers, day + AHEAD, items=items, n_students=int(answers.student.max()) + 1)
    else:
        origin = float(truth.level[:, 0].mean())
        measured = truth.level[:, min(int(day + AHEAD), truth.level.shape[1] - 1)] - origin
        noise = np.zeros(len(measured))
        start = truth.level[:, int(day)] - origin
        found["theta"] = _true_theta(student, level=level, start=start, now=now)
    is_known = np.isfinite(measured[student]) & np.isfinite(then[student])
    who = student[is_known]
    mean, spread = path.level[is_judged][is_known], path.se[is_judged][is_known]
    target, seen = float(np.median(level)), measured[who]
    happened = (seen >= target).astype(np.float64)
    said = {
        "do nothing": np.full(len(who), float((level >= target).mean())),
        "P": probability_of_measured(ndtr((mean - target) / spread), spread, error_sd=noise[who]),
        "cheating": ndtr((then[who] - target) / np.hypot(0.1, noise[who])),
    }
    found["P"] = Judged(said, happened, who)
    today = level[is_known] if truth is None else start[who]
    growth = {"do nothing": np.zeros(len(who)), "growth": mean - level[is_known], "cheating": then[who] - now[who]}
    found["growth"] = Judged(growth, seen - today, who)
    return found


def _by_student(levels: LevelWeeks, position: int) -> Floats:
    """Level by student code, NaN where there is none."""
    out = np.full(int(levels.student.max()) + 1, np.nan)
    here = levels.week == position
    out[levels.student[here]] = levels.level[here]
    return out


def _next_answers(answers: Answers, fit: Hyperparameters, *, day: float, now: Floats) -> Judged:
    end = int(np.searchsorted(answers.day, day + AHEAD))
    seen, training = answers.take(slice(0, end)), answers.day[:end] < day
    filtered = run_filter(seen, fit)
    effects = fit_effects(run_filter(seen.take(training), fit))
    nothing = item_mean(seen, training)
    difficulty = filtered.state.difficulties()[0]
    ability = {"ability": filtered.probability, "ability and history": learn_next(filtered, effects).probability}
    cheating = expit(now[seen.student] - difficulty[seen.item])
    said = {"do nothing": nothing, **ability, "cheating": np.nan_to_num(cheating, nan=0.5)}
    test = ~training
    return Judged({row: p[test] for row, p in said.items()}, seen.correct[test].astype(float), seen.student[test])


def _theta(
    answers: Answers, day: float, *, student: NDArray[Any], level: Floats, se: Floats, now: Floats, difficulty: Floats
) -> Judged:
    """The share right of the next seven days by student, from levels of the landmark and the items' difficulties."""
    rows = (answers.day >= day) & (answers.day < day + 7.0)
    own = np.full(int(answers.student.max()) + 1, np.nan)
    error = np.zeros_like(own)
    own[student], error[student] = level, se
    who, item = answers.student[rows], answers.item[rows]
    flat = np.sqrt(1.0 + np.pi * error[who] ** 2 / 8.0)
    mean = float(np.nanmean(own))
    b = np.where(item < len(difficulty), difficulty[np.minimum(item, len(difficulty) - 1)], 0.0)
    frame = pd.DataFrame(
        {
            "student": who,
            "seen": answers.correct[rows].astype(float),
            "do nothing": expit(mean - b),
            "theta": expit((own[who] - b) / flat),
            "cheating": expit(now[who] - b),
        }
    ).dropna()
    by_student = frame.groupby("student").mean()
    said = {row: by_student[row].to_numpy() for row in ("do nothing", "theta", "cheating")}
    return Judged(said, by_student["seen"].to_numpy(), by_student.index.to_numpy())


def _true_theta(student: NDArray[Any], *, level: Floats, start: Floats, now: Floats) -> Judged:
    is_known = np.isfinite(now[student])
    who = student[is_known]
    said = {"do nothing": np.full(len(who), level.mean()), "theta": level[is_known], "cheating": now[who]}
    return Judged(said, start[who], who)


def _measured(answers: Answers, day: float, *, items: KnownItems, n_students: int) -> tuple[Floats, Floats]:
    """Ability of the answers of two weeks alone, freed of its prior, and its error; NaN below a reliability of 0.2."""
    rows = (answers.day >= day) & (answers.day < day + WINDOW) & (answers.item < len(items))
    out, noise = np.full(n_students, np.nan), np.full(n_students, np.nan)
    if not rows.any():
        return out, noise
    prior = Hyperparameters(level_walk=0.0, topic_spread=0.0, topic_walk=0.0, item_walk=0.0)
    window = answers.take(rows)
    levels = smooth(gather_evidence(window, prior, items=items), [day + WINDOW]).levels
    reliability = 1.0 - levels.level_se**2 / prior.level_variance
    good = reliability >= 0.2
    out[levels.student[good]] = levels.level[good] / reliability[good]
    noise[levels.student[good]] = levels.level_se[good] / np.sqrt(reliability[good])
    return out, noise


def _silence(log: ActivityLog, horizon: int = 14) -> Judged:
    """S of nine landmarks; those whose outcomes are known decide how the later ones are published."""
    first, last = np.quantile(log.start_days, [0.3, 0.95])
    parts: list[Judged] = []
    past: dict[str, list[Floats]] = {"p": [], "y": [], "week": []}
    for as_of in np.unique(np.linspace(first, last - horizon, 9).astype(int)).tolist():
        panel = landmark_panel(log, as_of - 7 * np.arange(1, 27), data_end_day=as_of, max_silence_days=90)
        now = landmark_panel(log, [as_of], data_end_day=as_of + horizon, max_silence_days=90)
        silent = now.outcome_at(horizon)[1].astype(float)
        judged, before = panel.outcome_at(horizon)
        share = float(before[judged].mean()) if judged.any() else 0.5
        model = fit_churn(panel, ChurnSettings(horizon_days=horizon, forward_landmarks=1))
        risk, lower, upper = model.predict_silence(now.covariates)
        columns = [np.concatenate(past[name]) if past[name] else np.zeros(0) for name in ("p", "y", "week")]
        decision = decide(columns[0], columns[1], week=columns[2], overlap=horizon / 7)
        shown = published(decision, risk, lower=lower, upper=upper)[0]
        shown = np.full(len(risk), decision.base[0]) if decision.verdict == WITHHELD else shown
        said = {
            "do nothing": np.full(len(risk), share),
            "S": risk,
            "S, as published": shown,
            "cheating": (now.duration_days > 7).astype(float),
        }
        parts.append(Judged(said, silent, now.user.astype(np.int64)))
        for name, values in (("p", risk), ("y", silent), ("week", np.full(len(risk), as_of // 7, float))):
            past[name].append(np.asarray(values, np.float64))
    return _joined(parts)


if __name__ == "__main__":
    main()
