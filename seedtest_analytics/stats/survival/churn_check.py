"""Out-of-sample check of a churn model: refit on part of the panel, score on silences outside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.survival.churn import ChurnSettings, Method
from seedtest_analytics.stats.survival.cox import CoxFit, SurvivalData, check_survival_data, fit_cox
from seedtest_analytics.stats.survival.errors import ColumnsError, ConvergenceError, SurvivalDataError
from seedtest_analytics.stats.survival.panel import LAST_DAY, LandmarkPanel
from seedtest_analytics.stats.survival.sampling import parts_of, whole_students
from seedtest_analytics.stats.survival.weibull import WeibullFit, fit_weibull
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore, score_probabilities

Floats = NDArray[np.float64]


def known_at(panel: LandmarkPanel, day: int) -> LandmarkPanel:
    """The panel as known on ``day``: earlier landmarks, followed until that day. Rows keep their order.

    Raises:
        SurvivalDataError: for a day that is not a whole number.
    """
    count(day, "day", low=-LAST_DAY, high=LAST_DAY, error=SurvivalDataError)
    earlier = panel.take(panel.landmark_day < day)
    followed = day - earlier.landmark_day
    return replace(
        earlier,
        duration_days=np.minimum(earlier.duration_days, followed).astype(np.int32),
        is_return=earlier.is_return & (earlier.duration_days <= followed),
        data_end_day=int(day),
    )


def check_at_horizon(
    panel: LandmarkPanel, matrix: Floats, *, settings: ChurnSettings, fit: CoxFit | WeibullFit
) -> tuple[ProbabilityScore | None, str]:
    """Score the probability of silence over the horizon, forward in time where the panel is long enough.

    Forward: at each of the last landmarks that can be judged, the model is refitted on what was known then and predicts
    from there. That is how it is used, and it reveals what folds of students cannot: a term that begins, a cohort that
    fades. (On a school's log, folds gave a calibration slope of 1.0 and forward 0.) Short panels use folds of students.
    """
    panel, matrix = _checked_rows(panel, matrix, max_rows=settings.check_rows)
    judged, silent = panel.outcome_at(settings.horizon_days)
    days = np.unique(panel.landmark_day[judged])[-settings.forward_landmarks :]
    predicted, base = np.full(len(judged), np.nan), np.full(len(judged), np.nan)
    for day in days:
        past, now = known_at(panel, int(day)), judged & (panel.landmark_day == day)
        was_judged, was_silent = past.outcome_at(settings.horizon_days)
        if int((was_judged & was_silent).sum()) < settings.min_silences:
            continue
        rows = panel.landmark_day < day
        predicted[now] = _predict(matrix[rows], past, ask=matrix[now], settings=settings, fit=fit)
        base[now] = was_silent[was_judged].mean()
    scored = np.isfinite(predicted)
    if scored.any():
        n_days = len(np.unique(panel.landmark_day[scored]))
        score = score_probabilities(
            predicted[scored], silent[scored], baseline=base[scored], clusters=panel.user[scored]
        )
        return score, f"forward from the last {n_days} landmarks"
    return _by_student(panel, matrix, settings=settings, fit=fit)


def _checked_rows(panel: LandmarkPanel, matrix: Floats, *, max_rows: int) -> tuple[LandmarkPanel, Floats]:
    """At most about ``max_rows`` rows, of whole students, without the covariates, which the matrix contains."""
    bare = replace(panel, covariates={})
    if len(bare) <= max_rows:
        return bare, matrix
    rows = whole_students(bare.user, max_rows)
    return bare.take(rows), matrix[rows]


def _by_student(
    panel: LandmarkPanel, matrix: Floats, *, settings: ChurnSettings, fit: CoxFit | WeibullFit
) -> tuple[ProbabilityScore | None, str]:
    judged, silent = panel.outcome_at(settings.horizon_days)
    part = parts_of(panel.user, settings.folds)
    predicted = np.full(len(judged), np.nan)
    for fold in range(settings.folds):
        held = part == fold
        if (held & judged).any():
            predicted[held & judged] = _predict(
                matrix[~held], panel.take(~held), ask=matrix[held & judged], settings=settings, fit=fit
            )
    scored = np.isfinite(predicted)
    if not scored.any():
        return None, "nothing could be judged"
    score = score_probabilities(predicted[scored], silent[scored], clusters=panel.user[scored])
    return score, f"{settings.folds} folds of students"


def _predict(
    matrix: Floats, panel: LandmarkPanel, *, ask: Floats, settings: ChurnSettings, fit: CoxFit | WeibullFit
) -> Floats:
    """Silence of the rows ``ask`` by a model refitted to other rows; NaN where the refit fails."""
    start = fit.coefficients if isinstance(fit, CoxFit) else None
    try:
        own, _ = fit_family(survival_data(matrix, panel), settings, notes=[], start=start)
    except SurvivalDataError:
        return np.full(len(ask), np.nan)
    eta, _ = own.log_cumulative_hazard(ask, float(settings.horizon_days))
    return np.asarray(np.exp(-np.exp(eta)))


def survival_data(matrix: Floats, panel: LandmarkPanel) -> SurvivalData:
    """The rows of a panel, clustered by student."""
    return check_survival_data(matrix, panel.duration_days, events=panel.is_return, clusters=panel.user)


def fit_family(
    data: SurvivalData,
    settings: ChurnSettings,
    *,
    notes: list[str],
    names: tuple[str, ...] = (),
    start: Floats | None = None,
) -> tuple[CoxFit | WeibullFit, Method]:
    """Fit the requested family, with a Normal prior where the plain likelihood has no maximum of its own.

    ``names`` (p,) are those of the columns, for the messages. Deviations from the settings are appended to ``notes``.
    """
    try:
        return _fit(data, settings, ridge=0.0, notes=notes, start=start)
    except (ColumnsError, ConvergenceError) as error:
        why = error.naming(names) if isinstance(error, ColumnsError) and names else str(error)
        notes.append(f"{why}; refitted with a Normal prior of precision {settings.separation_ridge:g}")
        return _fit(data, settings, ridge=settings.separation_ridge, notes=notes, start=None)


def _fit(
    data: SurvivalData, settings: ChurnSettings, *, ridge: float, notes: list[str], start: Floats | None
) -> tuple[CoxFit | WeibullFit, Method]:
    if settings.family == "weibull":
        fit = fit_weibull(data, ridge=ridge)
        if fit.n < len(data.events):
            notes.append(f"Weibull fitted on {fit.n} of {len(data.events)} rows (whole students)")
        return fit, "weibull_aft_ridge" if ridge else "weibull_aft"
    horizons = tuple(sorted({float(settings.horizon_days), float(settings.follow_up_days or settings.horizon_days)}))
    return fit_cox(data, hazard_horizons=horizons, ridge=ridge, start=start), (
        "cox_efron_ridge" if ridge else "cox_efron"
    )
