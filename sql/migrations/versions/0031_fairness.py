"""Audit of predictions by group of students, S beside a simple rule, and the selection effect of items.

Revision: 0031, after 0030.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import (
    add_column,
    begin_revision,
    create_or_extend,
    replace_comments,
    undo_revision,
)

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BACKTEST = (
    ("auc_baseline", "The same of the baseline."),
    ("auc_gain", "auc - auc_baseline."),
    ("auc_gain_se", "Its standard error, by student."),
)
ITEMS = (
    (
        "selection_gap",
        "Share right less what ability says, of students who practise the item's topic more than is usual, less that of the "
        "others; null without both.",
    ),
    ("selection_gap_se", "Its standard error."),
)
COMMENTS = (
    (
        "prediction_backtest",
        "prediction",
        "What was predicted: S, P, theta (the next answers), or forecast:<metric>.",
        "What was predicted: S, P, theta (the next answers), or forecast:<metric>; S_by_org_id and S_by_classroom_id: "
        "S beside the past share of the student's organisation or class.",
    ),
)


def number(name: str, comment: str) -> sa.Column[float]:
    return sa.Column(name, sa.DOUBLE_PRECISION(), comment=comment)


def text(name: str, comment: str, **options: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), comment=comment, **options)


def upgrade() -> None:
    begin_revision(op, revision)
    for name, comment in BACKTEST:
        add_column(op, "prediction_backtest", column=number(name, comment))
    for name, comment in ITEMS:
        add_column(op, "item_calibration", column=number(name, comment))
    replace_comments(op, COMMENTS)
    create_or_extend(
        op,
        "fairness_audit",
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        text(
            "prediction",
            "S, P, theta (next answers by ability and item) or next_answer (next answers by topic, next_right).",
            nullable=False,
        ),
        text("group_name", "Group of students: a value of the covariate.", nullable=False),
        text("covariate", "DIF_COVARIATE.", nullable=False),
        text("reference", "Group that the others are compared with.", nullable=False),
        sa.Column(
            "first_week",
            sa.Date(),
            comment="First week of the predictions; all outcomes were known when the week began.",
        ),
        sa.Column("n_students", sa.Integer(), nullable=False, comment="Students of the group."),
        sa.Column("n", sa.Integer(), nullable=False, comment="Predictions with an outcome."),
        sa.Column("n_events", sa.Integer(), nullable=False, comment="Of these, predictions whose event happened."),
        number("auc", "Share of pairs of the group in the right order."),
        number("auc_se", "Its standard error, by student."),
        number("auc_gap", "auc less that of the reference."),
        number("auc_gap_se", "Its standard error, by student."),
        number("abroca", "Area between the ROC curves of group and reference."),
        number("p_value", "Share of exchanged groups with an ABROCA at least as large."),
        number("p_adjusted", "p_value adjusted over all comparisons of the week."),
        number("minimum_detectable_abroca", "ABROCA that is found with a probability of 80 %."),
        number("power_abroca", "Probability that an ABROCA of 0.1 is found."),
        text(
            "ranking_verdict",
            "gap: adjusted p below 0.05 and ABROCA of 0.05 or more; no_gap_found: power_abroca of 80 % or more; else cannot_be_judged. 'reference' in its own row.",
            nullable=False,
        ),
        number(
            "calibration_intercept", "Calibration in the large (logit); above 0 it happens more often than predicted."
        ),
        number("calibration_intercept_se", "Its standard error, by student."),
        number("calibration_slope", "Calibration slope; 1 is right, below 1 too extreme."),
        number("calibration_slope_se", "Its standard error, by student."),
        number("calibration_gap", "calibration_intercept less that of the reference (logit)."),
        number("calibration_gap_se", "Its standard error."),
        number("calibration_p_adjusted", "Its p-value, adjusted over all comparisons of the week."),
        number("minimum_detectable_calibration", "Gap that is found with a probability of 80 % (logit)."),
        text(
            "calibration_verdict",
            "As ranking_verdict, for calibration_gap: from 0.25 on a gap, with the power for 0.5.",
            nullable=False,
        ),
        text("reason", "Why a comparison is not made; NULL where it is."),
        sa.Column(
            "computed_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("week_start", "prediction", "group_name"),
        comment="Whether predictions are as good for one group of students as for another, week by week.",
    )


def downgrade() -> None:
    undo_revision(op, revision)
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
