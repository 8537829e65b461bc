"""Prints docs/validity.md: validity of theta, the next answer, P, S, growth and advice, forward in time.

    python -m benchmarks.validity > docs/validity.md
    python -m benchmarks.validity [--logs ASSISTments,EdNet,Statics] [--data FOLDER] [--cohorts 2] [--resamples 200] [--most 100]

Each number is predicted at landmarks from earlier answers alone and compared with what followed. `do nothing` is what is
known without a model; `cheating` has seen what it predicts, so it bounds what the outcome allows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from benchmarks._bayesian_p import bayesian_p
from benchmarks._judged import Judged, joined, print_table
from benchmarks._landmarks import ActivityLog, activity_log, landmark_panel
from benchmarks._measure import machine
from benchmarks._next_answer import FILES, SHARED, forward_in_time, statics
from benchmarks._sessions import simulated_sessions
from benchmarks.ability import Cohort, cohort, first_week_mean
from benchmarks.advice import print_advice
from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.filtering import gather_evidence, run_filter
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.goals import goal_path
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import fit_next
from seedtest_analytics.stats.ability.smoothing import LevelWeeks, smooth
from seedtest_analytics.stats.survival.churn import ChurnSettings
from seedtest_analytics.stats.survival.churn_fit import fit_churn
from seedtest_analytics.stats.verification.measured import probability_of_measured
from seedtest_analytics.stats.verification.next_answer import item_mean
from seedtest_analytics.stats.verification.recalibration import decide, published
from seedtest_analytics.stats.verification.verdict_words import WITHHELD

Floats = NDArray[np.float64]
AHEAD, WINDOW, RECENT = 28.0, 14.0, 28.0
"""Days: horizon of P and growth, window of the measurement after it, longest silence of a judged student."""
SEED = 20_261_129


ABOUT = """# Validity

How well theta, the next answer, P, S and growth predict what follows, forward in time.
One command prints this page:

```
python -m benchmarks.validity > docs/validity.md
```

Published logs are read from `shared/data` beside the checkout, or from `--data`. `--cohorts` simulated cohorts follow.
Of each student of ASSISTments and EdNet the first `--most` answers count.

## What is compared

Every number is predicted at four landmarks in the second half of a log, from earlier answers alone.
Hyperparameters are learned from the first half. S has nine landmarks, and its model is fitted again at each.

| number | outcome | do nothing | cheating |
|---|---|---|---|
| next answer | each answer of the next 28 days | the item's share right | the level that knows all answers |
| theta | the share right in the next seven days | the items' difficulty alone | the level that knows all answers |
| P | the ability 28 to 42 days later is at today's median | the share that is there today | P from the later level |
| S | no session in the next 14 days | the share of earlier landmarks | the first seven of these days |
| growth | the ability 28 to 42 days later less that of today | nobody changes | the change of the later level |

* *Do nothing* is what is known without a model.
  *Cheating* has seen what it predicts.
  Its level is not the best guess of an answer: it knows no topic and no history.
* P, growth and theta are judged for students with an answer in the last 28 days and a measurement.
* *P, Bayesian* is the growth model on weekly abilities, fitted at each landmark by the quick look with the contract's
  priors and the look-back of the platform. A student who is not in that fit has *P, Normal*, as on the platform.
* The outcome of theta, P and growth in a simulated cohort is the true level. There *do nothing* for theta is the
  cohort's mean.
* `S, as published` is decided by earlier landmarks ([backtest](backtest.md#what-outcomes-decide)). Where a risk is
  withheld, its row counts the share of all.
* The error is the Brier score of P, S and the next answer, and the mean squared error of theta and growth.
* Brackets hold 95 % of resamples of students.
* Statics has the order of its answers and no dates, so its next answer alone is judged, on the published split by
  student.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", default="ASSISTments,EdNet,Statics")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the published logs")
    parser.add_argument("--cohorts", type=int, default=2, help="simulated cohorts")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--most", type=int, default=100, help="first answers of each student that count")
    arguments = parser.parse_args()
    started = time.process_time()
    print(ABOUT)
    for name in filter(None, arguments.logs.split(",")):
        parts: dict[str, Judged] = {}
        if name == "Statics":
            answers, parts["next answer"] = _by_student_split(arguments.data)
        else:
            answers = _first(forward_in_time(name, arguments.data).answers, arguments.most)
            parts = {**_abilities(answers, None), "S": _silence(_activity(arguments.data / FILES[name]))}
        print(f"## {name}\n\n{len(answers):,} answers of {len(np.unique(answers.student)):,} students.\n")
        print_table(parts, resamples=arguments.resamples, seed=SEED)
    for seed in range(SEED, SEED + arguments.cohorts):
        made = cohort(seed, n_students=300, n_items=400, n_topics=8, weeks=24, per_week=10.0)
        print(
            f"## Simulated cohort, seed {seed}\n\n300 students, 24 weeks, true levels known. S has 600 other students.\n"
        )
        parts = {**_abilities(made.answers, made), "S": _silence(_simulated_activity(seed))}
        print_table(parts, resamples=arguments.resamples, seed=SEED)
    print_advice(arguments.logs.split(","), arguments.data)
    print(f"This page took {time.process_time() - started:.0f} s of processor time on {machine()}.")


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
    return {name: joined(parts) for name, parts in found.items()}


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
    difficulty, se_b = known.difficulties()
    items = KnownItems.of(np.ones(len(difficulty)), difficulty, se_b=se_b)
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
        origin = first_week_mean(truth)
        measured = truth.level[:, min(int(day + AHEAD), truth.level.shape[1] - 1)] - origin
        noise = np.zeros(len(measured))
        start = truth.level[:, int(day)] - origin
        found["theta"] = _true_theta(student, level=level, start=start, now=now)
    is_known = np.isfinite(measured[student]) & np.isfinite(then[student])
    who = student[is_known]
    mean, spread = path.level[is_judged][is_known], path.se[is_judged][is_known]
    target, seen = float(np.median(level)), measured[who]
    happened = (seen >= target).astype(np.float64)
    normal = ndtr((mean - target) / spread)
    fitted, error = bayesian_p(past, levels, difficulty=difficulty, day=day, days_ahead=AHEAD, target=target)
    is_fitted = np.isfinite(fitted[who])
    bayesian = np.where(is_fitted, fitted[who], normal), np.where(is_fitted, error[who], spread)
    said = {
        "do nothing": np.full(len(who), float((level >= target).mean())),
        "P, Normal": probability_of_measured(normal, spread, error_sd=noise[who]),
        "P, Bayesian": probability_of_measured(*bayesian, error_sd=noise[who]),
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
    following = fit_next(seen.take(training), fit)
    nothing = item_mean(seen, training)
    difficulty = gather_evidence(seen, fit).difficulties()[0]
    ability = {"ability": filtered.probability, "ability and history": following.learn(seen).probability}
    cheating = expit(now[seen.student] - difficulty[seen.item])
    said = {"do nothing": nothing, **ability, "cheating": np.nan_to_num(cheating, nan=0.5)}
    test = ~training
    return Judged({row: p[test] for row, p in said.items()}, seen.correct[test].astype(float), seen.student[test])


def _by_student_split(folder: Path) -> tuple[Answers, Judged]:
    """The next answer of Statics' test students, whose answers come after those of the others."""
    log = statics(folder)
    fit = fit_hyperparameters(log.answers.take(~log.is_test), with_slope=False).hyperparameters
    end = float(log.answers.day[-1]) + 1.0
    now = _by_student(smooth(gather_evidence(log.answers, fit), [end]).levels, 0)
    first = float(log.answers.day[log.is_test][0])
    return log.answers, _next_answers(log.answers, fit, day=first, now=now)


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
    b = np.where(item < len(difficulty), difficulty[np.minimum(item, len(difficulty) - 1)], difficulty.mean())
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
    return joined(parts)


if __name__ == "__main__":
    main()
