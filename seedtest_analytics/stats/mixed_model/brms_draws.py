"""A growth posterior as R's brms draws it: every student's intercept and slope sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.stats.mixed_model.data import Family, MixedModelDataError

MIN_STUDENTS = 2
# With two weeks the residual and the slopes' variance are not told apart, and the sampler does not converge.
MIN_WEEKS = 3


@dataclass(frozen=True)
class BrmsDraws:
    """Draws after warm-up of ``score ~ week + (week | student_id)``.

    Attributes:
        family: gaussian, or binomial (logits). parameters: each of shape (chains, draws), under brms's
        names: ``b_Intercept`` (at week 0), ``b_week``, ``sd_student_id__Intercept``,
        ``sd_student_id__week``, ``cor_student_id__Intercept__week`` and, in the gaussian family, ``sigma``.
        student_ids: shape (J,), ascending. student_intercept, student_slope: shape (chains, draws, J), the
        population's part included; at week 0. priors: read back from the data that Stan was given, in the
        contract's shape. divergences: divergent transitions. ebfmi: energy fraction of missing information,
        shape (chains,). treedepth_max: deepest tree seen; ``treedepth_hits`` transitions ended at the limit
        of 10. seed: of the random numbers. program: the Stan program. is_model_from_cache: whether the
        compiled model was there already. toolchain: versions of R, brms and rstan.
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

    def student_means_at(self, week: float) -> np.ndarray:
        """Each student's expected score (logit, if binomial) at a week; shape (chains, draws, J)."""
        return self.student_intercept + self.student_slope * week


def check_growth_rows(rows: pd.DataFrame, family: Family) -> pd.DataFrame:
    """``student_id``, ``week`` and ``score``, or ``right`` and ``attempts`` of the binomial family, as
    numbers.

    Raises :class:`MixedModelDataError` naming the column and the first bad rows, or what there is too
    little of.
    """
    measured = ["score"] if family == "gaussian" else ["right", "attempts"]
    wanted = ["student_id", "week", *measured]
    missing = [c for c in wanted if c not in rows]
    if missing:
        raise MixedModelDataError(f"growth rows of the {family} family need {', '.join(wanted)}; missing: {missing}")
    checked = rows[wanted].reset_index(drop=True)
    for column in wanted[1:]:
        checked[column] = pd.to_numeric(checked[column], errors="coerce")
        _refuse(~np.isfinite(checked[column].to_numpy(dtype=float)), f"{column} is missing, infinite or no number")
    _refuse(checked["student_id"].isna().to_numpy(), "student_id is missing")
    if family == "binomial":
        right, attempts = checked["right"], checked["attempts"]
        is_count = (right % 1 == 0) & (attempts % 1 == 0) & (right >= 0) & (right <= attempts) & (attempts >= 1)
        _refuse(~is_count.to_numpy(), "right and attempts are no counts with 0 ≤ right ≤ attempts")
        checked[measured] = checked[measured].astype(int)
    _check_enough(checked, measured[0])
    return checked


def _check_enough(checked: pd.DataFrame, measured: str) -> None:
    if checked["student_id"].nunique() < MIN_STUDENTS:
        raise MixedModelDataError(f"a growth model needs {MIN_STUDENTS} students and more")
    if checked["week"].nunique() < MIN_WEEKS:
        raise MixedModelDataError(f"a growth model needs {MIN_WEEKS} distinct weeks and more: use a longer lookback")
    if measured == "score" and checked["score"].nunique() < 2:
        raise MixedModelDataError("score has one value in all rows: there is nothing to explain")


def _refuse(is_bad: np.ndarray, message: str) -> None:
    if is_bad.any():
        shown = ", ".join(map(str, np.flatnonzero(is_bad)[:5]))
        raise MixedModelDataError(f"{message} ({int(is_bad.sum())} rows, first: {shown})")
