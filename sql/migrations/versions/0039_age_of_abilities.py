"""The newest answer behind every published ability, and the method of those beside the daily features.

Revision: 0039, after 0038.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from seedtest_analytics.database.migrations import add_column, begin_revision, undo_revision

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ABILITIES = ("mirt_ability", "student_topic_theta", "student_topic_theta_history")


def instant(name: str, comment: str) -> sa.Column[object]:
    return sa.Column(name, TIMESTAMP(timezone=True), comment=comment)


def upgrade() -> None:
    begin_revision(op, revision)
    newest = "The newest answer behind the ability: the age of the evidence; NULL in rows of earlier releases."
    for table in ABILITIES:
        add_column(op, table, column=instant("answered_at", newest))
    method = "Estimator of theta_estimate: EAP of the look-back, or dynamic (ability over time, from all answers)."
    add_column(op, "features_topic_daily", column=sa.Column("theta_method", sa.Text(), comment=method))
    evidence = "The newest answer behind theta_estimate: the age of the evidence."
    add_column(op, "features_topic_daily", column=instant("theta_answered_at", evidence))


def downgrade() -> None:
    undo_revision(op, revision)
