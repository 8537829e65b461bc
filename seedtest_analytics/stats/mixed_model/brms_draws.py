"""Input rows and posterior draws of the growth model that R's brms fits, with an intercept and a slope per student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.stats.mixed_model.data import Family, MixedModelDataError, refuse

MIN_STUDENTS = 2
# Two weeks cannot separate the residual from the variance of the slopes, and the sampler does not converge.
MIN_WEEKS = 3


@dataclass(frozen=True)
class BrmsDraws:
    """Draws after warm-up of ``score ~ week + (week | student_id)``.

    E(score | student j, week t) = b_Intercept + u0_j + (b_week + u1_j) t, (u0_j, u1_j) ~ N(0, Σ); on the logit scale in
    the binomial family.

    Attributes:
        parameters: (chains, draws) under the names of brms: ``b_Intercept`` (at week 0), ``b_week``,
            ``sd_student_id__Intercept``, ``sd_student_id__week``, ``cor_student_id__Intercept__week`` and, in the
            gaussian family, ``sigma``.
        student_ids: (J,), ascending.
        student_intercept, student_slope: (chains, draws, J), population part included; intercepts at week 0.
        priors: as read back from the data passed to Stan, in the shape of the contract.
        divergences: number of divergent transitions. ebfmi: energy fraction of missing information, (chains,).
        treedepth_max: deepest tree. treedepth_hits: transitions that ended at the limit of 10.
        program: the Stan program. is_model_from_cache: whether the compiled model already existed.
        toolchain: versions of R, brms and rstan.
    """

    family: Family
    parameters: Mapping[str, np.ndarray]
    student_ids: np.ndarray
    student_intercept: np.ndarray
    student_slope: np.ndarray
    priors: Mapping[str, Mapping[str, Any]]
    divergences: int
    ebfmi: np.ndarray
    treedepth_max: int
    treedepth_hits: int
    seed: int
    program: str
    is_model_from_cache: bool
    toolchain: str


def check_growth_rows(rows: pd.DataFrame, family: Family) -> pd.DataFrame:
    """``student_id``, ``week`` and ``score`` (binomial: ``right`` and ``attempts``) as numbers.

    Raises :class:`MixedModelDataError` with the column and the first bad rows, or with the smallest usable number.
    """
    measured = ["score"] if family == "gaussian" else ["right", "attempts"]
    wanted = ["student_id", "week", *measured]
    missing = [c for c in wanted if c not in rows]
    if missing:
        raise MixedModelDataError(f"growth rows of the {family} family need {', '.join(wanted)}; missing: {missing}")
    checked = rows[wanted].reset_index(drop=True)
    for column in wanted[1:]:
        checked[column] = pd.to_numeric(checked[column], errors="coerce")
        refuse(
            pd.Series(~np.isfinite(checked[column].to_numpy(dtype=float))),
            f"{column} is missing, infinite or not a number",
        )
    refuse(checked["student_id"].isna(), "student_id is missing")
    if family == "binomial":
        right, attempts = checked["right"], checked["attempts"]
        is_count = (right % 1 == 0) & (attempts % 1 == 0) & (right >= 0) & (right <= attempts) & (attempts >= 1)
        refuse(~is_count, "invalid counts: need whole numbers with 0 ≤ right ≤ attempts and attempts ≥ 1")
        checked[measured] = checked[measured].astype(int)
    _check_enough(checked, measured[0])
    return checked


def _check_enough(checked: pd.DataFrame, measured: str) -> None:
    if checked["student_id"].nunique() < MIN_STUDENTS:
        raise MixedModelDataError(f"a growth model needs at least {MIN_STUDENTS} students")
    if checked["week"].nunique() < MIN_WEEKS:
        raise MixedModelDataError(f"a growth model needs at least {MIN_WEEKS} distinct weeks; use a longer lookback")
    if measured == "score" and checked["score"].nunique() < 2:
        raise MixedModelDataError("score has the same value in all rows, so there is nothing to explain")
