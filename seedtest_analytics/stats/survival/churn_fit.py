"""Fitting the churn model: choose the columns, fit, check out of sample, give a verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.survival.churn import Z95, ChurnModel, ChurnSettings, CurvePoint, Method, Proportionality
from seedtest_analytics.stats.survival.churn_check import check_at_horizon, fit_family, survival_data
from seedtest_analytics.stats.survival.cox import CoxFit, SurvivalData, check_survival_data
from seedtest_analytics.stats.survival.design import Design, plan_design, without_dependent_columns
from seedtest_analytics.stats.survival.errors import SurvivalDataError
from seedtest_analytics.stats.survival.panel import LandmarkPanel
from seedtest_analytics.stats.survival.proportionality import proportionality_test
from seedtest_analytics.stats.survival.sampling import whole_students
from seedtest_analytics.stats.survival.weibull import WeibullFit
from seedtest_analytics.stats.verification.verdict import judge_probabilities

Floats = NDArray[np.float64]

PROPORTIONALITY_MAX_ROWS = 1_000_000
"""The test of proportional hazards uses whole students up to this many rows; beyond, every trend is significant."""


def fit_churn(panel: LandmarkPanel, settings: ChurnSettings | None = None) -> ChurnModel:
    """Fit the churn model of a landmark panel, or return the heuristic with the reason.

    Thin data do not raise: no returns, no silences, one student, constant or separating covariates each lead to a named
    method and a stated reason. Panel and settings check themselves.
    """
    chosen = settings or ChurnSettings()
    follow_up = chosen.follow_up_days or chosen.horizon_days
    stopped = panel.stopped_at(follow_up)
    thin = _too_thin(stopped, chosen)
    if thin:
        return _heuristic_model(stopped, chosen, follow_up=follow_up, reasons=thin)
    design = plan_design(stopped.covariates, chosen.covariates)
    design, matrix = (
        without_dependent_columns(design, design.matrix(stopped.covariates)) if design.columns else (design, None)
    )
    if matrix is None or not design.columns:
        why = "; ".join(f"{name}: {reason}" for name, reason in design.dropped.items())
        return _heuristic_model(stopped, chosen, follow_up=follow_up, reasons=(f"no covariate can be used ({why})",))
    data = survival_data(matrix, stopped)
    notes: list[str] = []
    try:
        fit, method = fit_family(data, chosen, notes=notes, names=design.names)
    except SurvivalDataError as error:
        return _heuristic_model(
            stopped, chosen, follow_up=follow_up, reasons=(f"the model could not be fitted: {error}",)
        )
    return _model(
        stopped, data, design=design, fit=fit, method=method, settings=chosen, follow_up=follow_up, notes=notes
    )


def _too_thin(panel: LandmarkPanel, settings: ChurnSettings) -> tuple[str, ...]:
    users = len(np.unique(panel.user))
    judged, silent = panel.outcome_at(settings.horizon_days)
    found = (
        (int(panel.is_return.sum()), settings.min_returns, "returns"),
        (int((judged & silent).sum()), settings.min_silences, f"silences of {settings.horizon_days} days"),
        (users, settings.min_users, "students"),
    )
    return tuple(f"only {count} {what}, {least} are needed" for count, least, what in found if count < least)


def _heuristic_model(
    panel: LandmarkPanel, settings: ChurnSettings, *, follow_up: int, reasons: tuple[str, ...]
) -> ChurnModel:
    return ChurnModel(
        method="heuristic",
        horizon_days=settings.horizon_days,
        follow_up_days=follow_up,
        calibration_how="the heuristic is not a calibrated probability",
        n=len(panel),
        n_users=len(np.unique(panel.user)),
        n_events=int(panel.is_return.sum()),
        verdict_reasons=reasons,
    )


def _model(
    panel: LandmarkPanel,
    data: SurvivalData,
    *,
    design: Design,
    fit: CoxFit | WeibullFit,
    method: Method,
    settings: ChurnSettings,
    follow_up: int,
    notes: list[str],
) -> ChurnModel:
    calibration, how = check_at_horizon(panel, data.X, settings=settings, fit=fit)
    names, errors = design.names, fit.standard_errors
    limits = np.column_stack([fit.coefficients, fit.coefficients - Z95 * errors, fit.coefficients + Z95 * errors])
    p_values = 2.0 * stats.norm.sf(np.abs(fit.coefficients / errors))
    judgement: tuple[str, ...] = ("no landmark lies a whole horizon before the end of the data",)
    if calibration is not None:
        judgement = judge_probabilities(calibration).reasons
    return ChurnModel(
        method=method,
        horizon_days=settings.horizon_days,
        follow_up_days=follow_up,
        coefficients=dict(zip(names, fit.coefficients.tolist(), strict=True)),
        standard_errors=dict(zip(names, errors.tolist(), strict=True)),
        hazard_ratios={name: (r[0], r[1], r[2]) for name, r in zip(names, np.exp(limits).tolist(), strict=True)},
        p_values=dict(zip(names, p_values.tolist(), strict=True)),
        concordance=fit.concordance,
        baseline_curve=_baseline_curve(fit, follow_up),
        proportionality=_proportionality(data, fit, names=names),
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
    data: SurvivalData, fit: CoxFit | WeibullFit, *, names: tuple[str, ...]
) -> dict[str, Proportionality]:
    """The score test by column and, as ``GLOBAL``, for all columns; a Weibull model is not tested."""
    if isinstance(fit, WeibullFit):
        return {}
    if len(data.events) > PROPORTIONALITY_MAX_ROWS and data.clusters is not None:
        rows = whole_students(data.clusters, PROPORTIONALITY_MAX_ROWS)
        data = check_survival_data(data.X[rows], data.stop_times[rows], events=data.events[rows])
    test = proportionality_test(data, fit)
    labels = (*names, "GLOBAL")
    trends = [*test.trend.tolist(), float("nan")]
    rows_of = zip(labels, test.chi_square.tolist(), test.p_value.tolist(), trends, strict=True)
    return {label: Proportionality(chi, p, trend=trend) for label, chi, p, trend in rows_of}
