"""Fitting the churn model: choose the columns, fit, check out of fold, and say whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.calibration.probabilities import ProbabilityScore, score_probabilities
from seedtest_analytics.stats.calibration.verdict import judge_probabilities
from seedtest_analytics.stats.survival.churn import (
    Z95,
    ChurnModel,
    ChurnSettings,
    CurvePoint,
    Proportionality,
)
from seedtest_analytics.stats.survival.cox import CoxFit, SurvivalData, check_survival_data, fit_cox
from seedtest_analytics.stats.survival.design import Design, plan_design, without_dependent_columns
from seedtest_analytics.stats.survival.errors import SeparationError, SurvivalDataError
from seedtest_analytics.stats.survival.panel import LandmarkPanel
from seedtest_analytics.stats.survival.proportionality import proportionality_test
from seedtest_analytics.stats.survival.weibull import WeibullFit, fit_weibull

Floats = NDArray[np.float64]

PROPORTIONALITY_MAX_ROWS = 1_000_000
"""The check of proportional hazards looks at whole students up to this many rows: beyond, every trend is
significant.
"""


def fit_churn(panel: LandmarkPanel, settings: ChurnSettings | None = None) -> ChurnModel:
    """Fit the churn model of a landmark panel, or return the heuristic with the reason why.

    Never raises for data that are too thin: no returns, nobody silent, one student, constant or separating
    covariates each lead to a named method and a stated reason.
    """
    chosen = settings or ChurnSettings()
    if chosen.family not in ("cox", "weibull"):
        raise ValueError(f"family must be 'cox' or 'weibull', not {chosen.family!r}")
    follow_up = chosen.follow_up_days or chosen.horizon_days
    if follow_up < chosen.horizon_days:
        raise ValueError(f"follow_up_days {follow_up} ends before the horizon of {chosen.horizon_days} days")
    stopped = panel.stopped_at(follow_up)
    thin = _too_thin(stopped, chosen)
    if thin:
        return _heuristic_model(stopped, chosen, follow_up, thin)
    design = plan_design(stopped.covariates, chosen.covariates)
    design, matrix = (
        without_dependent_columns(design, design.matrix(stopped.covariates))
        if design.columns
        else (design, None)
    )
    if matrix is None or not design.columns:
        why = "; ".join(f"{name}: {reason}" for name, reason in design.dropped.items())
        return _heuristic_model(stopped, chosen, follow_up, (f"no covariate can be used ({why})",))
    data = _survival_data(matrix, stopped)
    notes: list[str] = []
    try:
        fit, method = _fit(data, chosen, notes)
    except SurvivalDataError as error:
        return _heuristic_model(stopped, chosen, follow_up, (f"the model could not be fitted: {error}",))
    calibration, how = _out_of_fold(stopped, data, chosen, fit)
    return _model(stopped, data, design, fit, method, chosen, follow_up, calibration, how, notes)


def _too_thin(panel: LandmarkPanel, settings: ChurnSettings) -> tuple[str, ...]:
    users = len(np.unique(panel.user))
    judged, silent = panel.outcome_at(settings.horizon_days)
    found = (
        (int(panel.is_return.sum()), settings.min_returns, "returns"),
        (int((judged & silent).sum()), settings.min_silences, f"silences of {settings.horizon_days} days"),
        (users, settings.min_users, "students"),
    )
    return tuple(f"only {count} {what}, {least} are needed" for count, least, what in found if count < least)


def _survival_data(
    matrix: Floats, panel: LandmarkPanel, rows: NDArray[np.bool_] | None = None
) -> SurvivalData:
    chosen = slice(None) if rows is None else rows
    return check_survival_data(
        matrix[chosen], panel.duration_days[chosen], panel.is_return[chosen], clusters=panel.user[chosen]
    )


def _fit(
    data: SurvivalData, settings: ChurnSettings, notes: list[str], start: Floats | None = None
) -> tuple[CoxFit | WeibullFit, str]:
    if settings.family == "weibull":
        fit = fit_weibull(data)
        if fit.n < len(data.events):
            notes.append(f"Weibull fitted on {fit.n} of {len(data.events)} rows (whole students)")
        return fit, "weibull_aft"
    horizons = (float(settings.horizon_days), float(settings.follow_up_days or settings.horizon_days))
    try:
        return fit_cox(data, hazard_horizons=tuple(sorted(set(horizons))), start=start), "cox_efron"
    except SeparationError as error:
        notes.append(f"{error}; refitted with a Normal prior of precision {settings.separation_ridge:g}")
        ridge = settings.separation_ridge
        return fit_cox(data, hazard_horizons=tuple(sorted(set(horizons))), ridge=ridge), "cox_efron_ridge"


def _out_of_fold(
    panel: LandmarkPanel, data: SurvivalData, settings: ChurnSettings, fit: CoxFit | WeibullFit
) -> tuple[ProbabilityScore | None, str]:
    """Score silence at the horizon for students who were not in the fit."""
    judged, silent = panel.outcome_at(settings.horizon_days)
    folds = 1 if len(judged) > settings.rows_for_one_fold else settings.folds
    parts = max(folds, 5)
    part = (panel.user.astype(np.int64) * 2_654_435_761 >> 7) % parts
    predicted = np.full(len(judged), np.nan)
    for fold in range(folds):
        held = part == fold
        asked = held & judged
        if not asked.any():
            continue
        try:
            own, _ = _fit(_survival_data(data.X, panel, ~held), settings, [], start=fit.coefficients)
        except SurvivalDataError:
            continue
        eta, _ = own.log_cumulative_hazard(data.X[asked], float(settings.horizon_days))
        predicted[asked] = np.exp(-np.exp(eta))
    scored = np.isfinite(predicted)
    how = (
        f"{folds} folds of students"
        if folds > 1
        else f"one fifth of the students held out ({int(scored.sum())} rows)"
    )
    if not scored.any():
        return None, "nothing could be judged"
    score = score_probabilities(predicted[scored], silent[scored], clusters=panel.user[scored])
    return score, how


def _heuristic_model(
    panel: LandmarkPanel, settings: ChurnSettings, follow_up: int, reasons: tuple[str, ...]
) -> ChurnModel:
    return ChurnModel(
        method="heuristic",
        horizon_days=settings.horizon_days,
        follow_up_days=follow_up,
        coefficients={},
        standard_errors={},
        hazard_ratios={},
        p_values={},
        concordance=float("nan"),
        baseline_curve=(),
        proportionality={},
        calibration=None,
        calibration_how="the heuristic is no calibrated probability",
        n=len(panel),
        n_users=len(np.unique(panel.user)),
        n_events=int(panel.is_return.sum()),
        dropped={},
        usable=False,
        verdict_reasons=reasons,
        design=None,
        fit=None,
    )


@dataclass(frozen=True)
class _Table:
    """Coefficients and what follows from them, by design column."""

    coefficients: Mapping[str, float]
    standard_errors: Mapping[str, float]
    hazard_ratios: Mapping[str, tuple[float, float, float]]
    p_values: Mapping[str, float]


def _table(names: tuple[str, ...], coefficients: Floats, errors: Floats) -> _Table:
    ratios = np.exp(np.column_stack([coefficients, coefficients - Z95 * errors, coefficients + Z95 * errors]))
    p_values = 2.0 * stats.norm.sf(np.abs(coefficients / errors))
    return _Table(
        dict(zip(names, coefficients.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
        {name: (row[0], row[1], row[2]) for name, row in zip(names, ratios.tolist(), strict=True)},
        dict(zip(names, p_values.tolist(), strict=True)),
    )


def _model(
    panel: LandmarkPanel,
    data: SurvivalData,
    design: Design,
    fit: CoxFit | WeibullFit,
    method: str,
    settings: ChurnSettings,
    follow_up: int,
    calibration: ProbabilityScore | None,
    how: str,
    notes: list[str],
) -> ChurnModel:
    table = _table(design.names, fit.coefficients, fit.standard_errors)
    judgement: tuple[str, ...] = ("no landmark lies a whole horizon before the end of the data",)
    if calibration is not None:
        judgement = judge_probabilities(calibration).reasons
    return ChurnModel(
        method=method,
        horizon_days=settings.horizon_days,
        follow_up_days=follow_up,
        coefficients=table.coefficients,
        standard_errors=table.standard_errors,
        hazard_ratios=table.hazard_ratios,
        p_values=table.p_values,
        concordance=fit.concordance,
        baseline_curve=_baseline_curve(fit, follow_up),
        proportionality=_proportionality(data, fit, design.names),
        calibration=calibration,
        calibration_how=how,
        n=len(panel),
        n_users=data.n_clusters,
        n_events=int(data.events.sum()),
        dropped=design.dropped,
        usable=not judgement,
        verdict_reasons=(*judgement, *notes),
        design=design,
        fit=fit,
    )


def _baseline_curve(fit: CoxFit | WeibullFit, follow_up: int) -> tuple[CurvePoint, ...]:
    average = fit.centre[None, :]
    points = [CurvePoint(0.0, 1.0)]
    for day in range(1, follow_up + 1):
        eta = fit.log_cumulative_hazard(average, float(day))[0][0]
        points.append(CurvePoint(float(day), float(np.exp(-np.exp(eta)))))
    return tuple(points)


def _proportionality(
    data: SurvivalData, fit: CoxFit | WeibullFit, names: tuple[str, ...]
) -> dict[str, Proportionality]:
    """The score test by column and, as ``GLOBAL``, for all of them; a Weibull model is not tested."""
    if isinstance(fit, WeibullFit):
        return {}
    n = len(data.events)
    if n > PROPORTIONALITY_MAX_ROWS and data.clusters is not None:
        stride = n // PROPORTIONALITY_MAX_ROWS + 1
        rows = (data.clusters * 2_654_435_761 >> 7) % stride == 0
        data = check_survival_data(data.X[rows], data.stop_times[rows], data.events[rows])
    test = proportionality_test(data, fit)
    labels = (*names, "GLOBAL")
    trends = [*test.trend.tolist(), float("nan")]
    rows_of = zip(labels, test.chi_square.tolist(), test.p_value.tolist(), trends, strict=True)
    return {label: Proportionality(chi, p, trend) for label, chi, p, trend in rows_of}
