"""Coverage and bias of abilities on cohorts of other kinds than those that the model was built with.

    python -m benchmarks.ability_kinds [--kinds KIND,…] [--seeds 5]

Every kind differs from the ordinary cohort in one thing. 250 students in 16 weeks are active in 60 % of the weeks with 12
answers. They grow where they are active; level, form and topic deviations differ as in the ordinary case.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks._measure import machine
from benchmarks.ability import Cohort, first_week_mean
from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.smoothing import change_between, smooth

Floats = NDArray[np.float64]
SESSIONS = 2
MINUTES = 2.0
CANDIDATES = 20
"""Items among which an adaptive system chooses."""
AIM = 0.7
"""It aims at items that are this much easier than the student is able."""


@dataclass(frozen=True)
class Kind:
    """``choice`` is random, course (a fixed order), adaptive (by the system's estimates from the answers) or informed (by
    estimates that know the difficulties, which the log does not)."""

    n_students: int = 250
    n_items: int = 400
    n_topics: int = 8
    per_week: float = 12.0
    active: float = 0.6
    growth: float = 0.003
    easiness: float = 0.0
    guessing: float = 0.0
    log_a_sd: float = 0.0
    skewed: bool = False
    leaves_below: float = 0.0
    choice: str = "random"


KINDS = {
    "ordinary": Kind(),
    "one topic": Kind(n_topics=1),
    "100 topics, 3 answers each": Kind(n_students=150, n_items=2000, n_topics=100, per_week=31.0),
    "95 % right": Kind(easiness=3.6),
    "skewed abilities": Kind(skewed=True),
    "25 students, 30 answers each": Kind(n_students=25, n_items=60, n_topics=5, per_week=3.2),
    "30 answers, then weeks of silence": Kind(per_week=30.0, active=0.25),
    "students leave when they fail": Kind(leaves_below=0.5),
    "discriminations differ by a factor of 1.6": Kind(log_a_sd=0.5),
    "a fifth of the answers is guessed": Kind(guessing=0.2),
    "items in a course order, fast growth": Kind(choice="course", growth=0.008),
    "adaptive": Kind(choice="adaptive"),
    "adaptive, by difficulties that the log lacks": Kind(choice="informed"),
}
WEEKS = 16
DAYS = 7 * WEEKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="", help="parts of names; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    print(
        "| cohort | items | week ends | now | bias now | topic < 5 | 5 to 19 | ≥ 20 | change: largest mean error | slope |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, kind in KINDS.items():
        if any(part in name for part in arguments.kinds.split(",")):
            for items in ("known", "learned"):
                rows = [_row(*simulated(kind, seed), is_known=items == "known") for seed in range(arguments.seeds)]
                mean, se = np.nanmean(rows, axis=0), np.std(rows, axis=0, ddof=1)[2] / np.sqrt(len(rows))
                largest = np.abs(mean[6:10]).max()
                covered = " | ".join("–" if np.isnan(value) else f"{value:.3f}" for value in mean[3:6])
                print(
                    f"| {name} | {items} | {mean[0]:.3f} | {mean[1]:.3f} | {mean[2]:+.3f} ± {se:.3f} | {covered} "
                    f"| {largest:.3f} | {mean[10]:.2f} |",
                    flush=True,
                )


def simulated(kind: Kind, seed: int) -> tuple[Cohort, KnownItems]:
    """A cohort, whose level holds the day's form, and its items."""
    random = np.random.default_rng(3000 + seed)
    n, topic = kind.n_students, np.arange(kind.n_items) % kind.n_topics
    difficulty = random.normal(-kind.easiness, 0.5, kind.n_topics)[topic] + random.normal(0, 1, kind.n_items)
    a = np.exp(random.normal(0, kind.log_a_sd, kind.n_items))
    first = random.exponential(1, (n, 1)) - 1 if kind.skewed else random.normal(0, 1, (n, 1))
    is_active = random.random((n, WEEKS)) < kind.active
    growth = random.normal(kind.growth, 0.002, (n, 1)) * np.repeat(is_active, 7, axis=1)
    level = np.cumsum(np.hstack([first, growth + random.normal(0, 0.03, (n, DAYS))]), axis=1)
    form, kept = random.normal(0, 0.15, (n, DAYS + 1)), np.exp(-1 / 3)
    for d in range(1, DAYS + 1):
        form[:, d] = kept * form[:, d - 1] + np.sqrt(1 - kept**2) * form[:, d]
    # With one topic the deviation is a part of the level.
    deviation = random.normal(0, 0.5, (n, kind.n_topics)) * (kind.n_topics > 1)
    level += form
    choose = _chooser(kind, difficulty, random=random)
    correct: list[int] = []
    rows: list[tuple[int, int, int, float]] = []
    results: list[list[int]] = [[] for _ in range(n)]
    gone = np.full(n, np.inf)
    for day, s in _times(kind, is_active, random=random):
        if day > gone[s]:
            continue
        item = choose(s, len(results[s]), None)
        logit = a[item] * (level[s, int(day)] + deviation[s, topic[item]] - difficulty[item])
        right = int(random.random() < kind.guessing + (1 - kind.guessing) * expit(logit))
        choose(s, item, right)
        results[s].append(right)
        correct.append(right)
        rows.append((s, item, int(topic[item]), day))
        if np.mean(results[s][-10:]) < kind.leaves_below and random.random() < 0.05:
            gone[s] = day
    codes = np.array(rows)
    student, item_codes, topics = (codes[:, k].astype(int) for k in range(3))
    answers = Answers.of(student, item_codes, topic=topics, day=codes[:, 3], correct=np.array(correct))
    known = KnownItems.of(a, difficulty, se_b=np.zeros(kind.n_items))
    return Cohort(answers, level, deviation=deviation, difficulty=difficulty), known


def _times(kind: Kind, is_active: NDArray[np.bool_], *, random: np.random.Generator) -> Iterator[tuple[float, int]]:
    """Day and student of every answer, in the order of time."""
    times = []
    for s, week in zip(*np.nonzero(is_active), strict=True):
        for begin in random.uniform(0, 6.8, SESSIONS):
            n = random.poisson(kind.per_week / SESSIONS)
            times += [(7.0 * week + begin + k * MINUTES / 1440, int(s)) for k in range(n)]
    return iter(sorted(times))


def _chooser(kind: Kind, difficulty: Floats, *, random: np.random.Generator) -> Callable[[int, int, int | None], int]:
    """A function that chooses the next item of a student with some answers, and learns from (student, item, right)."""
    ability, seen = np.zeros(kind.n_students), np.zeros(kind.n_students)
    believed = difficulty.copy() if kind.choice == "informed" else np.zeros(kind.n_items)
    answered = np.zeros(kind.n_items)

    def choose(s: int, n: int, right: int | None) -> int:
        if right is not None:
            surprise = right - expit(ability[s] - believed[n])
            ability[s] += 1.5 / (1 + 0.08 * seen[s]) * surprise
            if kind.choice == "adaptive":
                believed[n] -= 1.5 / (1 + 0.08 * answered[n]) * surprise
            seen[s] += 1
            answered[n] += 1
            return n
        if kind.choice == "random":
            return int(random.integers(0, kind.n_items))
        if kind.choice == "course":
            return min(2 * n + int(random.integers(0, 4)), kind.n_items - 1)
        offered = random.integers(0, kind.n_items, CANDIDATES)
        wanted = ability[s] - AIM + random.normal(0, 0.4)
        return int(offered[np.argmin(np.abs(believed[offered] - wanted))])

    return choose


def _row(made: Cohort, known: KnownItems, *, is_known: bool) -> list[float]:
    """Coverage at week ends and now, bias now, coverage of topics in three bands, four mean errors of change, and the slope of
    levels now on the truth."""
    items, answers = known if is_known else None, made.answers
    h = fit_hyperparameters(answers, items=items).hyperparameters
    evidence = gather_evidence(answers, h, items=items)
    ends = 7.0 * np.arange(1, WEEKS + 1)
    smoothed = smooth(evidence, ends)
    levels, topics = smoothed.levels, smoothed.topics
    origin = 0.0 if is_known else first_week_mean(made)
    truth = made.level[levels.student, ends[levels.week].astype(int)] - origin
    error = levels.level - truth
    is_inside = np.abs(error) < 1.96 * levels.level_se
    is_now = (levels.week == WEEKS - 1) & (levels.silent_days < 14)
    of_topic = made.level[topics.student, DAYS] - origin + made.deviation[topics.student, topics.topic]
    topic_inside = np.abs(topics.ability - of_topic) < 1.96 * topics.ability_se
    counts = np.zeros(made.deviation.shape)
    np.add.at(counts, (answers.student, answers.topic), 1)
    n = counts[topics.student, topics.topic]
    bands = [topic_inside[(n >= low) & (n < high)] for low, high in ((1, 5), (5, 20), (20, np.inf))]
    change = change_between(evidence, (DAYS - 28, DAYS - 14), recent=(DAYS - 14, DAYS)).difference
    level = made.level[: len(change)]
    missed = change - level[:, DAYS - 14 : DAYS].mean(axis=1) + level[:, DAYS - 28 : DAYS - 14].mean(axis=1)
    recent, before = (
        np.bincount(answers.student[(answers.day >= low) & (answers.day < low + 14)], minlength=len(change))
        for low in (DAYS - 14, DAYS - 28)
    )
    able = level[:, DAYS - 28] > np.median(level[:, DAYS - 28])
    cells = [practice & side for practice in (recent > before, recent < before) for side in (able, ~able)]
    return [
        float(is_inside.mean()),
        float(is_inside[is_now].mean()),
        float(error[is_now].mean()),
        *[float(band.mean()) if len(band) > 50 else float("nan") for band in bands],
        *[float(np.nanmean(missed[cell])) for cell in cells],
        float(np.polyfit(truth[is_now], levels.level[is_now], 1)[0]),
    ]


if __name__ == "__main__":
    main()
