"""The weekly message: the sentence of each week, the outbox of the sentences to send, and the consent to be written to."""

from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from seedtest_analytics.reporting.message_rules import RECIPIENTS, RULES
from seedtest_analytics.tables.declare import (
    NOW,
    Instant,
    column,
    computed_by,
    computed_column,
    copied_from,
    metadata,
    object_column,
    student_column,
    week_column,
)

STATES = ("new", "sending", "sent", "failed", "cancelled")
CHANNELS = ("smtp", "webhook")
_ANSWERS = ("attempt.correct", "attempt.completed_at", "attempt.is_answered")


def _recipient(**arguments: Any) -> Column[Any]:
    return column("recipient", Text, comment="Who reads it: 'parent' or 'student'.", allowed=RECIPIENTS, **arguments)


def _content() -> tuple[Column[Any], ...]:
    return (
        column(
            "code",
            Text,
            comment="Rule that chose the sentence.",
            nullable=False,
            allowed=tuple(RULES),
            derived_from=(*_ANSWERS, "weekly_kpi.kpis", "ability_state.change", "mirt_item_params.params"),
        ),
        column("language", Text, comment="Language of the text.", nullable=False),
        column("text", Text, comment="The sentence, as the recipient reads it.", nullable=False, pii="free_text"),
        object_column("evidence", "Values that the sentence states.", derived_from=_ANSWERS),
    )


weekly_message = Table(
    "weekly_message",
    metadata,
    student_column("weekly_kpi.user_id", primary_key=True),
    week_column(primary_key=True),
    _recipient(primary_key=True),
    *_content(),
    computed_column(),
    Index("ix_weekly_message_week", "week_start"),
    comment="The one sentence about a week that is true as of now, for the student and for the parent.",
)
computed_by(
    weekly_message,
    "assets.messages.rows.message_rows",
    ("code evidence", "reporting.message_rules.choose"),
    ("text", "reporting.message_sentences.sentence"),
)

message_outbox = Table(
    "message_outbox",
    metadata,
    column(
        "key",
        UUID,
        comment="Key of the message: the Message-ID of a mail and the Idempotency-Key of a webhook.",
        primary_key=True,
        server_default=text("gen_random_uuid()"),
    ),
    student_column(None, nullable=False),
    week_column(nullable=False),
    _recipient(nullable=False),
    column(
        "revision",
        Integer,
        comment="1, and one more for each sentence of the same week that was cancelled before.",
        nullable=False,
        minimum=1,
    ),
    *_content(),
    column(
        "state",
        Text,
        comment="new: to be sent; sending: handed over, and not known to have arrived; sent; failed; cancelled.",
        nullable=False,
        server_default="new",
        allowed=STATES,
    ),
    column("reason", Text, comment="Why it failed, was cancelled or waits, as a short code."),
    column("channel", Text, comment="What sends it: 'smtp', 'webhook', or the company's own messenger."),
    column("tries", Integer, comment="Tries so far.", nullable=False, server_default="0", minimum=0),
    column("not_before", Instant, comment="When the next try is due; NULL: now."),
    column("created_at", Instant, comment="When it was put here.", nullable=False, server_default=NOW),
    column("changed_at", Instant, comment="When its state last changed.", nullable=False, server_default=NOW),
    Index(
        "uq_message_outbox_live",
        "user_id",
        "week_start",
        "recipient",
        unique=True,
        postgresql_where=text("state <> 'cancelled'"),
    ),
    Index("ix_message_outbox_state", "state", "created_at"),
    comment="Messages to send: at most one that is not cancelled for each student, week and recipient.",
)
copied_from("weekly_message", message_outbox, names="user_id week_start recipient code language text evidence")
computed_by(
    message_outbox,
    "sql/messages/outbox.sql:issue",
    ("state reason channel tries not_before changed_at", "outbox.queue.Queue"),
)

message_consent = Table(
    "message_consent",
    metadata,
    student_column(None, primary_key=True),
    _recipient(primary_key=True),
    column("channel", Text, comment="'smtp' or 'webhook'.", primary_key=True, allowed=CHANNELS),
    column(
        "address",
        Text,
        comment="Mail address; for a webhook what its receiver needs to find the recipient, or NULL.",
        pii="free_text",
    ),
    column("language", Text, comment="Language that the recipient reads, such as 'ko'; NULL: that of the student."),
    column("consented_at", Instant, comment="When the recipient agreed to be written to.", nullable=False),
    column("withdrawn_at", Instant, comment="When the recipient withdrew that."),
    column("bounced_at", Instant, comment="When the address refused a message for good; nothing is sent to it after."),
    comment="Who may be written to, and where. The company fills it; without a row nothing is sent.",
)
