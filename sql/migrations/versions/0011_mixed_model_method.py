"""The mixed model's method is a column: a fit on a sample says so.

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import begin_revision, create_or_extend, undo_revision

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "growth_glmm_meta",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column(
            "method", sa.Text, comment="Estimator and, if it was fitted on a sample, the sizes of sample and cohort."
        ),
    )


def downgrade() -> None:
    undo_revision(op, revision)
