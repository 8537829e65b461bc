"""The jobs that schedules and sensors launch, each a selection of the asset graph, and what their runs have in common."""

from __future__ import annotations

import dagster as dg

from seedtest_analytics.dagster_private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def is_under_way(run: dg.DagsterRun) -> bool:
    """The run is queued or running, or it has failed and its retry is not launched yet."""
    return run.status in UNDER_WAY or run.is_complete_and_waiting_to_retry


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run that computes the partitions from ``first`` to ``last``, both included."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


ABILITY_KEYS = (
    "ability_hyperparameters",
    "ability_state",
    "ability_topic_state",
    "mirt_ability",
    "ability_window",
    "student_topic_theta",
)
KPI_KEYS = [*(["weekly_kpi", name] for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")), ["prediction_verdict"]]

observe_source_tables = dg.define_asset_job(
    "observe_source_tables",
    selection=dg.AssetSelection.assets("exam_results", "question", "interest_goal")
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("exam_results"), "fresh")),
    description="Row counts and newest changes of the web application's tables; checks that exam results still arrive.",
)
sync_attempts = dg.define_asset_job(
    "sync_attempts",
    selection=dg.AssetSelection.assets("attempt", "attempt_quarantine"),
    description="Update the attempt log from exam_results.",
)
calibrate_irt = dg.define_asset_job(
    "calibrate_irt",
    selection=dg.AssetSelection.groups("attempts", "psychometrics"),
    description="Update the attempt log, calibrate the items and score the students.",
)
aggregate_features_daily = dg.define_asset_job(
    "aggregate_features_daily",
    selection=dg.AssetSelection.assets("features_topic_daily"),
    description="Daily features of the last AGG_LOOKBACK_DAYS days.",
)
compute_daily_kpis = dg.define_asset_job(
    "compute_daily_kpis",
    selection=dg.AssetSelection.assets(*KPI_KEYS),
    description="The six KPIs of the running week, and on Mondays of the closed week too.",
)
rescore_weeks = dg.define_asset_job(
    "rescore_weeks",
    selection=dg.AssetSelection.assets(*ABILITY_KEYS, "student_growth", *KPI_KEYS, "weekly_message"),
    description="After late corrections: score past weeks again with each week's own calibration, then the growth, the "
    "KPIs and the messages that read these abilities.",
)
fit_growth_glmm = dg.define_asset_job(
    "fit_growth_glmm",
    selection=dg.AssetSelection.assets("growth_glmm_meta", ["weekly_kpi", "growth_slope"]),
    description="The mixed growth model, fitted with lme4; growth_slope where GLMM_UPDATE_KPI asks for it.",
)
fit_bayesian_growth = dg.define_asset_job(
    "fit_bayesian_growth",
    selection=dg.AssetSelection.assets(
        "growth_brms_meta", "growth_prediction", "student_growth", ["weekly_kpi", "P"], "prediction_verdict"
    ),
    description="The Bayesian growth model, its predictions, P from them unless the settings forbid it, and growth "
    "percentiles.",
)
refresh_goal_probability = dg.define_asset_job(
    "refresh_goal_probability",
    selection=dg.AssetSelection.assets(["weekly_kpi", "P"], "prediction_verdict"),
    description="P again from the last good growth fit: a fit that fails its checks stops its own run before P.",
)
fit_survival_churn = dg.define_asset_job(
    "fit_survival_churn",
    selection=dg.AssetSelection.assets("survival_fit_meta", "survival_risk", ["weekly_kpi", "S"], "prediction_verdict"),
    description="The churn fit of the running week, and the risks and S from it.",
)
backtest_predictions = dg.define_asset_job(
    "backtest_predictions",
    selection=dg.AssetSelection.assets("prediction_backtest", "fairness_audit"),
    description="Predictions of past weeks compared with the outcomes, also by group of students.",
)
forecast_prophet = dg.define_asset_job(
    "forecast_prophet",
    selection=dg.AssetSelection.assets("prophet_fit_meta", "prophet_anomalies", ["weekly_kpi", "I_t_expected"]),
    description="Forecasts and anomalies of the weekly series, and the expected value for each student.",
)
cluster_segments = dg.define_asset_job(
    "cluster_segments",
    selection=dg.AssetSelection.assets("segment_meta", "user_segment"),
    description="Student segments as of the last closed week.",
)
irt_drift_monitor = dg.define_asset_job(
    "irt_drift_monitor",
    selection=dg.AssetSelection.assets("drift_windows", "item_calibration", "drift_alerts"),
    description="Item parameters of the recent window compared with the baseline.",
)
detect_inactivity = dg.define_asset_job(
    "detect_inactivity",
    selection=dg.AssetSelection.assets("inactivity_notice"),
    description="Record newly inactive students once and refresh their P and S.",
)
write_weekly_messages = dg.define_asset_job(
    "write_weekly_messages",
    selection=dg.AssetSelection.assets("weekly_message"),
    description="One sentence for each student and parent about the last closed week, and the outbox.",
)
generate_weekly_report = dg.define_asset_job(
    "generate_weekly_report",
    selection=dg.AssetSelection.assets("weekly_report", "report_pages"),
    description="One report per student for the last closed week.",
)
generate_cohort_reports = dg.define_asset_job(
    "generate_cohort_reports",
    selection=dg.AssetSelection.assets("cohort_report"),
    description="The pages of classes, organisations and the platform for the last closed week, and the list of the week.",
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
    write_weekly_messages,
    generate_weekly_report,
    generate_cohort_reports,
]
