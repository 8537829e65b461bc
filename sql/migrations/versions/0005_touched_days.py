"""Touched days: one row a day, that of the last change.

Revision: 0005, after 0004.
"""

from alembic import op

from seedtest_analytics.database.migrations import begin_revision, create_index_if_missing, undo_revision

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "attempt_touched_day"
COMMENTS = {
    "id": ("Key, growing.", "Key; a new one, higher than all, with each change."),
    "touched_at": ("When the change was made.", "When the last change was made."),
    "attempts": (
        "Attempts added, changed or removed on that day.",
        "Attempts added, changed or removed on that day, over all changes.",
    ),
}
TABLE_COMMENTS = (
    "Days whose attempts changed; the sensor reads on from the last id that it saw.",
    "Days whose attempts changed, one row a day; the sensor reads on from the last id that it saw.",
)


def upgrade() -> None:
    begin_revision(op, revision)
    op.execute("DELETE FROM attempt_touched_day WHERE id NOT IN (SELECT max(id) FROM attempt_touched_day GROUP BY day)")
    create_index_if_missing(op, "uq_attempt_touched_day_day", table=TABLE, columns=["day"], unique=True)
    _comment(new=1)


def downgrade() -> None:
    undo_revision(op, revision)
    _comment(new=0)


def _comment(new: int) -> None:
    for column, comments in COMMENTS.items():
        op.alter_column(TABLE, column, comment=comments[new])
    op.create_table_comment(TABLE, TABLE_COMMENTS[new])
