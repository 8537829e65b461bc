"""Risks of churn are probabilities: the database holds every writer to 0..1, as the legacy table did.

Revision: 0006, after 0005.
"""

from alembic import op

from seedtest_analytics.database.migrations import begin_revision, create_check_if_missing, undo_revision

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "survival_risk"


def upgrade() -> None:
    begin_revision(op, revision)
    create_check_if_missing(op, "ck_survival_risk_risk_score", table=TABLE, condition="risk_score BETWEEN 0 AND 1")
    create_check_if_missing(
        op, "ck_survival_risk_rank_percentile", table=TABLE, condition="rank_percentile BETWEEN 0 AND 1"
    )


def downgrade() -> None:
    undo_revision(op, revision)
