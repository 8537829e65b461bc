"""The jobs that schedules and sensors launch: one a legacy CronJob, each a selection of the asset graph."""

from __future__ import annotations

import dagster as dg

SOURCE_KEYS = ("exam_results", "question", "interest_goal")
ABILITY_KEYS = ("mirt_ability", "ability_window", "student_topic_theta")
KPI_KEYS = [["weekly_kpi", name] for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")]

observe_source_tables = dg.define_asset_job(
    "observe_source_tables",
    selection=dg.AssetSelection.assets(*SOURCE_KEYS)
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("exam_results"), "fresh")),
    description="Rows and newest change of the web application's tables, and whether exam results still come.",
)
sync_attempts = dg.define_asset_job(
    "sync_attempts",
    selection=dg.AssetSelection.assets("attempt", "attempt_quarantine"),
    description="Bring the attempt log in step with exam_results.",
)
calibrate_irt = dg.define_asset_job(
    "calibrate_irt",
    selection=dg.AssetSelection.groups("attempts", "psychometrics"),
    description="Sync the attempts, calibrate the items, score the students.",
)
aggregate_features_daily = dg.define_asset_job(
    "aggregate_features_daily",
    selection=dg.AssetSelection.assets("features_topic_daily"),
    description="Daily features of the last AGG_LOOKBACK_DAYS days.",
)
compute_daily_kpis = dg.define_asset_job(
    "compute_daily_kpis",
    selection=dg.AssetSelection.assets(*KPI_KEYS),
    description="The six KPIs of the running week, on Mondays of the closed week too.",
)
rescore_weeks = dg.define_asset_job(
    "rescore_weeks",
    selection=dg.AssetSelection.assets(*ABILITY_KEYS, *KPI_KEYS),
    description="After late corrections: score the students of past weeks anew with the calibration that each week has, "
    "then the KPIs that read these abilities.",
)
fit_growth_glmm = dg.define_asset_job(
    "fit_growth_glmm",
    selection=dg.AssetSelection.assets("growth_glmm_meta", ["weekly_kpi", "growth_slope"]),
    description="The mixed model of growth by lme4; growth_slope on request.",
)
fit_bayesian_growth = dg.define_asset_job(
    "fit_bayesian_growth",
    selection=dg.AssetSelection.assets("growth_brms_meta", "growth_prediction", ["weekly_kpi", "P"]),
    description="The Bayesian growth model, its predictions, and P by them where METRICS_USE_BAYESIAN asks for it.",
)
refresh_goal_probability = dg.define_asset_job(
    "refresh_goal_probability",
    selection=dg.AssetSelection.assets(["weekly_kpi", "P"]),
    description="P once more: after a growth fit that fell short, which stops its own run, by the last good one.",
)
fit_survival_churn = dg.define_asset_job(
    "fit_survival_churn",
    selection=dg.AssetSelection.assets("survival_fit_meta", "survival_risk", ["weekly_kpi", "S"]),
    description="The churn fit of the running week, the risks and S by it.",
)
backtest_predictions = dg.define_asset_job(
    "backtest_predictions",
    selection=dg.AssetSelection.assets("prediction_backtest"),
    description="Predictions of past weeks against what happened.",
)
forecast_prophet = dg.define_asset_job(
    "forecast_prophet",
    selection=dg.AssetSelection.assets("prophet_fit_meta", "prophet_anomalies", ["weekly_kpi", "I_t_expected"]),
    description="Forecast and anomalies of the weekly series, and what was expected of each student.",
)
cluster_segments = dg.define_asset_job(
    "cluster_segments",
    selection=dg.AssetSelection.assets("segment_meta", "user_segment"),
    description="Segments of the students as of the last closed week.",
)
irt_drift_monitor = dg.define_asset_job(
    "irt_drift_monitor",
    selection=dg.AssetSelection.assets("drift_windows", "item_calibration", "drift_alerts"),
    description="Item parameters of the recent window against the baseline's.",
)
detect_inactivity = dg.define_asset_job(
    "detect_inactivity",
    selection=dg.AssetSelection.assets("inactivity_notice"),
    description="Students who fell silent: noticed once, their P and S refreshed.",
)
generate_weekly_report = dg.define_asset_job(
    "generate_weekly_report",
    selection=dg.AssetSelection.assets("weekly_report"),
    description="One report a student for the last closed week.",
)

JOBS = [
    observe_source_tables,
    sync_attempts,
    calibrate_irt,
    aggregate_features_daily,
    fit_growth_glmm,
    compute_daily_kpis,
    rescore_weeks,
    fit_bayesian_growth,
    refresh_goal_probability,
    fit_survival_churn,
    detect_inactivity,
    forecast_prophet,
    cluster_segments,
    backtest_predictions,
    irt_drift_monitor,
    generate_weekly_report,
]
