"""The item bank as of each calibration: items keep their last usable parameters.

Revision: 0012, after 0011.
"""

from alembic import op

from seedtest_analytics.database.migrations import begin_revision, replace_legacy_view, undo_revision
from seedtest_analytics.database.sql_files import read_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)
    replace_legacy_view(op, "mirt_item_bank", definition=read_sql("psychometrics/item_bank.sql"))


def downgrade() -> None:
    undo_revision(op, revision)
