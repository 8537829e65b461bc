"""Do the advised topics go wrong afterwards? The rules by the next answer and by the share right, forward in time.

    python -m benchmarks.advice [--logs ASSISTments,EdNet] [--data FOLDER] [--cohorts 3] [--resamples 500]

At four landmarks in the second half of a log the rules of the reports read the answers until then. Success afterwards is
the share right of the student's answers in the 28 days that follow, in the advised topics and in the student's others.
Hyperparameters come from the first half. Intervals are 2.5 and 97.5 % of resamples of students.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks._judged import cell
from benchmarks._measure import machine
from benchmarks._next_answer import FILES, SHARED, forward_in_time
from benchmarks.ability import cohort
from seedtest_analytics.reporting.summary import Tally
from seedtest_analytics.reporting.topic_rules import (
    LOW_SHARE,
    MIN_ANSWERS,
    MIN_TOPIC_ANSWERS,
    TopicTally,
    expected_share,
    is_low,
    weak_topics,
)
from seedtest_analytics.stats.ability.data import Answers
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.smoothing import smooth
from seedtest_analytics.stats.ability.topic_success import next_in_topic
from seedtest_analytics.stats.verification.probabilities import auc
from seedtest_analytics.stats.verification.resampling import Students

Floats = NDArray[np.float64]
BEFORE, AHEAD = 28.0, 28.0
SEED = 20_261_201
RULES = ("share right", "next answer")
ABOUT = """## Advice

The topics that the reports advise are compared with what follows: the share right in the next 28 days, in the advised
topics and in the student's other topics. *Next answer* is the present rule, *share right* the one for static abilities
([report](report.md#what-the-advice-depends-on)).
*Weakest* is the topic that either ranks last, whether it is advised or not.
The second table is the rule `low_accuracy`, which says that a student needs help.
`python -m benchmarks.advice` prints this part alone.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", default="ASSISTments,EdNet")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the published logs")
    parser.add_argument("--cohorts", type=int, default=3, help="simulated cohorts, in one table")
    parser.add_argument("--resamples", type=int, default=500)
    arguments = parser.parse_args()
    started = time.perf_counter()
    print_advice(arguments.logs.split(","), arguments.data, cohorts=arguments.cohorts, resamples=arguments.resamples)
    print(f"Run time: {time.perf_counter() - started:.0f} s on {machine()}.")


def print_advice(logs: Sequence[str], folder: Path, *, cohorts: int = 3, resamples: int = 500) -> None:
    """Two tables for each log that has dates, and two for all simulated cohorts together."""
    print(ABOUT)
    for name in FILES:
        if name in logs:
            _print(name, list(_advised(forward_in_time(name, folder).answers)), resamples=resamples)
    made = (cohort(SEED + k, n_students=400, n_items=400, n_topics=8, weeks=24, per_week=10.0) for k in range(cohorts))
    frames = [
        frame.assign(student=frame.student + 10_000 * k) for k, c in enumerate(made) for frame in _advised(c.answers)
    ]
    if frames:
        _print(f"{cohorts} simulated cohorts of 400 students, seed {SEED}", frames, resamples=resamples)


def _advised(answers: Answers) -> Iterator[pd.DataFrame]:
    """A row for each landmark, student and topic, with what the rules say and what follows."""
    half = answers.day < np.quantile(answers.day, 0.5)
    fit = fit_hyperparameters(answers.take(half)).hyperparameters
    for day in np.quantile(answers.day, [0.5, 0.6, 0.7, 0.8]).tolist():
        evidence = gather_evidence(answers.take(answers.day < day), fit)
        topics = smooth(evidence, [day], topic_weeks=False).topics
        right = next_in_topic(evidence, topics, day=day, since=day - BEFORE)
        expected = pd.DataFrame({"student": topics.student, "topic": topics.topic, "next": right})
        recent = _counts(answers, day - BEFORE, until=day)
        follows = _counts(answers, day, until=day + AHEAD).rename(columns={"n": "n_after", "right": "right_after"})
        rows = recent.merge(follows, how="left", on=["student", "topic"]).fillna({"n_after": 0, "right_after": 0})
        rows = rows.merge(expected, how="left", on=["student", "topic"])
        parts = [_said(own) for _, own in rows.groupby("student", sort=True)]
        yield pd.concat(parts, ignore_index=True)


def _counts(answers: Answers, start: float, *, until: float) -> pd.DataFrame:
    rows = answers.take((answers.day >= start) & (answers.day < until))
    frame = pd.DataFrame({"student": rows.student, "topic": rows.topic, "right": rows.correct})
    return frame.groupby(["student", "topic"]).right.agg(["size", "sum"]).set_axis(["n", "right"], axis=1).reset_index()


def _said(own: pd.DataFrame) -> pd.DataFrame:
    """One student at one landmark: the weak topics and the weakest one by either rule, and whether success is low."""
    by_next = [
        TopicTally(str(int(topic)), int(n), correct=int(right), next_right=None if np.isnan(p) else float(p))
        for topic, n, right, p in own[["topic", "n", "right", "next"]].to_numpy(dtype=float)
    ]
    total = Tally.sum(t.tally for t in by_next)
    said = own.copy()
    for rule, topics in zip(RULES, ([replace(t, next_right=None) for t in by_next], by_next), strict=True):
        weak = {w.topic.topic_id for w in weak_topics(topics)}
        enough = [t for t in topics if t.answers >= MIN_TOPIC_ANSWERS]
        level = {t.topic_id: t.next_right if t.next_right is not None else t.tally.share or 0.0 for t in enough}
        weakest = min(level, key=lambda name: level[name]) if len(level) > 1 else ""
        said[rule] = [str(topic) in weak for topic in own.topic]
        said[f"weakest by {rule}"] = [str(topic) == weakest for topic in own.topic]
        said[f"low by {rule}"] = is_low(topics, total)
    expected = expected_share(by_next)
    said["share"], said["expected"] = total.share, np.nan if expected is None else expected
    said["answers"] = total.attempts
    return said


def _print(name: str, frames: list[pd.DataFrame], *, resamples: int) -> None:
    found = pd.concat([frame.assign(landmark=k) for k, frame in enumerate(frames)], ignore_index=True)
    print(f"### {name}\n\n| advised | topics | students | right afterwards | in the other topics | difference |")
    print("|---|---|---|---|---|---|")
    for rule in (*RULES, *(f"weakest by {rule}" for rule in RULES)):
        _print_topics(found, rule, resamples=resamples)
    print(
        "\n| help by | told | right afterwards, told | not told | AUC for at most 45 % right afterwards |\n|---|---|---|---|---|"
    )
    students = found.groupby(["landmark", "student"])
    after = students[["n_after", "right_after"]].sum()
    first = students[["low by share right", "low by next answer", "share", "expected", "answers"]].first()
    judged = after.join(first)
    judged = judged[(judged.n_after >= MIN_ANSWERS) & (judged.answers >= MIN_ANSWERS) & judged.expected.notna()]
    share = judged.right_after / judged.n_after
    for rule, column in zip(RULES, ("share", "expected"), strict=True):
        told = judged[f"low by {rule}"].astype(bool)
        rank = auc(-judged[column].to_numpy(), (share <= LOW_SHARE).to_numpy().astype(int))[0]
        counts = f"{int(told.sum()):,} of {len(told):,}"
        print(f"| {rule} | {counts} | {share[told].mean():.3f} | {share[~told].mean():.3f} | {rank:.3f} |")
    print(flush=True)


def _print_topics(found: pd.DataFrame, rule: str, *, resamples: int) -> None:
    """Success in the advised topics and in the others of the same students at the same landmark."""
    key = ["landmark", "student"]
    sums = found.assign(advised=found[rule].astype(bool)).groupby([*key, "advised"])[["n_after", "right_after"]].sum()
    wide = sums.unstack("advised", fill_value=0)
    if (("n_after", True)) not in wide.columns:
        print(f"| {rule} | 0 | 0 | – | – | – |")
        return
    wide = wide[(wide["n_after", True] > 0) & (wide["n_after", False] > 0)]
    here, there = (wide["right_after", side] / wide["n_after", side] for side in (True, False))
    students = Students.of(wide.index.get_level_values("student"))
    measure = students.mean_of((here - there).to_numpy())
    (found_difference,) = students.intervals([measure], resamples=resamples, seed=SEED)
    n_topics = int(found.loc[found[rule].astype(bool) & (found.n_after > 0)].shape[0])
    print(
        f"| {rule} | {n_topics:,} | {students.n_students:,} | {here.mean():.3f} | {there.mean():.3f} | "
        f"{cell(found_difference, '+.3f')} |"
    )


if __name__ == "__main__":
    main()
