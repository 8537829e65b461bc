"""Linear and generalised linear mixed models by R's lme4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class MixedModelOptions:
    """How to fit.

    Attributes:
        formula: in lme4's notation, such as ``score ~ week + (week | student) + (1 | topic)``.
        family: gaussian, or binomial (``score`` is then the share of right answers among ``attempts``).
        reml: REML instead of ML (gaussian only).
        held_out_share: share of the student-weeks (columns ``student``, ``week``) that a second fit to the other rows
            predicts; 0 skips the second fit.
        seed: draws the held-out student-weeks.
        timeout_seconds: of the call; None is the time-out of the session.
    """

    formula: str
    family: Family = "gaussian"
    reml: bool = True
    held_out_share: float = 0.2
    seed: int = 0
    timeout_seconds: float | None = None


def fit_mixed_model(r: RCaller, rows: pd.DataFrame, *, options: MixedModelOptions) -> MixedModelFit:
    """Fit ``options.formula`` to ``rows`` and measure its error in and out of the sample.

    Raises FormulaError or MixedModelDataError before R starts, and the errors of :mod:`.errors`.
    """
    parsed = parse_formula(options.formula, rows.columns)
    checked = check_rows(rows, parsed, family=options.family)
    held_out = _held_out(rows, options)
    reply = r.call(
        "glmm.R",
        "fit_glmm",
        packages=PACKAGES,
        timeout_seconds=options.timeout_seconds,
        data=checked,
        formula=parsed.text,
        family=options.family,
        reml=options.reml,
        held_out=held_out,
        attempts_column=ATTEMPTS if options.family == "binomial" else None,
    )
    statistics = reply["fit"].iloc[0]
    versions = reply["versions"].iloc[0]
    return MixedModelFit(
        formula=parsed.text,
        family=options.family,
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
        held_out=_held_out_error(statistics, int(held_out.sum()), options=options),
        backend=f"lme4 {versions['lme4']}, {versions['r']}",
    )


def _held_out(rows: pd.DataFrame, options: MixedModelOptions) -> NDArray[np.bool_]:
    if not options.held_out_share:
        return np.zeros(len(rows), dtype=bool)
    missing = [column for column in ("student", "week") if column not in rows]
    if missing:
        raise MixedModelDataError(f"cannot draw held-out student-weeks: there is no column {', '.join(missing)}")
    return held_out_rows(rows["student"], rows["week"], share=options.held_out_share, seed=options.seed)


def _held_out_error(statistics: pd.Series[Any], n_rows: int, *, options: MixedModelOptions) -> HeldOutError | None:
    if n_rows == 0:
        return None
    return HeldOutError(
        rmse=float(statistics["held_out_rmse"]),
        rmse_of_mean=float(statistics["rmse_of_mean"]),
        n_rows=n_rows,
        n_new_level_rows=int(statistics["n_new_level_rows"]),
        share=options.held_out_share,
        seed=options.seed,
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
