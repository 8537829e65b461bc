"""The health of the platform's assets.

Revision: 0025, after 0023.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import begin_revision, create_or_extend, undo_revision

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None

JSON = postgresql.JSONB(astext_type=sa.Text())
INSTANT = postgresql.TIMESTAMP(timezone=True)
OBJECT = sa.text("'{}'::jsonb")


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "platform_health",
        sa.Column("asset", sa.Text(), nullable=False, comment="Key of the asset, such as weekly_kpi/P."),
        sa.Column("domain", sa.Text(), nullable=False, comment="Group of the asset."),
        sa.Column("owner", sa.Text(), nullable=False, comment="Who is asked."),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="failed: the newest run or a partition failed; stale: no success within the freshness window; warning: a "
            "check failed; never: no success yet.",
        ),
        sa.Column("last_success_at", INSTANT, nullable=True, comment="When it was last materialised."),
        sa.Column("fresh_until", INSTANT, nullable=True, comment="When it becomes stale without another success."),
        sa.Column("row_count", sa.BigInteger(), nullable=True, comment="Rows of the newest materialisation."),
        sa.Column("checks_passed", sa.Integer(), nullable=False, comment="Checks whose newest result is good."),
        sa.Column(
            "failed_checks",
            JSON,
            server_default=OBJECT,
            nullable=False,
            comment="The text of each check whose newest result is bad.",
        ),
        sa.Column(
            "verdicts",
            JSON,
            server_default=OBJECT,
            nullable=False,
            comment="The text of each check's newest result; of a model, its verdict.",
        ),
        sa.Column(
            "failed_partitions",
            JSON,
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Partitions whose newest attempt failed.",
        ),
        sa.Column("repair", sa.Text(), nullable=True, comment="Command that computes what failed or is missing."),
        sa.Column(
            "computed_at", INSTANT, server_default=sa.text("now()"), nullable=False, comment="When it was computed."
        ),
        sa.PrimaryKeyConstraint("asset"),
        comment="State of each asset as Dagster's storage has it; one row for each asset.",
    )


def downgrade() -> None:
    undo_revision(op, revision)
