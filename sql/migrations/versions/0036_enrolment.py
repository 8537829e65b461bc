"""Who is in which class, from rosters.

Revision: 0036, after 0033.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import (
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0036"
down_revision = "0033"
branch_labels = None
depends_on = None


def text(name: str, comment: str, **options: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), comment=comment, **options)


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "enrolment",
        text("id", "sourcedId of the enrolment in the roster.", primary_key=True),
        text("classroom_id", "Classroom.", nullable=False),
        text("user_id", "Raw id of the student.", nullable=False),
        text("user_source_id", "sourcedId of the person in the roster.", nullable=False),
        text("role", "Role in the class: student, teacher, or another of the roster.", nullable=False),
        sa.Column(
            "is_homeroom",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="The class is the student's homeroom; among several classes it is the one that groups the student.",
        ),
        sa.Column("begins_on", sa.Date(), comment="First day; NULL: always."),
        sa.Column("ends_on", sa.Date(), comment="Day of the end, which no longer counts; NULL: none."),
        comment="Who is in which class, from rosters.",
    )
    for name in ("user_id", "classroom_id"):
        create_index_if_missing(op, f"ix_enrolment_{name}", table="enrolment", columns=[name])


def downgrade() -> None:
    undo_revision(op, revision)
