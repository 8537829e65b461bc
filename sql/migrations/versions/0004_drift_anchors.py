"""Drift windows, their calibrations and alerts; candidates for anchors.

Revision: 0004, after 0003.
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

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "drift_windows",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Window: last day as YYYYMMDD, then its length in days with four digits.",
        ),
        sa.Column(
            "start_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="First instant of the window."
        ),
        sa.Column(
            "end_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="First instant after the window."
        ),
        sa.Column(
            "population_tags",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Who is in it: {topic_id, subject_id}, null for all.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was made.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Windows of answers whose calibrations are compared.",
    )
    create_or_extend(
        op,
        "item_calibration",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False, comment="Key."),
        sa.Column("item_id", sa.BigInteger(), nullable=False, comment="Item; question.id."),
        sa.Column("window_id", sa.BigInteger(), nullable=False, comment="Window; drift_windows.id."),
        sa.Column(
            "a_hat",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Discrimination, on the scale of the baseline window.",
        ),
        sa.Column(
            "b_hat", sa.DOUBLE_PRECISION(), nullable=True, comment="Difficulty, on the scale of the baseline window."
        ),
        sa.Column("c_hat", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower asymptote."),
        sa.Column("a_l95", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of a."),
        sa.Column("a_u95", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of a."),
        sa.Column("b_l95", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of b."),
        sa.Column("b_u95", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of b."),
        sa.Column("c_l95", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of c."),
        sa.Column("c_u95", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of c."),
        sa.Column("n", sa.Integer(), nullable=True, comment="Answers in the window."),
        sa.Column(
            "dif",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{delta_a, delta_b, delta_c, se_*, p_*_adjusted} against the baseline; null in the baseline.",
        ),
        sa.Column(
            "info",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{max, theta_at_max} of the item information within -3..3.",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Comparison that the row belongs to."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Item parameters of the two windows of a comparison, on one scale.",
    )
    create_index_if_missing(
        op, "ix_item_calibration_week", table="item_calibration", columns=["week_start"], unique=False
    )
    create_index_if_missing(
        op,
        "uq_item_calibration_run_window_item",
        table="item_calibration",
        columns=["run_id", "window_id", "item_id"],
        unique=True,
    )
    create_or_extend(
        op,
        "drift_alerts",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False, comment="Key."),
        sa.Column("item_id", sa.BigInteger(), nullable=False, comment="Item; question.id."),
        sa.Column("window_id", sa.BigInteger(), nullable=False, comment="Recent window; drift_windows.id."),
        sa.Column("metric", sa.Text(), nullable=False, comment="What moved."),
        sa.Column("value", sa.DOUBLE_PRECISION(), nullable=True, comment="Change, recent less baseline."),
        sa.Column("threshold", sa.DOUBLE_PRECISION(), nullable=False, comment="Size that an alert needs."),
        sa.Column("severity", sa.Text(), nullable=False, comment="How far beyond it."),
        sa.Column(
            "p_adjusted", sa.DOUBLE_PRECISION(), nullable=True, comment="Adjusted over every parameter of every item."
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Comparison that the alert belongs to."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column(
            "resolved_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When somebody dealt with it; never written here.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Parameters that moved by more than matters and more than chance explains.",
    )
    create_index_if_missing(op, "ix_drift_alerts_week", table="drift_alerts", columns=["week_start"], unique=False)
    create_index_if_missing(
        op,
        "uq_drift_alerts_run_item_metric",
        table="drift_alerts",
        columns=["run_id", "item_id", "metric"],
        unique=True,
    )
    create_or_extend(
        op,
        "anchor_candidates",
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("item_id", sa.Text(), nullable=False, comment="Item; question.id as text."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Calibration; mirt_fit_meta.run_id."),
        sa.Column("topic_id", sa.Text(), nullable=True, comment="Topic of the item."),
        sa.Column("a", sa.DOUBLE_PRECISION(), nullable=False, comment="Discrimination. [1/logit]"),
        sa.Column("b", sa.DOUBLE_PRECISION(), nullable=False, comment="Difficulty. [logit]"),
        sa.Column("c", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower asymptote."),
        sa.Column("n_responses", sa.Integer(), nullable=False, comment="Answers before the week's end."),
        sa.Column(
            "n_calibrations",
            sa.Integer(),
            nullable=False,
            comment="Calibrations of the last 90 days that stability rests on, at most 5.",
        ),
        sa.Column(
            "sd_b", sa.DOUBLE_PRECISION(), nullable=True, comment="Spread of b over them; NULL below two. [logit]"
        ),
        sa.Column("has_responses", sa.Boolean(), nullable=False, comment="Enough answers."),
        sa.Column("has_difficulty", sa.Boolean(), nullable=False, comment="Difficulty within the range."),
        sa.Column("has_discrimination", sa.Boolean(), nullable=False, comment="Discriminates enough."),
        sa.Column("is_stable", sa.Boolean(), nullable=False, comment="b has stayed; false where that is not known."),
        sa.Column("is_flagged", sa.Boolean(), nullable=False, comment="The calibration has a flag on it."),
        sa.Column("is_tagged", sa.Boolean(), nullable=False, comment="It is an anchor already."),
        sa.Column("rank", sa.Integer(), nullable=True, comment="Place among the chosen, from 1; NULL: not chosen."),
        sa.Column("reason", sa.Text(), nullable=True, comment="First criterion that failed; NULL: none."),
        sa.PrimaryKeyConstraint("week_start", "item_id"),
        comment="Items measured against the criteria of anchors, and the choice that covers topics and difficulties.",
    )
    create_index_if_missing(
        op, "ix_anchor_candidates_week", table="anchor_candidates", columns=["week_start"], unique=False
    )


def downgrade() -> None:
    undo_revision(op, revision)
