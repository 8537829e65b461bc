"""What priors of items do to the scale of fixed anchors (docs/decisions/0048-priors-and-anchors.md).

    python -m benchmarks.anchored_scale [--cohorts 8]

240 items, 21 of them anchors with their true parameters; log a ~ N(0.1, 0.33²), b ~ N(0, 1), abilities N(0, 1.04²), 26 answers of
each student. Priors on a and the intercept d stay on the anchors' scale, as R's mirt has them. Priors on a and b move with the
population. A ratio of 1 is right. Seeds begin at 30,000.
"""

from __future__ import annotations

import argparse

import numpy as np

from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters

FIRST_SEED = 30_000
ITEMS, ANCHORS, ANSWERS, SD = 240, 21, 26, 1.04
STUDENTS = (209, 2_000)
PRIORS = {
    "on the anchors' scale, mode of a 0.78": ItemPriors(a=LogNormal(0.0, 0.5), d=Normal(0.0, 2.57)),
    "on the anchors' scale, mode of a 1": ItemPriors(a=LogNormal(0.25, 0.5), d=Normal(0.0, 3.3)),
    "with the population": ItemPriors(a=LogNormal(0.25, 0.5), b=Normal(0.0, 2.0)),
}


def cohort(seed: int, n_students: int) -> tuple[ResponseData, ItemParameters]:
    """The answers and the true items."""
    random = np.random.default_rng(seed)
    a, b = np.exp(random.normal(0.1, 0.33, ITEMS)), random.normal(0.0, 1.0, ITEMS)
    theta = random.normal(0.0, SD, n_students)
    student = np.repeat(np.arange(n_students, dtype=np.int32), ANSWERS)
    item = np.concatenate([random.choice(ITEMS, ANSWERS, replace=False) for _ in range(n_students)])
    p = 1.0 / (1.0 + np.exp(-a[item] * (theta[student] - b[item])))
    right = (random.random(len(item)) < p).astype(np.int32)
    return ResponseData.from_long(student, item, correct=right), ItemParameters.of(
        np.arange(ITEMS), a, b=b, c=np.zeros(ITEMS)
    )


def ratios(data: ResponseData, truth: ItemParameters, priors: ItemPriors) -> tuple[float, float]:
    """SD of the population over the true one, and the geometric mean of the other items' slopes over the true ones."""
    anchors = truth.take(np.arange(ANCHORS))
    found = calibrate(data, CalibrationConfig(priors=priors, anchors=anchors, standard_errors="none"))
    other = found.parameters.item_ids >= ANCHORS
    known = truth.take(truth.positions(found.parameters.item_ids[other]))
    return float(found.group_sd[0] / SD), float(np.exp(np.log(found.parameters.a[other] / known.a).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=8)
    n_cohorts = parser.parse_args().cohorts
    print("| priors | students | SD of the population | spread between cohorts | slopes |\n|---|---|---|---|---|")
    for n_students in STUDENTS:
        cohorts = [cohort(FIRST_SEED + k, n_students) for k in range(n_cohorts)]
        for name, priors in PRIORS.items():
            found = np.array([ratios(data, truth, priors) for data, truth in cohorts])
            sd, slope = found.mean(axis=0)
            print(f"| {name} | {n_students:,} | {sd:.2f} | {found[:, 0].std():.2f} | {slope:.2f} |", flush=True)


if __name__ == "__main__":
    main()
