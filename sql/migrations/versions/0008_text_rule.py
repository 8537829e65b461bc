"""One rule for texts, and rejects whose answer was kept.

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import replace_comments
from seedtest_analytics.database.sql_files import read_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COMMENTS = (
    (
        "load_rejects",
        "raw_row",
        "The row as it was read.",
        "The row as it was read; longer values are cut to 2,000 characters.",
    ),
    (
        "load_rejects",
        None,
        "Rows of attempt logs that could not be loaded, with their reason.",
        "Rows and fields of attempt logs that could not be loaded, with their reason.",
    ),
)


def upgrade() -> None:
    replace_comments(op, COMMENTS)
    op.execute(read_sql("attempts/text_rule.sql"))
    op.add_column(
        "load_rejects",
        sa.Column(
            "is_excluded",
            sa.Boolean(),
            nullable=False,
            server_default=sa.true(),
            comment="The row is left out; otherwise its answer is loaded with the malformed field as not recorded.",
        ),
    )


def downgrade() -> None:
    op.drop_column("load_rejects", "is_excluded")
    op.execute("DROP FUNCTION seedtest_is_plain_text(text)")
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
