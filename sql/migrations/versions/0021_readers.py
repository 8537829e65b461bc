"""Readers of reports: names of students and topics, languages, advice as codes, and pages besides the families'.

Revision: 0021, after 0017.
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

revision = "0021"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "student_name",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name that reports show instead of the id."),
        sa.PrimaryKeyConstraint("user_id"),
        comment="Names of students; a student without a row is shown by id.",
    )
    create_or_extend(
        op,
        "topic_name",
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic."),
        sa.Column("language", sa.Text(), nullable=False, comment="Language of the name, such as 'ko'."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name that reports show instead of the id."),
        sa.PrimaryKeyConstraint("topic_id", "language"),
        comment="Names of topics by language; a topic without a row is shown by id.",
    )
    create_or_extend(
        op,
        "report_artifacts",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("language", sa.Text(), comment="Language of the report."),
        sa.Column(
            "advice",
            postgresql.JSONB(astext_type=sa.Text()),
            comment="[{rule, tone, values}]: the advice as codes, the most pressing first; readers put it into words.",
        ),
        sa.Column(
            "needs_help",
            sa.Boolean(),
            comment="Somebody should look after the student: a rule of `reporting.recommendations.HELP_RULES` applies.",
        ),
    )
    create_or_extend(
        op,
        "report_pages",
        sa.Column(
            "page",
            sa.Text(),
            nullable=False,
            comment="'teacher': the teacher's page of a student; 'index': the links of a week.",
        ),
        sa.Column("subject", sa.Text(), nullable=False, comment="Raw id of the student; empty for the index."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("language", sa.Text(), nullable=False, comment="Language of the page."),
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
        sa.PrimaryKeyConstraint("page", "subject", "week_start"),
        comment="HTML pages of a week besides the families' reports: of teachers, and the index.",
    )
    create_index_if_missing(op, "ix_report_pages_week", table="report_pages", columns=["week_start"], unique=False)


def downgrade() -> None:
    undo_revision(op, revision)
