"""The probability that the next answer in a topic is right.

Revision: 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import add_column, begin_revision, undo_revision

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    add_column(
        op,
        "ability_topic_state",
        column=sa.Column(
            "next_right",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Probability that the next answer in the topic is right, on the questions that the topic has asked in "
            "the last 28 days; NULL without any.",
        ),
    )


def downgrade() -> None:
    undo_revision(op, revision)
