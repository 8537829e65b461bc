"""The mixed growth model by lme4 beside the number of students, as shares of its time limit.

    python -m benchmarks.mixed_model [--students 2500,5000,10000,20000] [--weeks 12] [--topics 4]

Each student has a share of right answers for each topic and week, as the asset `growth_glmm_meta` fits them, with the fit
that leaves out rows. The default of GLMM_MAX_STUDENTS follows from this.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks._measure import machine
from seedtest_analytics.resources.r.mixed_model import MixedModelOptions, fit_mixed_model
from seedtest_analytics.resources.r.session import RSession
from seedtest_analytics.settings import GlmmSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", default="2500,5000,10000,20000")
    parser.add_argument("--weeks", type=int, default=12)
    parser.add_argument("--topics", type=int, default=4)
    arguments = parser.parse_args()
    settings = GlmmSettings()
    options = MixedModelOptions(formula=settings.formula)
    print(machine())
    print("\n| students | rows | seconds | share of R_GLMM_TIMEOUT_SECS |\n|---|---|---|---|")
    for n_students in map(int, arguments.students.split(",")):
        rows = simulated(n_students, n_weeks=arguments.weeks, n_topics=arguments.topics)
        with RSession(timeout_seconds=4 * settings.timeout_seconds) as session:
            started = time.perf_counter()
            fit_mixed_model(session, rows, options=options)
        seconds = time.perf_counter() - started
        share = seconds / settings.timeout_seconds
        print(f"| {n_students:,} | {len(rows):,} | {seconds:.1f} | {share:.2f} |", flush=True)


def simulated(n_students: int, *, n_weeks: int, n_topics: int) -> pd.DataFrame:
    """Scores in logits with students' own intercepts and slopes, and topics."""
    rng = np.random.default_rng(7)
    student, week, topic = (code.ravel() for code in np.indices((n_students, n_weeks, n_topics)))
    level, slope = rng.normal(0, 0.8, n_students), rng.normal(0.02, 0.02, n_students)
    score = level[student] + slope[student] * week + rng.normal(0, 0.3, n_topics)[topic] + rng.normal(0, 0.5, len(week))
    return pd.DataFrame(
        {"score": score, "week": week, "student": [f"s{s}" for s in student], "topic": [f"t{t}" for t in topic]}
    )


if __name__ == "__main__":
    main()
