"""The churn model: probability of silence over a horizon, with an interval, reasons, and a verdict.

    S(t | x) = exp(-H0(t) exp(β'(x - centre))),   risk = S(horizon | x)

The event is the *return*, the next session. So a hazard ratio above 1 means an earlier return and a lower risk. By
default follow-up stops at the horizon (van Houwelingen 2007, Scand. J. Stat. 34:70): the coefficients then average over
exactly the days that S is about, and later departures from proportional hazards cannot bias it. ``churn_fit`` fits it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import count, number, one_of
from seedtest_analytics.stats.survival.cox import CoxFit
from seedtest_analytics.stats.survival.design import Design, named_columns
from seedtest_analytics.stats.survival.reasons import Part, Reason, reason, subjects_of
from seedtest_analytics.stats.survival.weibull import WeibullFit
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore

Floats = NDArray[np.float64]
Method = Literal["cox_efron", "cox_efron_ridge", "weibull_aft", "weibull_aft_ridge", "heuristic"]
"""Kinds of churn model; the ridge is for covariates that separate returns from silences."""
Z95 = 1.959963984540054

DEFAULT_COVARIATES = (
    "days_since_last",
    "sessions_28d",
    "mean_gap_days_28d",
    "A_t",
    "E_t",
    "R_t",
    "sessions_7d",
    "tenure_days",
    "days_per_session",
)
"""Those of the metric definition and three more; docs/churn.md has their value on four logs."""
HEURISTIC_COVARIATES = ("days_since_last", "mean_gap_days_28d", "sessions_28d")
HEURISTIC_WEIGHTS = np.array([0.6, 0.25, 0.15])
GAP_SCALE_DAYS, SESSIONS_SCALE = 7.0, 10.0
SMALLEST_REASON_LOG_HAZARD = 0.05
"""A contribution that changes the hazard by less than 5 % gets no sentence."""


@dataclass(frozen=True)
class ChurnSettings:
    """How a churn model is fitted and checked.

    ``follow_up_days`` None stops at the horizon. With fewer than ``min_returns``, ``min_silences`` or ``min_users`` the
    heuristic is used. ``separation_ridge`` is the prior precision (per standard deviation of a covariate) of the refit
    where covariates separate. The check runs forward from the last ``forward_landmarks`` landmarks that can be judged,
    or by ``folds`` of students where there are too few, on at most about ``check_rows`` rows, of whole students.

    Raises:
        ValueError: for another family, numbers out of range, or a follow-up that ends before the horizon.
    """

    horizon_days: int = 14
    follow_up_days: int | None = None
    covariates: tuple[str, ...] = DEFAULT_COVARIATES
    family: str = "cox"
    min_returns: int = 50
    min_silences: int = 20
    min_users: int = 20
    separation_ridge: float = 1.0
    forward_landmarks: int = 4
    folds: int = 5
    check_rows: int = 1_000_000

    def __post_init__(self) -> None:
        one_of(self.family, "family", choices=("cox", "weibull"))
        for name in ("horizon_days", "min_returns", "min_silences", "min_users", "forward_landmarks", "check_rows"):
            count(getattr(self, name), name, low=1)
        count(self.folds, "folds", low=2, high=1000)
        number(self.separation_ridge, "separation_ridge", low=0.0)
        if self.follow_up_days is not None and count(self.follow_up_days, "follow_up_days") < self.horizon_days:
            raise ValueError(
                f"follow_up_days {self.follow_up_days} ends before the horizon of {self.horizon_days} days"
            )


@dataclass(frozen=True)
class CurvePoint:
    """Survival (share still silent) at the average covariates, ``day`` days after a landmark."""

    day: float
    survival: float


@dataclass(frozen=True)
class Proportionality:
    """Test of one coefficient: chi-square on one degree of freedom, p, and its change from first to last event."""

    chi_square: float
    p_value: float
    trend: float


@dataclass(frozen=True)
class ChurnModel:
    """A fitted or heuristic model with everything that ``survival_fit_meta`` stores.

    Dictionaries are by design column. ``standard_errors`` are cluster-robust by student. ``calibration`` scores
    out-of-fold probabilities at the horizon; it is None for the heuristic and where no outcome could be judged.
    ``verdict_reasons`` says why the model is unusable or differs from the settings.
    """

    method: Method
    horizon_days: int
    follow_up_days: int
    coefficients: Mapping[str, float] = field(default_factory=dict)
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    hazard_ratios: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    concordance: float = math.nan
    baseline_curve: tuple[CurvePoint, ...] = ()
    proportionality: Mapping[str, Proportionality] = field(default_factory=dict)
    calibration: ProbabilityScore | None = None
    calibration_how: str = ""
    n: int = 0
    n_users: int = 0
    n_events: int = 0
    dropped: Mapping[str, str] = field(default_factory=dict)
    usable: bool = False
    verdict_reasons: tuple[str, ...] = ()
    design: Design | None = field(default=None, repr=False)
    fit: CoxFit | WeibullFit | None = field(default=None, repr=False)

    def predict_silence(
        self, covariates: Mapping[str, ArrayLike], horizon_days: float | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """(n,) probability of no session in the next ``horizon_days``, and its 95 % limits.

        The limits reflect estimation error, clustered by student; they are NaN for the heuristic. A student who
        never started (``days_since_last`` NaN) has probability NaN.

        Raises:
            ValueError: for a horizon beyond the follow-up of the fit, or covariates that are not numbers of one length.
        """
        horizon = number(self.horizon_days if horizon_days is None else horizon_days, "horizon_days", low=0.0)
        if self.fit is None or self.design is None:
            risk = _heuristic(covariates, horizon).sum(axis=1)
            return risk, np.full(len(risk), np.nan), np.full(len(risk), np.nan)
        if not 0 < horizon <= self.follow_up_days:
            raise ValueError(
                f"follow-up was {self.follow_up_days} days, so {horizon:g} days cannot be predicted; "
                "refit with a longer follow_up_days"
            )
        eta, error = self.fit.log_cumulative_hazard(self.design.matrix(covariates), horizon)
        eta = np.where(_never_started(covariates, len(eta)), np.nan, eta)
        with np.errstate(over="ignore"):
            silence, lower, upper = (np.exp(-np.exp(eta + z * error)) for z in (0.0, Z95, -Z95))
        return silence, lower, upper

    def relative_hazard(self, covariates: Mapping[str, ArrayLike]) -> Floats:
        """(n,) hazard of returning relative to a student with average covariates; NaN for the heuristic.

        Raises:
            ValueError: for covariates that are not numbers of one length.
        """
        if self.fit is None or self.design is None:
            return np.full(len(_heuristic(covariates, self.horizon_days)), np.nan)
        matrix = self.design.matrix(covariates)
        return np.asarray(np.exp((matrix - self.fit.centre) @ self.fit.coefficients))

    def contributions(self, covariates: Mapping[str, ArrayLike]) -> tuple[tuple[str, ...], Floats]:
        """Covariate names (q,) and (n, q) contributions to the log hazard of returning, relative to the average.

        The columns of one covariate (value, bend, missing indicator) are added. For the heuristic: half the weight
        minus the weighted part.

        Raises:
            ValueError: for covariates that are not numbers of one length.
        """
        if self.fit is None or self.design is None:
            parts = _heuristic(covariates, self.horizon_days)
            return HEURISTIC_COVARIATES, HEURISTIC_WEIGHTS / 2 - parts
        matrix = self.design.matrix(covariates)
        by_column = (matrix - self.fit.centre) * self.fit.coefficients
        names = self.design.covariates
        owner = np.array([[column.covariate == name for name in names] for column in self.design.columns])
        return names, np.asarray(by_column @ owner.astype(float))

    def reasons(self, covariates: Mapping[str, ArrayLike], top: int = 3) -> list[tuple[Reason, ...]]:
        """For each student up to ``top`` subjects that change the risk most, strongest first.

        Subjects without a plain reason (see :class:`Part`) are left out.

        Raises:
            ValueError: for covariates that are not numbers of one length, or a negative ``top``.
        """
        count(top, "top")
        names, parts = self.contributions(covariates)
        silence = self.predict_silence(covariates)[0]
        raw = np.column_stack([np.asarray(covariates[name], dtype=np.float64).reshape(len(silence)) for name in names])
        typical = {} if self.design is None else self.design.typical
        subjects = subjects_of(names)
        by_subject = np.column_stack([parts[:, list(columns)].sum(axis=1) for columns in subjects.values()])
        without = _silence_without(silence, by_subject, is_heuristic=self.fit is None)
        order = np.argsort(-np.abs(by_subject), axis=1)
        labels, members = tuple(subjects), tuple(subjects.values())
        usual = [typical.get(name, float("nan")) for name in names]
        change = (silence[:, None] - without).tolist()
        is_worth = (np.abs(by_subject) >= SMALLEST_REASON_LOG_HAZARD).tolist()

        def sentences(row: tuple[list[int], list[float], list[float], list[float], list[bool]]) -> Iterator[Reason]:
            strongest, own, part, less, worth = row
            for j in strongest:
                if not worth[j]:
                    return
                found = reason(
                    labels[j],
                    [Part(names[k], own[k], typical=usual[k], log_hazard=part[k]) for k in members[j]],
                    silence_change=less[j],
                )
                if found is not None:
                    yield found

        # Lists of Python floats: reading numpy floats one by one takes several times as long.
        rows = zip(order.tolist(), raw.tolist(), parts.tolist(), change, is_worth, strict=True)
        return [tuple(islice(sentences(row), top)) for row in rows]


def _silence_without(silence: Floats, parts: Floats, *, is_heuristic: bool) -> Floats:
    """(n, q) risk with each covariate in turn at its average."""
    if is_heuristic:
        return np.asarray(silence[:, None] + parts)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.exp(np.log(silence)[:, None] * np.exp(-parts)))


def _heuristic(covariates: Mapping[str, ArrayLike], horizon_days: float) -> Floats:
    """(n, 3) weighted parts of the contract's heuristic: 0.6 silence/horizon + 0.25 gap/7 + 0.15 (1 - sessions/10).

    Each part is clipped to 0..1. Fewer than two sessions in the window define no gap; the days since the last session
    are then its lower bound. (The legacy formula was NULL for students silent for the whole window, who are the most
    likely to have left.)
    """
    absent = [name for name in HEURISTIC_COVARIATES if name not in covariates]
    if absent:
        raise KeyError(f"the heuristic needs covariates {absent}, which were not given")
    silence, gap, sessions = named_columns(covariates, HEURISTIC_COVARIATES).values()
    gap = np.where(np.isnan(gap), silence, gap)
    parts = (silence / horizon_days, gap / GAP_SCALE_DAYS, 1.0 - np.nan_to_num(sessions) / SESSIONS_SCALE)
    return np.asarray(HEURISTIC_WEIGHTS * np.clip(np.column_stack(parts), 0.0, 1.0))


def _never_started(covariates: Mapping[str, ArrayLike], n: int) -> NDArray[np.bool_]:
    if "days_since_last" not in covariates:
        return np.zeros(n, dtype=bool)
    return np.isnan(np.asarray(covariates["days_since_last"], dtype=np.float64).reshape(n))
