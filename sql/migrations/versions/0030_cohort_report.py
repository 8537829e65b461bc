"""Weekly pages about groups of students: classes, organisations and the platform.

Revision: 0030, after 0029.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import (
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "cohort_report",
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "scope",
            sa.Text(),
            nullable=False,
            comment="Whom the page is about: a class, an organisation or the platform as a whole.",
        ),
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="Key of the class or organisation; empty for the platform."
        ),
        sa.Column("format", sa.Text(), nullable=False, comment="'html' or 'pdf'."),
        sa.Column("language", sa.Text(), nullable=False, comment="Language of the page."),
        sa.Column("name", sa.Text(), comment="Name of the class; NULL where none is known."),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="'shown', or 'too_small': fewer students than REPORT_MIN_COHORT, and the page shows no numbers.",
        ),
        sa.Column(
            "students", sa.Integer(), comment="Students that the numbers are about; NULL for a page that is too small."
        ),
        sa.Column("url", sa.Text(), nullable=False, comment="Where the file is."),
        sa.Column(
            "generated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the content of the file last changed.",
        ),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of the file."),
        sa.Column("size_bytes", sa.Integer(), nullable=False, comment="Size of the file. [bytes]"),
        sa.Column("renderer", sa.Text(), nullable=False, comment="Renderer: 'quarto' or 'embedded'."),
        sa.PrimaryKeyConstraint("week_start", "scope", "subject", "format"),
        comment="Weekly pages about groups of students: of each class, of each organisation, and of the platform for its "
        "operators.",
    )
    create_index_if_missing(op, "ix_cohort_report_week", table="cohort_report", columns=["week_start"], unique=False)


def downgrade() -> None:
    undo_revision(op, revision)
