"""Verdicts: what past outcomes decide about P, S and theta, and the verdict of each risk.

Revision: 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import add_column, begin_revision, create_or_extend, undo_revision

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

VERDICT = "What past outcomes decided about the risk: too_early, as_is, recalibrated, base_rate or withheld."


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "prediction_verdict",
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("prediction", sa.Text(), nullable=False, comment="P, S or theta."),
        sa.Column(
            "method", sa.Text(), nullable=False, comment="Method of the model's numbers; each is decided on its own."
        ),
        sa.Column("students", sa.Integer(), nullable=False, comment="Students whose numbers it decides."),
        sa.Column(
            "verdict", sa.Text(), nullable=False, comment="too_early, as_is, recalibrated, base_rate or withheld."
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why, for readers."),
        sa.Column(
            "intercept",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="What is published is expit(intercept + slope * logit of the model's number); 0 keeps it.",
        ),
        sa.Column(
            "intercept_se",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Standard error of the estimated intercept, with its prior (logit).",
        ),
        sa.Column(
            "slope",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Slope of the recalibration; 1 keeps the model's number, below 1 it was too extreme.",
        ),
        sa.Column(
            "slope_se",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Standard error of the estimated slope, with its prior.",
        ),
        sa.Column(
            "week_sd", sa.DOUBLE_PRECISION(), nullable=True, comment="SD of the intercept between weeks (logit)."
        ),
        sa.Column("base_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="Share of events in past weeks."),
        sa.Column(
            "base_lower", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower 95 % limit of that share in a new week."
        ),
        sa.Column(
            "base_upper", sa.DOUBLE_PRECISION(), nullable=True, comment="Upper 95 % limit of that share in a new week."
        ),
        sa.Column(
            "brier_model", sa.DOUBLE_PRECISION(), nullable=True, comment="Brier score of the model in past weeks."
        ),
        sa.Column(
            "brier_recalibrated",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="The same of the model as it would have been recalibrated at the start of each of these weeks.",
        ),
        sa.Column(
            "brier_reference",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="The same of the share known at the start of each of these weeks (theta: of the items' shares right).",
        ),
        sa.Column("n", sa.Integer(), nullable=False, comment="Past predictions with an outcome."),
        sa.Column("n_events", sa.Integer(), nullable=False, comment="Of these, predictions whose event happened."),
        sa.Column("n_weeks", sa.Integer(), nullable=False, comment="Past weeks with an outcome."),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("week_start", "prediction", "method"),
        comment="What outcomes of past weeks decided about the numbers of each week: published as they are, recalibrated, replaced by the base rate, or withheld.",
    )
    for table in ("survival_risk", "survival_risk_history"):
        add_column(op, table, column=sa.Column("verdict", sa.Text(), comment=VERDICT))


def downgrade() -> None:
    undo_revision(op, revision)
