"""Growth: the fits of the mixed and of the Bayesian model, each student's prediction, and a day for a goal.

Revision: 0002, after 0001.
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

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "growth_brms_meta",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Fit; derived from its week, settings and data."),
        sa.Column("formula", sa.Text(), nullable=False, comment="The model in R's notation."),
        sa.Column(
            "priors",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Priors that the fit was given: {intercept, week, sd, sigma, cor}.",
        ),
        sa.Column(
            "posterior_summary",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{intercept, week, sigma, sd_intercept, sd_week, correlation}, each {mean, sd, q2.5, q97.5}.",
        ),
        sa.Column(
            "diagnostics",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{rhat: {max}, ess_bulk: {min}, ess_tail: {min}, divergences, ebfmi, treedepth, reasons, …}.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column(
            "is_usable",
            sa.Boolean(),
            nullable=True,
            comment="The diagnostics allow predictions; NULL: a row of the legacy pipeline.",
        ),
        sa.Column(
            "model_spec",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{family, method, score_source, score_unit, lookback_weeks, first_week, students, seed, …}.",
        ),
        sa.Column(
            "draws",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Up to 400 draws {columns, theta, week_mean, last_week}, for predictions on demand.",
        ),
        sa.Column("data_fingerprint", sa.UUID(), nullable=True, comment="Hash over the scores used."),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a Bayesian growth fit, whichever backend drew it; a bad fit is stored and feeds nothing.",
    )
    create_index_if_missing(
        op, "ix_growth_brms_meta_week", table="growth_brms_meta", columns=["week_start"], unique=True
    )
    create_or_extend(
        op,
        "growth_glmm_meta",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Fit; derived from its week, settings and data."),
        sa.Column(
            "model_spec",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{formula, family, lookback_weeks, rows_count, criterion, backend, students, …}.",
        ),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{logLik, AIC, BIC, RMSE, held_out, fixed_effects, variance_components, singular, messages, …}.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column("data_fingerprint", sa.UUID(), nullable=True, comment="Hash over the rows used."),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a mixed model of growth, fitted by lme4: what was fitted, on what, and how well.",
    )
    create_index_if_missing(
        op, "ix_growth_glmm_meta_week", table="growth_glmm_meta", columns=["week_start"], unique=True
    )
    create_or_extend(
        op,
        "growth_prediction",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week of the fit."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Growth fit; growth_brms_meta.run_id."),
        sa.Column(
            "intercept_mean",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Posterior mean of the line in the look-back's first week (binomial family: logits). [score]",
        ),
        sa.Column("intercept_sd", sa.DOUBLE_PRECISION(), nullable=False, comment="Its posterior SD. [score]"),
        sa.Column(
            "slope_mean",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Posterior mean of the gain a week. [score/week]",
        ),
        sa.Column("slope_sd", sa.DOUBLE_PRECISION(), nullable=False, comment="Its posterior SD. [score/week]"),
        sa.Column(
            "projected",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Posterior mean of the line on horizon_date. [score]",
        ),
        sa.Column(
            "projected_lower",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Lower bound of its 95 % interval. [score]",
        ),
        sa.Column(
            "projected_upper",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Upper bound of its 95 % interval. [score]",
        ),
        sa.Column(
            "sigma", sa.DOUBLE_PRECISION(), nullable=False, comment="Posterior SD of the projected score. [score]"
        ),
        sa.Column(
            "p",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Probability that the line is at target or above on horizon_date.",
        ),
        sa.Column("p_lower", sa.DOUBLE_PRECISION(), nullable=False, comment="Lower bound of p."),
        sa.Column("p_upper", sa.DOUBLE_PRECISION(), nullable=False, comment="Upper bound of p."),
        sa.Column("target", sa.DOUBLE_PRECISION(), nullable=False, comment="Score that p is about. [score]"),
        sa.Column("target_level", sa.DOUBLE_PRECISION(), nullable=False, comment="The same as an ability. [logit]"),
        sa.Column(
            "target_source", sa.Text(), nullable=False, comment="'interest_goal' or 'default' (METRICS_DEFAULT_TARGET)."
        ),
        sa.Column("horizon_date", sa.Date(), nullable=False, comment="Day that the score is projected to."),
        sa.Column(
            "horizon_source",
            sa.Text(),
            nullable=False,
            comment="'goal_date', 'goal_date_capped' (further than a line may be followed) or 'configured'.",
        ),
        sa.Column("n_weeks", sa.Integer(), nullable=False, comment="Weekly scores of the student in the fit."),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers behind them."),
        sa.PrimaryKeyConstraint("user_id", "week_start"),
        comment="What the usable growth fit of a week says of each student: line, projected score, chance of the goal.",
    )
    create_index_if_missing(
        op, "ix_growth_prediction_week", table="growth_prediction", columns=["week_start"], unique=False
    )
    create_or_extend(
        op,
        "interest_goal",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column(
            "target_date",
            sa.Date(),
            nullable=True,
            comment="Day by which the goal is to be reached; NULL: no day is set.",
        ),
        sa.PrimaryKeyConstraint("user_id", "topic_id"),
    )


def downgrade() -> None:
    undo_revision(op, revision)
