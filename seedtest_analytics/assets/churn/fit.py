"""The churn fit of one week: load the landmark panel, fit, publish the row of survival_fit_meta with its verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd

from seedtest_analytics.assets.churn.checks import CALIBRATED, CONCORDANCE, ENOUGH_EVENTS, PROPORTIONAL_HAZARDS
from seedtest_analytics.assets.churn.panel import load_panel
from seedtest_analytics.assets.churn.plots import fit_plots
from seedtest_analytics.assets.churn.stored_model import model_json
from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.json_text import finite_or_none, json_text
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.survival.churn import ChurnModel, ChurnSettings
from seedtest_analytics.stats.survival.churn_fit import fit_churn
from seedtest_analytics.tables.churn import survival_fit_meta

MIN_CONCORDANCE = 0.55
TREND_P = 0.001
TREND_SIZE = 1.0
"""A log hazard that changes by more than this over the horizon, beyond chance, fails the check."""


def fit_week(run: WeekRun) -> Sequence[Outcome]:
    """Fit one week and publish its row."""
    settings = run.settings.survival
    chosen = ChurnSettings(
        horizon_days=settings.event_threshold_days,
        follow_up_days=max(settings.event_threshold_days, run.settings.kpis.churn_horizon_days),
        family=settings.family,
    )
    panel = load_panel(run.connection, run.week, lookback_days=settings.lookback_days)
    with run.without_transaction():
        model = fit_churn(panel, chosen)
    run_id = fit_id(
        "survival",
        run.week,
        settings={**settings.model_dump(mode="json"), "follow_up_days": chosen.follow_up_days},
        data=[panel.user, panel.landmark_day, panel.duration_days, *panel.covariates.values()],
    )
    published = publish_week(run, survival_fit_meta, rows=_fit_row(run.week, run_id, model=model))
    return [run.outcome(published, _metadata(run.week, run_id, model=model), checks=_checks(model))]


def _fit_row(week: Week, run_id: str, *, model: ChurnModel) -> pd.DataFrame:
    reasons = [*model.verdict_reasons, *(f"{name} left out: {why}" for name, why in model.dropped.items())]
    row = {
        "run_id": run_id,
        "week_start": week.start,
        "formula": formula(model),
        "family": model.method,
        "event_threshold_days": model.horizon_days,
        "follow_up_days": model.follow_up_days,
        "coefficients": json_text(dict(model.coefficients)),
        "standard_errors": json_text(dict(model.standard_errors)),
        "hazard_ratios": json_text({name: value[0] for name, value in model.hazard_ratios.items()}),
        "hazard_ratio_intervals": json_text({n: value[1:] for n, value in model.hazard_ratios.items()}),
        "concordance": finite_or_none(model.concordance),
        "n": model.n,
        "n_users": model.n_users,
        "n_events": model.n_events,
        "survival_curve": json_text([{"t": p.day, "S": p.survival} for p in model.baseline_curve]),
        "proportionality": json_text({name: dataclasses.asdict(test) for name, test in model.proportionality.items()}),
        "calibration": json_text(_calibration(model)),
        "is_usable": model.usable,
        "reasons": json_text(reasons),
        "model": model_json(model),
        "fitted_at": week.as_of,
    }
    return pd.DataFrame([row])


def _calibration(model: ChurnModel) -> dict[str, Any]:
    if model.calibration is None:
        return {"how": model.calibration_how}
    return {**dataclasses.asdict(model.calibration), "how": model.calibration_how}


def formula(model: ChurnModel) -> str:
    """The model in R's notation."""
    columns = " + ".join(model.coefficients) or "1"
    return f"Surv(days_to_return, returned) ~ {columns} + cluster(user_id)"


def _metadata(week: Week, run_id: str, *, model: ChurnModel) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "as_of": week.as_of.isoformat(),
        "method": model.method,
        "landmarks": model.n,
        "students": model.n_users,
        "returns": model.n_events,
        "reasons": "; ".join(model.verdict_reasons) or "none: the fit is usable",
        **fit_plots(model),
    }


def _checks(model: ChurnModel) -> list[CheckOutcome]:
    is_fitted = model.fit is not None
    why = "; ".join(model.verdict_reasons)
    score = model.calibration
    calibrated, scores = "nothing to judge", {}
    if score is not None:
        scores = {"brier": score.brier, "brier_baseline": score.brier_baseline, "ici": score.ici}
        calibrated = (
            f"out of fold: Brier {score.brier:.4f} (base rate {score.brier_baseline:.4f}), slope "
            f"{score.calibration_slope:.2f}, ICI {score.ici:.3f}"
        )
    ordered = f"{model.concordance:.3f} of pairs ordered correctly (at least {MIN_CONCORDANCE})"
    moving = [
        name
        for name, test in model.proportionality.items()
        if name != "GLOBAL" and test.p_value < TREND_P and abs(test.trend) > TREND_SIZE
    ]
    trends = f"hazard ratios that change over the follow-up: {', '.join(moving)}"
    return [
        ENOUGH_EVENTS.judged(
            f"{model.n_events:,} returns; {why}" if why else "fitted",
            is_passed=is_fitted,
            metadata={"returns": model.n_events, "students": model.n_users},
        ),
        CALIBRATED.judged(f"{calibrated}. {why}".strip(), is_passed=model.usable or not is_fitted, metadata=scores),
        CONCORDANCE.judged(
            ordered if is_fitted else "no fit",
            is_passed=not is_fitted or model.concordance >= MIN_CONCORDANCE,
            metadata={"concordance": model.concordance},
        ),
        PROPORTIONAL_HAZARDS.judged(
            trends if moving else "no hazard ratio changes much over the follow-up",
            is_passed=not moving,
            metadata={"changing_hazard_ratios": len(moving)},
        ),
    ]
