"""The churn fit of one week: panel in, a row of survival_fit_meta with a verdict out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from seedtest_analytics.assets.churn.panel import load_panel
from seedtest_analytics.assets.churn.plots import fit_plots
from seedtest_analytics.assets.churn.stored_model import model_json
from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.framework.json_text import finite_or_none, json_text
from seedtest_analytics.database.publish import publish, staged_from_frame
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import KpiSettings, SurvivalSettings
from seedtest_analytics.tables.churn import survival_fit_meta

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.stats.survival.churn import ChurnModel
    from seedtest_analytics.stats.survival.panel import LandmarkPanel

MIN_CONCORDANCE = 0.55
TREND_P = 0.001
TREND_SIZE = 1.0
"""A coefficient that changes by more than this (log hazard) over the horizon, and not by chance."""


def fit_week(
    postgres: PostgresResource, week: Week, *, settings: SurvivalSettings, kpis: KpiSettings, dry: bool
) -> Outcome:
    """Fit one week and publish its row."""
    from seedtest_analytics.stats.survival.churn import ChurnSettings
    from seedtest_analytics.stats.survival.churn_fit import fit_churn

    chosen = ChurnSettings(
        horizon_days=settings.event_threshold_days,
        follow_up_days=max(settings.event_threshold_days, kpis.churn_horizon_days),
        family=settings.family,
    )
    with postgres.transaction(f"survival_fit_meta:{week.key}", is_dry_run=dry) as connection:
        panel = load_panel(connection, week, lookback_days=settings.lookback_days)
        model = fit_churn(panel, chosen)
        run_id = _run_id(week, settings, follow_up=chosen.follow_up_days, panel=panel)
        staged_from_frame(connection, "staged_fit", table=survival_fit_meta, frame=_fit_row(week, run_id, model=model))
        published = publish(
            connection,
            survival_fit_meta,
            staged="staged_fit",
            partition="t.week_start = :week_start",
            parameters={"week_start": week.start},
        )
    return Outcome(
        published,
        _metadata(week, run_id, model=model),
        checks=_checks(model),
        partition=week.key,
        is_dry_run=dry,
    )


def _run_id(week: Week, settings: SurvivalSettings, *, follow_up: int | None, panel: LandmarkPanel) -> str:
    """The same week, settings and data give the same id."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([settings.model_dump(mode="json"), follow_up], sort_keys=True).encode())
    for column in (panel.user, panel.landmark_day, panel.duration_days, *panel.covariates.values()):
        digest.update(column.tobytes())
    return f"survival-{week.iso_label}-{digest.hexdigest()[:10]}"


def _fit_row(week: Week, run_id: str, *, model: ChurnModel) -> pd.DataFrame:
    import pandas as pd

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
    fitted = model.fit is not None
    why = "; ".join(model.verdict_reasons)
    score = model.calibration
    calibrated = (
        "nothing to judge"
        if score is None
        else (
            f"out of fold: Brier {score.brier:.4f} (base rate {score.brier_baseline:.4f}), slope "
            f"{score.calibration_slope:.2f}, ICI {score.ici:.3f}"
        )
    )
    moving = [
        name
        for name, test in model.proportionality.items()
        if name != "GLOBAL" and test.p_value < TREND_P and abs(test.trend) > TREND_SIZE
    ]
    return [
        CheckOutcome("enough_events", fitted, description=f"{model.n_events:,} returns; {why}" if why else "fitted"),
        CheckOutcome("calibrated", model.usable or not fitted, description=f"{calibrated}. {why}".strip()),
        CheckOutcome(
            "concordance",
            not fitted or model.concordance >= MIN_CONCORDANCE,
            description=f"{model.concordance:.3f} of pairs ordered right (least {MIN_CONCORDANCE})"
            if fitted
            else "no fit",
        ),
        CheckOutcome(
            "proportional_hazards",
            not moving,
            description=f"hazard ratios that change over the follow-up: {', '.join(moving)}"
            if moving
            else "no hazard ratio changes much over the follow-up",
        ),
    ]
