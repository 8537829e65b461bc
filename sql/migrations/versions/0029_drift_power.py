"""Power of the drift comparison by item: no drift is not the same as nothing to judge by.

Revision: 0029, after 0028.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import add_column, begin_revision, undo_revision

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

COLUMNS = (
    (
        "minimum_detectable_b",
        sa.DOUBLE_PRECISION(),
        "Change of difficulty that the comparison finds with a probability of 80 %; null if not compared. [logit]",
    ),
    (
        "power_b",
        sa.DOUBLE_PRECISION(),
        "Probability that it finds a severe change of difficulty (twice DRIFT_THRESHOLD_DELTA_B).",
    ),
    (
        "drift_verdict",
        sa.Text(),
        "What the comparison says of the item: moved; no_drift (power_b of 80 % or more, and no alert); or "
        "cannot_be_judged. Null in the baseline.",
    ),
)


def upgrade() -> None:
    begin_revision(op, revision)
    for name, kind, comment in COLUMNS:
        add_column(op, "item_calibration", column=sa.Column(name, kind, comment=comment))


def downgrade() -> None:
    undo_revision(op, revision)
