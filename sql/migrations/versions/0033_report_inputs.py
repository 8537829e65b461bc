"""What a report was made from, so that an unchanged one is not made again.

Revision: 0033, after 0032.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import add_column, begin_revision, undo_revision

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

INPUTS = (
    "Digest of what the file was made from: data, template, catalogue, code, language, formats. While it is the same, the "
    "file is not made again."
)
COMMENTS = {"report_artifacts": INPUTS, "report_pages": f"{INPUTS} Null for the index."}


def upgrade() -> None:
    begin_revision(op, revision)
    for table, comment in COMMENTS.items():
        add_column(op, table, column=sa.Column("inputs", sa.Text(), comment=comment))


def downgrade() -> None:
    undo_revision(op, revision)
