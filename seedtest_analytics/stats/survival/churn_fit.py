"""Fitting the churn model: choose the columns, fit, check on what was not fitted, say whether to believe
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.survival.churn import (
    Z95,
    ChurnModel,
    ChurnSettings,
    CurvePoint,
    Method,
    Proportionality,
)
from seedtest_analytics.stats.survival.churn_check import check_at_horizon, fit_family, survival_data
from seedtest_analytics.stats.survival.cox import CoxFit, SurvivalData, check_survival_data
from seedtest_analytics.stats.survival.design import Design, plan_design, without_dependent_columns
from seedtest_analytics.stats.survival.errors import SurvivalDataError
from seedtest_analytics.stats.survival.panel import LandmarkPanel
from seedtest_analytics.stats.survival.proportionality import proportionality_test
from seedtest_analytics.stats.survival.sampling import whole_students
from seedtest_analytics.stats.survival.weibull import WeibullFit
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore
from seedtest_analytics.stats.verification.verdict import judge_probabilities

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
        fit, method = fit_family(data, chosen, notes=notes)
    except SurvivalDataError as error:
        return _heuristic_model(
            stopped, chosen, follow_up=follow_up, reasons=(f"the model could not be fitted: {error}",)
        )
    calibration, how = check_at_horizon(stopped, matrix, settings=chosen, fit=fit)
    return _model(
        stopped,
        data,
        design=design,
        fit=fit,
        method=method,
        settings=chosen,
        follow_up=follow_up,
        calibration=calibration,
        how=how,
        notes=notes,
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
        calibration_how="the heuristic is no calibrated probability",
        n=len(panel),
        n_users=len(np.unique(panel.user)),
        n_events=int(panel.is_return.sum()),
        verdict_reasons=reasons,
    )


@dataclass(frozen=True)
class _Table:
    """Coefficients and what follows from them, by design column."""

    coefficients: Mapping[str, float]
    standard_errors: Mapping[str, float]
    hazard_ratios: Mapping[str, tuple[float, float, float]]
    p_values: Mapping[str, float]


def _table(names: tuple[str, ...], coefficients: Floats, *, errors: Floats) -> _Table:
    ratios = np.exp(np.column_stack([coefficients, coefficients - Z95 * errors, coefficients + Z95 * errors]))
    p_values = 2.0 * stats.norm.sf(np.abs(coefficients / errors))
    return _Table(
        dict(zip(names, coefficients.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
        hazard_ratios={name: (row[0], row[1], row[2]) for name, row in zip(names, ratios.tolist(), strict=True)},
        p_values=dict(zip(names, p_values.tolist(), strict=True)),
    )


def _model(  # noqa: PLR0913
    panel: LandmarkPanel,
    data: SurvivalData,
    *,
    design: Design,
    fit: CoxFit | WeibullFit,
    method: Method,
    settings: ChurnSettings,
    follow_up: int,
    calibration: ProbabilityScore | None,
    how: str,
    notes: list[str],
) -> ChurnModel:
    table = _table(design.names, fit.coefficients, errors=fit.standard_errors)
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
        proportionality=_proportionality(data, fit, names=design.names),
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
    """The score test by column and, as ``GLOBAL``, for all of them; a Weibull model is not tested."""
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
