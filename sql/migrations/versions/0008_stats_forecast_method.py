"""The method of a forecast is a column, and the comments name every method (branch stats).

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import begin_revision, create_or_extend, replace_comments, undo_revision

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COMMENTS = (
    (
        "survival_fit_meta",
        "family",
        "Fitted model: cox_efron, cox_efron_ridge (covariates separate), weibull_aft, or heuristic.",
        "Fitted model: cox_efron, weibull_aft, the same with _ridge (covariates separate), or heuristic.",
    ),
    (
        "prophet_anomalies",
        "anomaly_score",
        "Signed z: value minus expectation, divided by the SD of such errors in the other weeks.",
        "Signed z: value minus expectation, divided by the SD of such errors in earlier weeks.",
    ),
)


def upgrade() -> None:
    begin_revision(op, revision)
    method = sa.Column("method", sa.Text, comment="What the forecast is: prophet, local_level (the baseline), or none.")
    create_or_extend(op, "prophet_fit_meta", sa.Column("run_id", sa.Text, primary_key=True), method)
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
    undo_revision(op, revision)
