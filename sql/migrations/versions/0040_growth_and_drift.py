"""Predictions of growth keep what moves them to a later day, and items their drift beside that of their topic.

Revision: 0040, after 0039.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import add_column, begin_revision, replace_comments, undo_revision

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

SUMS = (
    ("sum_weight", "Sum of the weights v of the scores; the sums predict a later day. NULL: binomial or older fits."),
    ("sum_week", "Sum of v w, with w the week from the look-back's first."),
    ("sum_week_squared", "Sum of v w²."),
    ("sum_residual", "Sum of v e, with e the score less the line draws.reference of the fit."),
    ("sum_week_residual", "Sum of v w e."),
)
IN_TOPIC = (
    "{origin, topic_delta, topic_se, apart, apart_se, gap_change, gap_change_se, n_others}: the change of b beside that of "
    "the topic's other items, and of the topic's selection gap. origin of a moved item: item, who_answers, topic, or "
    "cannot_be_told."
)
COMMENTS = (
    (
        "growth_brms_meta",
        "draws",
        "Up to 400 draws {columns, theta, week_mean, last_week}, for predictions on demand.",
        "400 to 4,000 draws for later predictions: {columns, theta, week_mean, last_week, reference}.",
    ),
)


def upgrade() -> None:
    begin_revision(op, revision)
    last_week = sa.Column("last_week", sa.Date(), comment="Monday of the last scored week.")
    sums = (sa.Column(name, sa.DOUBLE_PRECISION(), comment=comment) for name, comment in SUMS)
    for column in (last_week, *sums):
        add_column(op, "growth_prediction", column=column)
    add_column(op, "item_calibration", column=sa.Column("drift_in_topic", postgresql.JSONB(), comment=IN_TOPIC))
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    undo_revision(op, revision)
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
