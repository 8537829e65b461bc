"""Churn, trends and segments: fits, risks, forecasts, anomalies, segments and the backtest.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.resources.migrations import (
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
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Fit; derived from its week, settings and data."
        ),
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
            "follow_up_days",
            sa.Integer(),
            nullable=True,
            comment="Days after which a landmark is censored. [days]",
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
            "concordance",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Share of pairs ordered right; 0.5 is chance.",
        ),
        sa.Column("n", sa.Integer(), nullable=True, comment="Landmarks: one row a student and week."),
        sa.Column("n_users", sa.Integer(), nullable=True, comment="Students."),
        sa.Column(
            "n_events", sa.Integer(), nullable=True, comment="Landmarks with a return within the follow-up."
        ),
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
    create_index_if_missing(op, "ix_survival_fit_meta_week", "survival_fit_meta", ["week_start"], unique=True)
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
        sa.Column(
            "risk_lower", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of risk_score."
        ),
        sa.Column(
            "risk_upper", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of risk_score."
        ),
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
            "risk_score",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Probability of silence over the fit's horizon.",
        ),
        sa.Column(
            "risk_lower", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of risk_score."
        ),
        sa.Column(
            "risk_upper", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of risk_score."
        ),
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
        op, "ix_survival_risk_history_week", "survival_risk_history", ["week_start"], unique=False
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
        sa.Column(
            "threshold_days",
            sa.Integer(),
            nullable=False,
            comment="Days of silence that were crossed. [days]",
        ),
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
        op, "ix_inactivity_notice_noticed_at", "inactivity_notice", ["noticed_at"], unique=False
    )


def downgrade() -> None:
    undo_revision(op, revision)
