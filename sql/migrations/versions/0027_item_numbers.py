"""A dictionary of text item ids and their numbers.

Revision: 0027, after 0026.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from seedtest_analytics.database.migrations import begin_revision, create_or_extend, undo_revision

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "item_number",
        sa.Column(
            "item_id", sa.BigInteger, autoincrement=False, primary_key=True, comment="Number of the item; question.id."
        ),
        sa.Column("source_id", sa.Text, nullable=False, comment="Id of the item in its source."),
        sa.Column(
            "first_seen_at",
            TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a load first met it.",
        ),
        sa.UniqueConstraint("source_id", name="uq_item_number_source_id"),
        comment="Numbers of items whose source has text ids or UUIDs.",
    )


def downgrade() -> None:
    undo_revision(op, revision)
