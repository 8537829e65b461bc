"""Ability over time: the next answer on published logs, coverage on simulated cohorts, and speed.

    python -m benchmarks.ability [--quick] [--parts PART,…] [--logs ASSISTments,EdNet,Statics] [--data FOLDER]

Parts: next-answer, new-students, coverage, speed.

The logs are read from `shared/data` beside the checkout. Hyperparameters, effects and peers are estimated on the
training part. Elo and the filter go on learning in the test part; item mean, PFA and Best-LR are frozen, as published.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._measure import machine
from benchmarks._next_answer import FILES, SHARED, Log, forward_in_time, statics
from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.filtering import gather_evidence, run_filter
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.next_answer import fit_next, learn_next
from seedtest_analytics.stats.ability.smoothing import change_between, smooth
from seedtest_analytics.stats.ability.walk import split_by_student
from seedtest_analytics.stats.verification.next_answer import PEERS, mixture
from seedtest_analytics.stats.verification.probabilities import score_probabilities

Floats = NDArray[np.float64]
BLOCK = 50_000
"""Students that are smoothed at once."""
RATE_LIMIT = 2.0
"""Million answers a second and core that filter and smoother are to reach."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cohorts, one log")
    parser.add_argument("--parts", default="next-answer,new-students,coverage,speed")
    parser.add_argument("--logs", default="ASSISTments,EdNet,Statics")
    parser.add_argument("--students", type=int, default=1_000_000, help="students of the part speed")
    parser.add_argument("--no-fit", action="store_true", help="the part speed without hyperparameters")
    parser.add_argument("--no-next", action="store_true", help="the part speed without the next answer with history")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the published logs")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    print(machine())
    if "next-answer" in parts:
        for name in ["ASSISTments"] if arguments.quick else arguments.logs.split(","):
            folder = arguments.data
            next_answer(statics(folder) if name == "Statics" else forward_in_time(name, folder))
    if "new-students" in parts:
        for name in ["ASSISTments"] if arguments.quick else arguments.logs.split(","):
            if name in FILES:
                new_students(forward_in_time(name, arguments.data))
    if "coverage" in parts:
        coverage(1 if arguments.quick else 5)
    if "speed" in parts:
        n_students = 20_000 if arguments.quick else arguments.students
        speed(n_students, is_fitted=not arguments.no_fit, with_next=not arguments.no_next)


def next_answer(log: Log) -> None:
    """Print one row of scores per method."""
    answers, test = log.answers, log.is_test
    print(f"\n{log.name}: {len(answers)} answers, {int(test.sum())} for testing")
    print("| method | AUC | SE | log loss | Brier | calibration slope |\n|---|---|---|---|---|---|")
    for name, peer in PEERS.items():
        _row(name, peer(answers, ~test), log)
    started = time.process_time()
    train = answers.take(~test)
    fit = fit_hyperparameters(train, with_slope=log.name in FILES)
    following = fit_next(train, fit.hyperparameters)
    _row("ability alone", run_filter(answers, fit.hyperparameters).probability, log)
    _row("ability and history", following.learn(answers).probability, log)
    print(f"fit and passes: {time.process_time() - started:.1f} s of processor time; {fit.verdict}")
    print({name: float(f"{value:.3g}") for name, value in vars(fit.hyperparameters).items()})
    print(f"the history starts from a form variance of {following.hyperparameters.form_variance:.3g}")
    print({name: (float(f"{e.variance:.3g}"), float(f"{e.walk:.3g}")) for name, e in following.effects.items()})


def new_students(log: Log) -> None:
    """Print scores of each half of the students, predicted by methods fitted to the other half; one table a fold."""
    answers = log.answers
    folds = list(split_by_student(answers, peers=PEERS))
    for fold, other in (folds, folds[::-1]):
        together = {name: np.r_[other.probability[name], fold.probability[name]] for name in fold.probability}
        outcomes = answers.correct[np.r_[other.rows, fold.rows]].astype(np.float64)
        mixed = mixture(together, outcomes, is_training=np.arange(len(outcomes)) < len(other.rows))
        tested = answers.take(fold.rows)
        print(f"\n{log.name}, new students: {len(tested)} answers for testing, the mixture weighted by the other half")
        print("| method | AUC | SE | log loss | Brier | calibration slope |\n|---|---|---|---|---|---|")
        for name, probability in {**fold.probability, "mixture of all": mixed[len(other.rows) :]}.items():
            _scores(name, probability, tested)


def _row(name: str, probability: Floats, log: Log) -> None:
    _scores(name, probability[log.is_test], log.answers.take(log.is_test))


def _scores(name: str, probability: Floats, tested: Answers) -> None:
    score = score_probabilities(probability, tested.correct, clusters=tested.student)
    print(
        f"| {name} | {score.auc:.4f} | {score.auc_se:.4f} | {score.log_score:.4f} | {score.brier:.4f} "
        f"| {score.calibration_slope:.3f} ± {score.calibration_slope_se:.3f} |",
        flush=True,
    )


@dataclass(frozen=True, eq=False)
class Cohort:
    """``level`` (students, days + 1), ``deviation`` (students, topics), ``difficulty`` (items,)."""

    answers: Answers
    level: Floats
    deviation: Floats
    difficulty: Floats


def cohort(
    seed: int, *, n_students: int, n_items: int, n_topics: int, weeks: int, per_week: float, slope: float = 0.003
) -> Cohort:
    """Levels that walk and grow, still topics and items; students are active in 60 % of the weeks."""
    random = np.random.default_rng(seed)
    item_topic = np.arange(n_items) % n_topics
    difficulty = random.normal(0, 0.55, n_topics)[item_topic] + random.normal(0, 1, n_items)
    growth = random.normal(slope, 0.002, (n_students, 1))
    steps = growth + random.normal(0, 0.06, (n_students, 7 * weeks))
    level = np.cumsum(np.hstack([random.normal(0, 1, (n_students, 1)), steps]), axis=1)
    deviation = random.normal(0, 0.5, (n_students, n_topics))
    counts = random.poisson(per_week, (n_students, weeks)) * (random.random((n_students, weeks)) < 0.6)
    student, week = (np.repeat(codes.ravel(), counts.ravel()) for codes in np.indices(counts.shape))
    day = 7 * week + random.uniform(0, 7, len(week))
    item = random.integers(0, n_items, len(day))
    logit = level[student, day.astype(int)] + deviation[student, item_topic[item]] - difficulty[item]
    correct = random.random(len(day)) < 1 / (1 + np.exp(-logit))
    answers = Answers.of(student, item, topic=item_topic[item], day=day, correct=correct.astype(int))
    return Cohort(answers, level, deviation=deviation, difficulty=difficulty)


OF_COHORT = Hyperparameters(
    level_variance=1.0,
    slope_mean=0.003,
    slope_variance=0.002**2,
    level_walk=0.06**2,
    form_variance=0.0,
    topic_spread=0.5**2,
    topic_walk=0.0,
    growth_days=3650.0,
)
"""What ``cohort`` simulates, where items are known."""


BIAS = 3
"""Place of the bias among the results of a cohort."""


def coverage(repetitions: int) -> None:
    """Print coverage of 95 % intervals, bias, and the mean error of change by cell, over cohorts with other seeds."""
    cases = {
        "calibrated items": {"n_students": 300, "n_items": 400, "n_topics": 8, "weeks": 20, "per_week": 10.0},
        "items learned": {"n_students": 300, "n_items": 400, "n_topics": 8, "weeks": 20, "per_week": 10.0},
        "rare items": {"n_students": 120, "n_items": 40_000, "n_topics": 100, "weeks": 40, "per_week": 45.0},
    }
    print(
        "\n| cohort | students with a level | level at week ends | level now | bias now | topic < 5 | 5 to 19 | ≥ 20 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    cells: list[tuple[Floats, Floats]] = []
    best: list[tuple[Floats, Floats]] = []
    for name, size in cases.items():
        rows = []
        for k in range(repetitions):
            made = cohort(1000 + k, **size)  # type: ignore[arg-type]
            n = len(made.difficulty)
            known = KnownItems.of(np.ones(n), made.difficulty, se_b=np.zeros(n)) if name == "calibrated items" else None
            rows.append(_coverage(made, known, int(size["weeks"])))
            if known is not None:
                cells.append(_change(made, known, int(size["weeks"])))
                best.append(_change(made, known, int(size["weeks"]), truth=OF_COHORT))
        shown = [f"{value:.3f}" for value in np.nanmean(rows, axis=0)]
        if repetitions > 1:
            shown[BIAS] += f" ± {np.std(rows, axis=0, ddof=1)[BIAS] / np.sqrt(repetitions):.3f}"
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)
    if cells:
        print("\nI_t, mean error: much practice of able, much of weak, little of able, little of weak students")
        for name, found in (("fitted", cells), ("with the cohort's parameters, which no fit can better", best)):
            error, correlation = (np.mean([cell[k] for cell in found], axis=0) for k in range(2))
            print(np.round(error, 3), "correlation with the true change", np.round(correlation, 3), name)


def first_week_mean(made: Cohort) -> float:
    """Mean true level of the students at the answers of their first week: without calibrated items 0 by convention."""
    student, day = made.answers.student, made.answers.day
    first = np.full(len(made.level), np.inf)
    np.minimum.at(first, student, day)
    early = day < first[student] + 7.0
    n = np.bincount(student[early], minlength=len(first))
    total = np.bincount(student[early], made.level[student[early], day[early].astype(int)], minlength=len(first))
    return float((total[n > 0] / n[n > 0]).mean())


def _coverage(made: Cohort, known: KnownItems | None, weeks: int) -> list[float]:
    fit = fit_hyperparameters(made.answers, items=known)
    evidence = gather_evidence(made.answers, fit.hyperparameters, items=known)
    ends = 7.0 * np.arange(1, weeks + 1)
    smoothed = smooth(evidence, ends)
    origin = 0.0 if known is not None else first_week_mean(made)
    levels, topics = smoothed.levels, smoothed.topics
    error = levels.level - (made.level[levels.student, ends[levels.week].astype(int)] - origin)
    is_inside = np.abs(error) < 1.96 * levels.level_se
    is_now = (levels.week == weeks - 1) & (levels.silent_days < 14)
    truth = made.level[topics.student, 7 * weeks] - origin + made.deviation[topics.student, topics.topic]
    topic_inside = np.abs(topics.ability - truth) < 1.96 * topics.ability_se
    counts = np.zeros(made.deviation.shape)
    np.add.at(counts, (made.answers.student, made.answers.topic), 1)
    n = counts[topics.student, topics.topic]
    bands = [topic_inside[(n >= low) & (n < high)] for low, high in ((1, 5), (5, 20), (20, np.inf))]
    return [
        len(np.unique(levels.student)) / len(made.level),
        float(is_inside.mean()),
        float(is_inside[is_now].mean()),
        float(error[is_now].mean()),
        *[float(band.mean()) if len(band) > 50 else float("nan") for band in bands],
    ]


def _change(
    made: Cohort, known: KnownItems, weeks: int, *, truth: Hyperparameters | None = None
) -> tuple[Floats, Floats]:
    end = 7.0 * weeks
    random = np.random.default_rng(7)
    answers = made.answers
    is_more = answers.student % 2 == 0
    is_recent = answers.day >= end - 14
    answers = answers.take((is_more == is_recent) | (random.random(len(answers)) < 0.4) | (answers.day < end - 28))
    h = fit_hyperparameters(answers, items=known).hyperparameters if truth is None else truth
    evidence = gather_evidence(answers, h, items=known)
    change = change_between(evidence, (end - 28, end - 14), recent=(end - 14, end))
    first, last = int(end - 28), int(end)
    actual = made.level[:, last - 14 : last].mean(axis=1) - made.level[:, first : first + 14].mean(axis=1)
    error = change.difference - actual
    more, able = np.arange(len(error)) % 2 == 0, made.level[:, first] > np.median(made.level[:, first])
    cells = (more & able, more & ~able, ~more & able, ~more & ~able)
    is_known = np.isfinite(error)
    correlation = np.corrcoef(change.difference[is_known], actual[is_known])[0, 1]
    return np.array([np.nanmean(error[cell]) for cell in cells]), np.array([correlation])


def speed(n_students: int, *, is_fitted: bool = True, with_next: bool = True) -> None:
    """Print rates, wall time and memory with 30 answers a student, beside the limits. A ratio above 1 keeps the limit."""
    random = np.random.default_rng(5)
    n = 30 * n_students
    item = random.integers(0, 20_000, n, dtype=np.int32)
    answers = Answers.of(
        random.integers(0, n_students, n, dtype=np.int32),
        item,
        topic=item % np.int32(40),
        day=np.sort(random.uniform(0, 84, n)),
        correct=random.integers(0, 2, n, dtype=np.int8),
    )
    del item
    h = replace(Hyperparameters(), level_walk=0.005, form_variance=0.02)
    head = answers.take(slice(0, 1000))
    smooth(gather_evidence(head, h), [84.0], topic_weeks=False)
    learn_next(run_filter(head, h))
    wall = time.perf_counter()
    steps = {}
    if is_fitted:
        started = time.process_time()
        fit = fit_hyperparameters(answers)
        steps["hyperparameters"] = time.process_time() - started
        print(f"hyperparameters from {fit.n_students} students, {fit.n_answers} answers")
    started = time.process_time()
    evidence = gather_evidence(answers, h)
    steps["filter"] = time.process_time() - started
    started = time.process_time()
    for first in range(0, n_students, BLOCK):
        smooth(evidence, [84.0], topic_weeks=False, students=(first, min(first + BLOCK, n_students)))
    steps["smoother"] = time.process_time() - started
    seconds = time.perf_counter() - wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    del evidence
    if with_next:
        filtered = run_filter(answers, h)
        started = time.process_time()
        learn_next(filtered)
        steps["next answer"] = time.process_time() - started
    print(f"\n{n_students} students, {n} answers")
    print("| | measured | limit | ratio |\n|---|---|---|---|")
    for name, used in steps.items():
        rate = n / used / 1e6
        limit = f"{RATE_LIMIT} | {rate / RATE_LIMIT:.2f}" if name in ("filter", "smoother") else "– | –"
        print(f"| {name}: million answers a second and core | {rate:.2f} ({used:.1f} s) | {limit} |")
    share = n_students / 1e6
    whole = "hyperparameters, filter and smoother" if is_fitted else "filter and smoother"
    print(f"| {whole}: s | {seconds:.1f} | {60 * share:.1f} | {60 * share / seconds:.2f} |")
    print(f"| memory of the process: GB | {memory:.2f} | {2 * share:.2f} | {2 * share / memory:.2f} |")


if __name__ == "__main__":
    main()
