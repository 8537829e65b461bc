"""Computed rows that break the contract are set aside, and the others are published.

Revision: 0038, after 0037.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from seedtest_analytics.database.migrations import (
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "row_quarantine",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True, comment="Key."),
        sa.Column("asset", sa.Text(), nullable=False, comment="Table of the row, or asset such as weekly_kpi/P."),
        sa.Column("reason", sa.Text(), nullable=False, comment="The columns and the rules that the row breaks."),
        sa.Column(
            "element", JSONB(), nullable=False, comment="The row as computed; numbers that are not finite are text."
        ),
        sa.Column(
            "detected_at",
            TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was set aside.",
        ),
        comment="Computed rows that break the contract of their table, with the reason. The other rows are published. The "
        "next computation of the same part replaces them.",
    )
    create_index_if_missing(op, "ix_row_quarantine_asset", table="row_quarantine", columns=["asset"])


def downgrade() -> None:
    undo_revision(op, revision)
