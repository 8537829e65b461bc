"""Good calls of ``stats.mixed_model``. R is not run."""

from functools import cache

import numpy as np
import pandas as pd

RNG = np.random.default_rng(0)
STUDENTS, WEEKS = 4, 5
SCORES = RNG.random(STUDENTS * WEEKS)
ROWS = pd.DataFrame(
    {
        "student": np.repeat([f"s{i}" for i in range(STUDENTS)], WEEKS),
        "week": np.tile(np.arange(WEEKS), STUDENTS),
        "score": SCORES,
    }
)
COUNTS = ROWS.rename(columns={"student": "student_id"}).assign(attempts=9, right=np.arange(len(ROWS)) % 9)
TEXT = "score ~ week + (week | student)"


@cache
def formula():
    from seedtest_analytics.stats.mixed_model.formula import parse_formula

    return parse_formula(TEXT, ROWS.columns)


@cache
def fit():
    from seedtest_analytics.stats.mixed_model.result import FixedEffect, MixedModelFit, RandomEffects

    effects = RandomEffects(
        "student",
        tuple("abcd"),
        terms=("(Intercept)", "week"),
        values=np.zeros((STUDENTS, 2)),
        conditional_sd=np.ones((STUDENTS, 2)),
    )
    return MixedModelFit(
        formula=TEXT,
        family="gaussian",
        criterion="REML",
        n_rows=len(ROWS),
        fixed_effects=(FixedEffect("week", 0.1, se=0.05, statistic=2.0),),
        variance_components=(),
        random_effects=(effects,),
        residual_sd=0.1,
        log_likelihood=-1.0,
        aic=2.0,
        bic=3.0,
        is_singular=False,
        convergence_messages=(),
        warnings=(),
        optimizer="bobyqa",
        rmse=0.1,
        held_out=None,
        backend="lme4",
    )


PROBES = {
    "mixed_model.formula.parse_formula": {"text": TEXT, "columns": lambda: list(ROWS)},
    "mixed_model.data.check_rows": {"rows": ROWS, "formula": formula, "family": "gaussian"},
    "mixed_model.data.held_out_rows": {
        "student": ROWS["student"].to_numpy(),
        "week": ROWS["week"].to_numpy(),
        "share": 0.2,
        "seed": 1,
    },
    "mixed_model.brms_draws.check_growth_rows": {"rows": COUNTS, "family": "binomial"},
    "mixed_model.result.growth_slopes": {"fit": fit, "group": "student", "term": "week"},
}

CHECKED_BY_CALLER = [
    ("mixed_model.data", "refuse", "mixed_model.data.check_rows mixed_model.brms_draws.check_growth_rows")
]
