"""The weekly message: sentences, outbox and consent.

Revision: 0023, after 0021.
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

revision = "0023"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    begin_revision(op, revision)

    create_or_extend(
        op,
        "weekly_message",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("recipient", sa.Text(), nullable=False, comment="Who reads it: 'parent' or 'student'."),
        sa.Column("code", sa.Text(), nullable=False, comment="Rule that chose the sentence."),
        sa.Column("language", sa.Text(), nullable=False, comment="Language of the text."),
        sa.Column("text", sa.Text(), nullable=False, comment="The sentence, as the recipient reads it."),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Values that the sentence states.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("user_id", "week_start", "recipient"),
        comment="The one sentence about a week that is true as of now, for the student and for the parent.",
    )
    create_index_if_missing(op, "ix_weekly_message_week", table="weekly_message", columns=["week_start"], unique=False)

    create_or_extend(
        op,
        "message_outbox",
        sa.Column(
            "key",
            sa.UUID(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Key of the message: the Message-ID of a mail and the Idempotency-Key of a webhook.",
        ),
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("recipient", sa.Text(), nullable=False, comment="Who reads it: 'parent' or 'student'."),
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            comment="1, and one more for each sentence of the same week that was cancelled before.",
        ),
        sa.Column("code", sa.Text(), nullable=False, comment="Rule that chose the sentence."),
        sa.Column("language", sa.Text(), nullable=False, comment="Language of the text."),
        sa.Column("text", sa.Text(), nullable=False, comment="The sentence, as the recipient reads it."),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Values that the sentence states.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="new",
            nullable=False,
            comment="new: to be sent; sending: handed over, and not known to have arrived; sent; failed; cancelled.",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Why it failed, was cancelled or waits, as a short code."
        ),
        sa.Column(
            "channel",
            sa.Text(),
            nullable=True,
            comment="What sends it: 'smtp', 'webhook', or the company's own messenger.",
        ),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False, comment="Tries so far."),
        sa.Column(
            "not_before",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the next try is due; NULL: now.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was put here.",
        ),
        sa.Column(
            "changed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When its state last changed.",
        ),
        sa.PrimaryKeyConstraint("key"),
        comment="Messages to send: at most one that is not cancelled for each student, week and recipient.",
    )
    create_index_if_missing(
        op, "ix_message_outbox_state", table="message_outbox", columns=["state", "created_at"], unique=False
    )
    create_index_if_missing(
        op,
        "uq_message_outbox_live",
        table="message_outbox",
        columns=["user_id", "week_start", "recipient"],
        unique=True,
        postgresql_where=sa.text("state <> 'cancelled'"),
    )

    create_or_extend(
        op,
        "message_consent",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("recipient", sa.Text(), nullable=False, comment="Who reads it: 'parent' or 'student'."),
        sa.Column("channel", sa.Text(), nullable=False, comment="'smtp' or 'webhook'."),
        sa.Column(
            "address",
            sa.Text(),
            nullable=True,
            comment="Mail address; for a webhook what its receiver needs to find the recipient, or NULL.",
        ),
        sa.Column(
            "language",
            sa.Text(),
            nullable=True,
            comment="Language that the recipient reads, such as 'ko'; NULL: that of the student.",
        ),
        sa.Column(
            "consented_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When the recipient agreed to be written to.",
        ),
        sa.Column(
            "withdrawn_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the recipient withdrew that.",
        ),
        sa.Column(
            "bounced_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the address refused a message for good; nothing is sent to it after.",
        ),
        sa.PrimaryKeyConstraint("user_id", "recipient", "channel"),
        comment="Who may be written to, and where. The company fills it; without a row nothing is sent.",
    )


def downgrade() -> None:
    undo_revision(op, revision)
