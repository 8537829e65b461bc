"""Without a calibration the mean level of the first week is 0, not that of the first answer.

Revision: 0041, after 0040.
"""

from alembic import op

from seedtest_analytics.database.migrations import begin_revision, replace_comments, undo_revision

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

OLD = "Calibration that gives the scale; NULL without one: 0 is the mean level at the first answer."
NEW = "Calibration that gives the scale; NULL without one: 0 is the mean level in the first week."
COMMENTS = (("ability_state", "run_id", OLD, NEW), ("ability_topic_state", "run_id", OLD, NEW))


def upgrade() -> None:
    begin_revision(op, revision)
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    undo_revision(op, revision)
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
