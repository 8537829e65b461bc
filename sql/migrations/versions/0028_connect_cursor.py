"""How far the customer's own tables have been read.

Revision: 0028, after 0027.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from seedtest_analytics.database.migrations import begin_revision, create_or_extend, undo_revision

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "connect_cursor",
        sa.Column("name", sa.Text, primary_key=True, comment="Connection: the name of its mapping file."),
        sa.Column("cursor_value", sa.Text, nullable=False, comment="Highest cursor read, as text."),
        sa.Column("rows_read", sa.BigInteger, nullable=False, comment="Rows of the last read."),
        sa.Column(
            "read_at",
            TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last read.",
        ),
        comment="How far the tables of each connection have been read.",
    )


def downgrade() -> None:
    undo_revision(op, revision)
