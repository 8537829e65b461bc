"""Churn, trends and segments: fits, risks, forecasts, anomalies, segments and the backtest.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import (
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "survival_fit_meta",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Fit; derived from its week, settings and data."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column("formula", sa.Text(), nullable=False, comment="The model in R's notation."),
        sa.Column(
            "family",
            sa.Text(),
            nullable=False,
            comment="What was fitted: cox_efron, cox_efron_ridge (covariates separate), weibull_aft, or heuristic.",
        ),
        sa.Column(
            "event_threshold_days",
            sa.Integer(),
            nullable=False,
            comment="Days of silence that survival_risk is about. [days]",
        ),
        sa.Column(
            "follow_up_days", sa.Integer(), nullable=True, comment="Days after which a landmark is censored. [days]"
        ),
        sa.Column(
            "coefficients",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Change of the log hazard of returning, by column: {sessions_28d, days_since_last, A_t, …}.",
        ),
        sa.Column(
            "standard_errors",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Cluster-robust (by student) standard errors of the coefficients.",
        ),
        sa.Column(
            "hazard_ratios",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="exp(coefficient) by column; above 1 is an earlier return and a lower risk.",
        ),
        sa.Column(
            "hazard_ratio_intervals",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="95 % limits of the hazard ratios: {column: [lower, upper]}.",
        ),
        sa.Column(
            "concordance", sa.DOUBLE_PRECISION(), nullable=True, comment="Share of pairs ordered right; 0.5 is chance."
        ),
        sa.Column("n", sa.Integer(), nullable=True, comment="Landmarks: one row a student and week."),
        sa.Column("n_users", sa.Integer(), nullable=True, comment="Students."),
        sa.Column("n_events", sa.Integer(), nullable=True, comment="Landmarks with a return within the follow-up."),
        sa.Column(
            "survival_curve",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="[{t, S}]: share still silent t days after a landmark, at average covariates.",
        ),
        sa.Column(
            "proportionality",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{column: {chi_square, p_value, trend}} and GLOBAL: are the hazard ratios constant in time?",
        ),
        sa.Column(
            "calibration",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Out-of-fold scores at the horizon: {brier, brier_skill, calibration_slope, ici, auc, curve, …}.",
        ),
        sa.Column(
            "is_usable",
            sa.Boolean(),
            nullable=True,
            comment="The fit may be scored with; NULL: a row of the legacy pipeline.",
        ),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Why it is not usable or not what was asked for; covariates left out with the reason.",
        ),
        sa.Column(
            "model",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="All that scoring needs; NULL for the heuristic.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no attempt at or after it was used.",
        ),
        sa.Column(
            "run_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a churn fit: time to return from weekly landmarks, and whether to believe it.",
    )
    create_index_if_missing(
        op, "ix_survival_fit_meta_week", table="survival_fit_meta", columns=["week_start"], unique=True
    )
    create_or_extend(
        op,
        "survival_risk",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column(
            "risk_score",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Probability of silence over the fit's horizon.",
        ),
        sa.Column("risk_lower", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of risk_score."),
        sa.Column("risk_upper", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of risk_score."),
        sa.Column(
            "hazard_ratio",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Hazard of returning against that of a student with average covariates.",
        ),
        sa.Column(
            "rank_percentile",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Share of the week's students whose risk is lower or, half counted, the same.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=True,
            comment="'active', 'stopped' (silent for the horizon or longer) or 'never_started'.",
        ),
        sa.Column(
            "days_silent",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Days since the start of the last session. [days]",
        ),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="What raises or lowers the risk most: [{subject, raises_risk, silence_change, text}].",
        ),
        sa.Column("method", sa.Text(), nullable=True, comment="Model of the score, or 'heuristic'."),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Fit used; survival_fit_meta.run_id."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Week that the risk is as of."),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a value last changed.",
        ),
        sa.PrimaryKeyConstraint("user_id"),
        comment="Risk of silence of each student: the newest week of survival_risk_history.",
    )
    create_or_extend(
        op,
        "survival_risk_history",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "risk_score", sa.DOUBLE_PRECISION(), nullable=True, comment="Probability of silence over the fit's horizon."
        ),
        sa.Column("risk_lower", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of risk_score."),
        sa.Column("risk_upper", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of risk_score."),
        sa.Column(
            "hazard_ratio",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Hazard of returning against that of a student with average covariates.",
        ),
        sa.Column(
            "rank_percentile",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Share of the week's students whose risk is lower or, half counted, the same.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=True,
            comment="'active', 'stopped' (silent for the horizon or longer) or 'never_started'.",
        ),
        sa.Column(
            "days_silent",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Days since the start of the last session. [days]",
        ),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="What raises or lowers the risk most: [{subject, raises_risk, silence_change, text}].",
        ),
        sa.Column("method", sa.Text(), nullable=True, comment="Model of the score, or 'heuristic'."),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Fit used; survival_fit_meta.run_id."),
        sa.PrimaryKeyConstraint("user_id", "week_start"),
        comment="Risk of silence of each student as of each week; who never started has a state and no risk.",
    )
    create_index_if_missing(
        op, "ix_survival_risk_history_week", table="survival_risk_history", columns=["week_start"], unique=False
    )
    create_or_extend(
        op,
        "inactivity_notice",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column(
            "silent_since",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Last attempt before the silence; a later attempt begins another silence.",
        ),
        sa.Column("threshold_days", sa.Integer(), nullable=False, comment="Days of silence that were crossed. [days]"),
        sa.Column(
            "noticed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant of the run that noticed it.",
        ),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Week whose P and S were refreshed."),
        sa.Column("p", sa.DOUBLE_PRECISION(), nullable=True, comment="P as refreshed."),
        sa.Column("s", sa.DOUBLE_PRECISION(), nullable=True, comment="S as refreshed."),
        sa.PrimaryKeyConstraint("user_id", "silent_since"),
        comment="Who fell silent: one row a student and silence, written once, when the threshold was crossed.",
    )
    create_index_if_missing(
        op, "ix_inactivity_notice_noticed_at", table="inactivity_notice", columns=["noticed_at"], unique=False
    )
    create_or_extend(
        op,
        "prediction_backtest",
        sa.Column(
            "week_start",
            sa.Date(),
            nullable=False,
            comment="Partition: Monday of the week that the prediction was made in.",
        ),
        sa.Column(
            "prediction",
            sa.Text(),
            nullable=False,
            comment="What was predicted: S, P, theta (the next answers), or forecast:<metric>.",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="What made it; several are joined by a comma."),
        sa.Column(
            "judged_until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="First instant after the outcomes that were looked at.",
        ),
        sa.Column(
            "cohort_size", sa.Integer(), nullable=False, comment="Students (weeks of a forecast) that were judged."
        ),
        sa.Column("n", sa.Integer(), nullable=False, comment="Predictions that were judged."),
        sa.Column("n_events", sa.Integer(), nullable=True, comment="How often it happened."),
        sa.Column("observed_share", sa.DOUBLE_PRECISION(), nullable=True, comment="Share in which it happened."),
        sa.Column("predicted_share", sa.DOUBLE_PRECISION(), nullable=True, comment="Mean prediction."),
        sa.Column(
            "brier", sa.DOUBLE_PRECISION(), nullable=True, comment="Mean squared difference of prediction and outcome."
        ),
        sa.Column("brier_baseline", sa.DOUBLE_PRECISION(), nullable=True, comment="The same of the baseline."),
        sa.Column(
            "brier_skill",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="1 - brier / brier_baseline; above 0 is better than the baseline.",
        ),
        sa.Column("brier_gain", sa.DOUBLE_PRECISION(), nullable=True, comment="brier_baseline - brier."),
        sa.Column("brier_gain_se", sa.DOUBLE_PRECISION(), nullable=True, comment="Its standard error, by student."),
        sa.Column(
            "log_score", sa.DOUBLE_PRECISION(), nullable=True, comment="Mean logarithmic loss (nats); lower is better."
        ),
        sa.Column("log_score_baseline", sa.DOUBLE_PRECISION(), nullable=True, comment="The same of the baseline."),
        sa.Column("log_skill", sa.DOUBLE_PRECISION(), nullable=True, comment="1 - log_score / log_score_baseline."),
        sa.Column(
            "calibration_intercept",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Calibration in the large (logit); 0 is right.",
        ),
        sa.Column("calibration_intercept_se", sa.DOUBLE_PRECISION(), nullable=True, comment="Its standard error."),
        sa.Column(
            "calibration_slope",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Calibration slope; 1 is right, below 1 too extreme.",
        ),
        sa.Column("calibration_slope_se", sa.DOUBLE_PRECISION(), nullable=True, comment="Its standard error."),
        sa.Column(
            "ici",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Mean distance of prediction and smooth calibration curve.",
        ),
        sa.Column("auc", sa.DOUBLE_PRECISION(), nullable=True, comment="Share of pairs ordered right; 0.5 is chance."),
        sa.Column("auc_se", sa.DOUBLE_PRECISION(), nullable=True, comment="Its standard error."),
        sa.Column("mae", sa.DOUBLE_PRECISION(), nullable=True, comment="Mean absolute error of a forecast."),
        sa.Column("mae_baseline", sa.DOUBLE_PRECISION(), nullable=True, comment="The same of the naive forecast."),
        sa.Column(
            "coverage", sa.DOUBLE_PRECISION(), nullable=True, comment="Share of outcomes inside a forecast's interval."
        ),
        sa.Column("coverage_level", sa.DOUBLE_PRECISION(), nullable=True, comment="Share that should be inside."),
        sa.Column(
            "baseline", sa.Text(), nullable=False, comment="What the baseline says, known when the prediction was made."
        ),
        sa.Column(
            "curve",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{predicted, observed, observed_lower, observed_upper, n} in groups of equal size.",
        ),
        sa.Column(
            "is_credible",
            sa.Boolean(),
            nullable=False,
            comment="No worse than the baseline and not distorted, beyond chance.",
        ),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Why it is not credible.",
        ),
        sa.Column(
            "notes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="What to know when reading the numbers.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("week_start", "prediction"),
        comment="Predictions of each week scored against what happened, each beside a naive baseline.",
    )
    create_or_extend(
        op,
        "segment_meta",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run; derived from its week, settings and data."),
        sa.Column(
            "week_start",
            sa.Date(),
            nullable=True,
            comment="Partition: Monday of the last week that the features reach.",
        ),
        sa.Column(
            "method",
            sa.Text(),
            nullable=False,
            comment="kmeans, minibatch_kmeans, gaussian_mixture or single (one segment).",
        ),
        sa.Column("n_clusters", sa.Integer(), nullable=False, comment="Segments."),
        sa.Column(
            "centers",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{segment id: {feature: median of the members}}.",
        ),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{withinss, tot_withinss, betweenss, silhouette, gap, reason, jaccard, explained, …}.",
        ),
        sa.Column("n_users", sa.Integer(), nullable=True, comment="Students in the run."),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: nothing at or after it was used.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a segmentation: how many segments, why so many, and how good they are.",
    )
    create_index_if_missing(op, "ix_segment_meta_week", table="segment_meta", columns=["week_start"], unique=True)
    create_or_extend(
        op,
        "segment_profile",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run; segment_meta.run_id."),
        sa.Column(
            "segment_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Identity of the segment, kept from run to run.",
        ),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("segment_label", sa.Text(), nullable=False, comment="Name by the segment's own centre."),
        sa.Column("segment_description", sa.Text(), nullable=False, comment="What sets it apart, in one sentence."),
        sa.Column(
            "centre",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{feature: median of the members}.",
        ),
        sa.Column(
            "scaled_centre",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The same in robust standard deviations from the middle.",
        ),
        sa.Column("n", sa.Integer(), nullable=False, comment="Members."),
        sa.Column("share", sa.DOUBLE_PRECISION(), nullable=False, comment="Share of the students."),
        sa.Column(
            "jaccard",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Stability: mean Jaccard similarity over bootstraps.",
        ),
        sa.Column("is_new", sa.Boolean(), nullable=False, comment="No segment of the run before is the same."),
        sa.Column(
            "moved", sa.DOUBLE_PRECISION(), nullable=True, comment="Scaled distance from its centre in the run before."
        ),
        sa.PrimaryKeyConstraint("run_id", "segment_id"),
        comment="The segments of each run: name, description, centre, stability.",
    )
    create_index_if_missing(
        op, "ix_segment_profile_week", table="segment_profile", columns=["week_start"], unique=False
    )
    create_or_extend(
        op,
        "user_segment",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("segment_label", sa.Text(), nullable=False, comment="Name of the segment."),
        sa.Column(
            "features_snapshot",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{user_id, engagement, improvement, efficiency, recovery, sessions, gap, avg_rt, avg_hints, …}.",
        ),
        sa.Column(
            "assigned_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="As-of instant of the run."
        ),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Run; segment_meta.run_id."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Week of the run."),
        sa.Column("segment_id", sa.BigInteger(), nullable=True, comment="Identity of the segment."),
        sa.Column("confidence", sa.DOUBLE_PRECISION(), nullable=True, comment="How clearly the student is in it."),
        sa.Column("map_x", sa.DOUBLE_PRECISION(), nullable=True, comment="First coordinate on the segment map."),
        sa.Column("map_y", sa.DOUBLE_PRECISION(), nullable=True, comment="Second coordinate on the segment map."),
        sa.PrimaryKeyConstraint("user_id"),
        comment="Segment of each student by the newest run.",
    )
    create_or_extend(
        op,
        "prophet_fit_meta",
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Fit; derived from its week, metric, settings and data."
        ),
        sa.Column("metric", sa.Text(), nullable=False, comment="KPI or topic:<topic_id>."),
        sa.Column(
            "changepoints",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="[{ds, slope_change_per_week}]: bends of the trend.",
        ),
        sa.Column(
            "forecast",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="[{ds, yhat, yhat_lower, yhat_upper}] of the weeks ahead.",
        ),
        sa.Column(
            "fit_meta",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{status, reason, periods, threshold, trend, score, beats_baseline, warnings, insample, …}.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: nothing at or after it was used.",
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="NULL: the series is the whole cohort's."),
        sa.Column("lookback_weeks", sa.Integer(), nullable=True, comment="Closed weeks that the series reaches back."),
        sa.Column("horizon_weeks", sa.Integer(), nullable=True, comment="Weeks ahead."),
        sa.Column(
            "anomaly_threshold", sa.DOUBLE_PRECISION(), nullable=True, comment="A week is an anomaly from this |z| on."
        ),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a series and week: forecast, changepoints, and how it fares beside a naive baseline.",
    )
    create_index_if_missing(
        op, "ix_prophet_fit_meta_week_metric", table="prophet_fit_meta", columns=["week_start", "metric"], unique=True
    )
    create_or_extend(
        op,
        "prophet_anomalies",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Fit; prophet_fit_meta.run_id."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Monday of the week that lay far off."),
        sa.Column("metric", sa.Text(), nullable=False, comment="KPI or topic:<topic_id>."),
        sa.Column("value", sa.DOUBLE_PRECISION(), nullable=True, comment="What it was."),
        sa.Column("expected", sa.DOUBLE_PRECISION(), nullable=True, comment="Forecast from the weeks before."),
        sa.Column(
            "anomaly_score",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Signed z: value less expectation, over the SD of such errors in the other weeks.",
        ),
        sa.Column(
            "detected_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first found.",
        ),
        sa.Column("fit_week", sa.Date(), nullable=True, comment="Partition: Monday of the week of the fit."),
        sa.PrimaryKeyConstraint("run_id", "week_start", "metric"),
        comment="Weeks whose value lay at least anomaly_threshold from a forecast made without them.",
    )
    create_index_if_missing(
        op, "ix_prophet_anomalies_fit_week", table="prophet_anomalies", columns=["fit_week"], unique=False
    )


def downgrade() -> None:
    undo_revision(op, revision)
