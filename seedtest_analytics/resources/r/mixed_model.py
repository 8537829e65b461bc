"""Mixed models by R's lme4."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.stats.mixed_model.data import ATTEMPTS, Family, MixedModelDataError, check_rows, held_out_rows
from seedtest_analytics.stats.mixed_model.formula import parse_formula
from seedtest_analytics.stats.mixed_model.result import (
    FixedEffect,
    HeldOutError,
    MixedModelFit,
    RandomEffects,
    VarianceComponent,
)

PACKAGES = ("lme4",)


def fit_mixed_model(  # noqa: PLR0913
    r: RCaller,
    rows: pd.DataFrame,
    *,
    formula: str = "score ~ week + (week | student) + (1 | topic)",
    family: Family = "gaussian",
    reml: bool = True,
    held_out_share: float = 0.2,
    seed: int = 0,
    student_column: str = "student",
    week_column: str = "week",
    timeout_seconds: float | None = None,
) -> MixedModelFit:
    """Fit ``formula`` to ``rows`` and measure its error in and out of the sample.

    ``held_out_share`` of the student-weeks (columns ``student_column``, ``week_column``; drawn by ``seed``)
    are predicted by a second fit to the rest; 0 leaves that out. With the binomial family the response is
    the share of right answers and a column ``attempts`` their number. Raises FormulaError or
    MixedModelDataError before R starts, and the errors of :mod:`.errors`.
    """
    parsed = parse_formula(formula, rows.columns)
    checked = check_rows(rows, parsed, family=family)
    held_out = _held_out(rows, held_out_share, seed=seed, student_column=student_column, week_column=week_column)
    reply = r.call(
        "glmm.R",
        "fit_glmm",
        packages=PACKAGES,
        timeout_seconds=timeout_seconds,
        data=checked,
        formula=parsed.text,
        family=family,
        reml=reml,
        held_out=held_out,
        attempts_column=ATTEMPTS if family == "binomial" else None,
    )
    statistics = reply["fit"].iloc[0]
    versions = reply["versions"].iloc[0]
    return MixedModelFit(
        formula=parsed.text,
        family=family,
        criterion=statistics["criterion"],
        n_rows=int(statistics["n_rows"]),
        fixed_effects=tuple(FixedEffect(*row) for row in reply["fixed"].itertuples(index=False, name=None)),
        variance_components=tuple(
            VarianceComponent(*row) for row in reply["components"].itertuples(index=False, name=None)
        ),
        random_effects=_random_effects(reply["random"]),
        residual_sd=None if np.isnan(statistics["residual_sd"]) else float(statistics["residual_sd"]),
        log_likelihood=float(statistics["log_likelihood"]),
        aic=float(statistics["aic"]),
        bic=float(statistics["bic"]),
        is_singular=bool(statistics["is_singular"]),
        convergence_messages=tuple(reply["convergence_messages"]),
        warnings=tuple(reply["warnings"]),
        optimizer=statistics["optimizer"],
        rmse=float(statistics["rmse"]),
        held_out=_held_out_error(statistics, int(held_out.sum()), share=held_out_share, seed=seed),
        backend=f"lme4 {versions['lme4']}, {versions['r']}",
    )


def _held_out(rows: pd.DataFrame, share: float, *, seed: int, student_column: str, week_column: str) -> np.ndarray:
    missing = [c for c in (student_column, week_column) if c not in rows]
    if share and missing:
        raise MixedModelDataError(
            f"the held-out rows are drawn by student and week, but there is no column {', '.join(missing)}"
        )
    if not share:
        return np.zeros(len(rows), dtype=bool)
    return held_out_rows(rows[student_column], rows[week_column], share=share, seed=seed)


def _held_out_error(statistics: pd.Series, n_rows: int, *, share: float, seed: int) -> HeldOutError | None:
    if n_rows == 0:
        return None
    return HeldOutError(
        rmse=float(statistics["held_out_rmse"]),
        rmse_of_mean=float(statistics["rmse_of_mean"]),
        n_rows=n_rows,
        n_new_level_rows=int(statistics["n_new_level_rows"]),
        share=share,
        seed=seed,
        unit="student-week",
    )


def _random_effects(table: pd.DataFrame) -> tuple[RandomEffects, ...]:
    effects = []
    for group, rows in table.groupby("group", sort=False):
        terms = list(rows["term"].unique())
        wide = rows.pivot(index="level", columns="term", values=["value", "conditional_sd"])
        effects.append(
            RandomEffects(
                group=str(group),
                levels=tuple(wide.index),
                terms=tuple(terms),
                values=wide["value"][terms].to_numpy(dtype=float),
                conditional_sd=wide["conditional_sd"][terms].to_numpy(dtype=float),
            )
        )
    return tuple(effects)
