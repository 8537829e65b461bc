"""What growing students do to items, and what occasions change (docs/decisions/0049-occasions.md).

    python -m benchmarks.occasions [--cohorts 4] [--data FOLDER]

An occasion is a row of the calibration: one ability. Bank: cohorts of 300 students over 40 weeks
(`seedtest_analytics.stats.simulate`), a tenth of 240 items anchors with their true parameters, the first answer of each student
to each item. Course: 400 students over 40 weeks, each of 240 items in use for eight weeks, and weak students leave earlier.

Slope: of the estimated difficulties on the true ones, 1 is right. Drift: how much easier the last items of the log come out than
its first, in logits. Errors and coverage of 95 % intervals leave the anchors out. Seeds begin at 40,000.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks._next_answer import FILES, SHARED, forward_in_time
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.occasions import explained_by_items, occasions
from seedtest_analytics.stats.simulate import CohortConfig, draw_items, simulate_cohort

FIRST_SEED = 40_000
PRIORS = ItemPriors(a=LogNormal(0.25, 0.5), b=Normal(0.0, 2.0))
DAYS = (None, 56, 28, 14)
Z_95 = 1.959964
N_ITEMS, N_STUDENTS, N_WEEKS, WEEKS_IN_USE, ANSWERS_A_WEEK = 240, 400, 40, 8, 8


@dataclass(frozen=True)
class Cohort:
    """First answers (student, item, correct, day), with the true items; a tenth of them are anchors."""

    answers: pd.DataFrame
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    is_anchor: NDArray[np.bool_]

    @property
    def explained(self) -> float:
        return explained_by_items(self.answers["item"], self.answers["day"])


def bank(seed: int) -> Cohort:
    """A cohort in which a week's growth differs by 0.04 logits (SD), and every item is answered all the time."""
    config = CohortConfig(
        300,
        N_WEEKS,
        seed=seed,
        until=dt.date(2026, 6, 28),
        has_hostile_rows=False,
        growth_mean_logit=0.02,
        growth_sd_logit=0.04,
    )
    attempts = next(iter(simulate_cohort(config))).attempts
    answers = pd.DataFrame(
        {
            "student": attempts.student,
            "item": attempts.item,
            "correct": attempts.correct,
            "day": attempts.completed_us // 86_400_000_000,
        }
    )
    items = draw_items(config)
    return Cohort(
        _first(answers[answers["correct"] >= 0]), items.discrimination, items.difficulty_logit, items.is_anchor
    )


def course(seed: int) -> Cohort:
    """Items follow each other. A student of one logit less is 2.7 times as likely to leave in a week."""
    random = np.random.default_rng(seed)
    a, b = np.exp(random.normal(0.1, 0.3, N_ITEMS)), random.normal(0.0, 1.0, N_ITEMS)
    begins = random.permutation(np.linspace(1 - WEEKS_IN_USE, N_WEEKS - 1, N_ITEMS))
    level, pace = random.normal(0.0, 1.0, N_STUDENTS), random.normal(0.02, 0.03, N_STUDENTS)
    leaves = random.geometric(np.clip(0.04 * np.exp(-level), 0.0, 0.5))
    parts = []
    for week in range(N_WEEKS):
        student = np.repeat(np.flatnonzero(leaves > week), ANSWERS_A_WEEK)
        item = random.choice(np.flatnonzero((begins <= week) & (begins + WEEKS_IN_USE > week)), len(student))
        theta = level[student] + pace[student] * week
        correct = random.random(len(student)) < 1.0 / (1.0 + np.exp(-a[item] * (theta - b[item])))
        parts.append(
            pd.DataFrame({"student": student, "item": item, "correct": correct.astype(np.int32), "day": 7 * week})
        )
    return Cohort(_first(pd.concat(parts)), a, b, np.arange(N_ITEMS) % 10 == 0)


def _first(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.sort_values(["student", "item", "day"]).drop_duplicates(["student", "item"])


def measures(made: Cohort, days: int | None) -> list[float]:
    """Rows, slope, drift of b over the log, bias of log a, error of b, coverage of b, and seconds."""
    answers = made.answers
    student, day = answers["student"].to_numpy(np.int32), answers["day"].to_numpy(np.int64)
    row = np.zeros(len(student), dtype=np.int64) if days is None else occasions(student, day, days=days)
    data = ResponseData.from_long((student, row), answers["item"].to_numpy(), correct=answers["correct"].to_numpy())
    anchor = np.flatnonzero(made.is_anchor)
    known = ItemParameters.of(anchor, made.a[anchor], b=made.b[anchor])
    started = time.perf_counter()
    found = calibrate(data, CalibrationConfig(priors=PRIORS, anchors=known)).items.frame()
    seconds = time.perf_counter() - started
    item = found["item_id"].to_numpy(np.int64)
    free = ~made.is_anchor[item] & found["a"].notna().to_numpy()
    found, item = found[free], item[free]
    when = (answers.groupby("item")["day"].mean() / float(day.max())).reindex(item).to_numpy()
    b, error = found["b"].to_numpy(), found["b"].to_numpy() - made.b[item]
    (_, slope, _), *_ = np.linalg.lstsq(np.column_stack([np.ones(len(b)), made.b[item], when]), b, rcond=None)
    drift = np.polyfit(when, error, 1)[0] if np.ptp(when) > 0.5 else np.nan
    return [
        data.n_rows,
        slope,
        drift,
        float(np.log(found["a"].to_numpy() / made.a[item]).mean()),
        float(np.sqrt((error**2).mean())),
        float((np.abs(error) < Z_95 * found["se_b"].to_numpy()).mean()),
        seconds,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=4)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the published logs")
    arguments = parser.parse_args()
    for name in FILES:
        log = forward_in_time(name, arguments.data).answers
        print(f"{name}: items explain {explained_by_items(log.item, log.day):.2f} of the variance of answering times")
    seeds = FIRST_SEED + np.arange(arguments.cohorts)
    for name, make in (("bank", bank), ("course", course)):
        cohorts = [make(seed) for seed in seeds.tolist()]
        explained = np.mean([made.explained for made in cohorts])
        print(f"\n{name}: items explain {explained:.3f} of the variance of answering times\n")
        print("| one ability for | rows | slope of b | drift of b | bias of log a | error of b | 95 % cover b | time |")
        print("|---|---|---|---|---|---|---|---|")
        for days in DAYS:  # once for the compiled kernels
            measures(cohorts[0], days)
        whole = None
        for days in DAYS:
            n, slope, drift, bias, error, cover, seconds = np.mean([measures(made, days) for made in cohorts], axis=0)
            whole = whole or seconds
            label = "all answers" if days is None else f"{days} days"
            change = "–" if np.isnan(drift) else f"{drift:+.2f}"
            print(
                f"| {label} | {n:,.0f} | {slope:.3f} | {change} | {bias:+.3f} | {error:.3f} | {cover:.3f} "
                f"| {seconds / whole:.2f} |"
            )


if __name__ == "__main__":
    main()
