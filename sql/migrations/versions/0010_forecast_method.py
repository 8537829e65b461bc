"""The method of a forecast is a column, and the comments name every method.

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import replace_comments

revision = "0010"
down_revision = "0009"
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
    method = sa.Column("method", sa.Text, comment="What the forecast is: prophet, local_level (the baseline), or none.")
    op.add_column("prophet_fit_meta", method)
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
    op.drop_column("prophet_fit_meta", "method")
