"""The attempt log: one row per question of an exam, which every asset reads through the view `attempt`."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from seedtest_analytics.tables.declare import (
    JSONB,
    Float,
    Instant,
    column,
    computed_by,
    computed_column,
    metadata,
    view_metadata,
)

_ELEMENT = ("exam_results.result_json",)
_TIME = ("exam_results.created_at", "exam_results.updated_at", *_ELEMENT)
_VERSION_OF = ("user_id", "session_id", "exam_id", "org_id", "status", "created_at", "updated_at", "result_json")
"""Columns of exam_results that the attempts of an exam use."""


def _contract_columns() -> list[Column[Any]]:
    """The 11 columns of the legacy view, with its order and types."""
    return [
        column(
            "id",
            BigInteger,
            comment="First 64 bits of md5(exam result id - question id); later repeats in one exam add their number.",
            derived_from=("exam_results.id", *_ELEMENT),
        ),
        column(
            "student_id",
            UUID,
            comment="The user id if it is a UUID, else its md5 in the form of a UUID.",
            pii="pseudonymous",
            derived_from=("exam_results.user_id",),
        ),
        column("item_id", BigInteger, comment="Question answered; question.id.", derived_from=_ELEMENT),
        column(
            "correct",
            Boolean,
            comment="Answered right; false also for an unanswered question (see is_answered).",
            derived_from=_ELEMENT,
        ),
        column(
            "response_time_ms",
            Integer,
            comment="Time spent; 0 if it was not recorded (see recorded_time_ms).",
            unit="ms",
            minimum=0,
            derived_from=_ELEMENT,
        ),
        column("hint_used", Boolean, comment="At least one hint was used.", derived_from=_ELEMENT),
        column(
            "completed_at",
            Instant,
            comment="When the question was answered: its own time, else the time when the exam was first stored. "
            "A re-score does not move it.",
            derived_from=_TIME,
        ),
        column(
            "started_at", Instant, comment="completed_at minus the time spent, in whole seconds.", derived_from=_TIME
        ),
        column(
            "attempt_no",
            Integer,
            comment="Number of this attempt among the student's attempts at the item, from 1.",
            minimum=1,
            derived_from=("exam_results.user_id", *_ELEMENT),
        ),
        column("session_id", Text, comment="Session of the exam.", derived_from=("exam_results.session_id",)),
        column("topic_id", Text, comment="Topic given with the answer; of several, the first.", derived_from=_ELEMENT),
    ]


def _platform_columns() -> list[Column[Any]]:
    """The columns that the platform adds to the contract."""
    return [
        column(
            "user_id",
            Text,
            comment="Raw id of the student; key of every output.",
            pii="pseudonymous",
            nullable=False,
            derived_from=("exam_results.user_id",),
        ),
        column(
            "exam_result_id",
            UUID,
            comment="Exam result that the attempt belongs to.",
            nullable=False,
            derived_from=("exam_results.id",),
        ),
        column(
            "question_ordinal",
            Integer,
            comment="Position in questions[], from 1.",
            nullable=False,
            minimum=1,
            derived_from=_ELEMENT,
        ),
        column("exam_id", Integer, comment="Exam taken.", derived_from=("exam_results.exam_id",)),
        column("org_id", Integer, comment="Organisation of the student.", derived_from=("exam_results.org_id",)),
        column(
            "is_answered",
            Boolean,
            comment="The student gave an answer; an unanswered question is missing, not wrong.",
            nullable=False,
            derived_from=_ELEMENT,
        ),
        column(
            "answer_no",
            Integer,
            comment="Number of this answer among the student's answered attempts at the item, from 1; NULL if unanswered.",
            minimum=1,
            derived_from=_ELEMENT,
        ),
        column(
            "recorded_time_ms",
            Float,
            comment="Time spent; NULL if it was not recorded.",
            unit="ms",
            minimum=0,
            derived_from=_ELEMENT,
        ),
        column(
            "hints_used",
            Integer,
            comment="Hints used; NULL if they were not recorded.",
            minimum=0,
            derived_from=_ELEMENT,
        ),
        column(
            "occurrence_no",
            Integer,
            comment="Number of the question's occurrence within its exam, from 1.",
            nullable=False,
            minimum=1,
            derived_from=_ELEMENT,
        ),
        column(
            "topic_ids",
            ARRAY(Text),
            comment="All topics of the attempt, sorted. The stored log has them only if there are several; else topic_id is "
            "the only one.",
            derived_from=_ELEMENT,
        ),
        column(
            "n_elements",
            Integer,
            comment="Elements of questions[] that are this attempt; more than 1 if there is one for each topic.",
            nullable=False,
            server_default=text("1"),
            minimum=1,
            derived_from=_ELEMENT,
        ),
    ]


attempt = Table(
    "attempt",
    view_metadata,
    *_contract_columns(),
    *_platform_columns(),
    comment="One row per question of every exam that did not fail: the 11 columns of the legacy view, then the platform's.",
)

attempt_log = Table(
    "attempt_log",
    metadata,
    *_contract_columns(),
    *_platform_columns(),
    Index("pk_attempt_log", "exam_result_id", "question_ordinal", unique=True),
    Index("ix_attempt_log_completed_at", "completed_at"),
    Index("ix_attempt_log_user_completed_at", "user_id", "completed_at"),
    Index("ix_attempt_log_student_item", "student_id", "item_id"),
    comment="The attempts as stored rows behind the view `attempt`, kept in step with exam_results by the asset of that name.",
)
for _table in (attempt, attempt_log):
    computed_by(
        _table,
        "sql/attempts/sync.sql:stage_attempts",
        ("student_id item_id topic_id question_ordinal", "sql/attempts/attempt_element.sql"),
        ("occurrence_no is_answered hints_used n_elements", "sql/attempts/attempt_element.sql"),
        ("topic_ids", "sql/sources/json_shapes.sql:seedtest_topics"),
        ("completed_at", "sql/attempts/sync.sql:stage_elements"),
        ("attempt_no answer_no", "sql/attempts/sync.sql:number_attempts"),
    )

attempt_quarantine = Table(
    "attempt_quarantine",
    metadata,
    column(
        "exam_result_id",
        UUID,
        comment="Exam result with the malformed part.",
        primary_key=True,
        derived_from=("exam_results.id",),
    ),
    column(
        "question_ordinal",
        Integer,
        comment="Position in questions[], from 1; 0 for the exam as a whole.",
        primary_key=True,
        autoincrement=False,
        derived_from=_ELEMENT,
    ),
    column(
        "reason",
        Text,
        comment="What is wrong, as a short code.",
        primary_key=True,
        derived_from=("exam_results.user_id", "exam_results.session_id", *_TIME),
    ),
    column(
        "is_excluded",
        Boolean,
        comment="The attempt is left out; otherwise it is kept with the malformed field as not recorded.",
        nullable=False,
    ),
    column("detail", Text, comment="The cause and the remedy in words.", nullable=False),
    column(
        "element",
        JSONB,
        comment="The element as in the source; longer ones are cut to 2,000 characters of text.",
        pii="pseudonymous",
        derived_from=_ELEMENT,
    ),
    column("session_id", Text, comment="Session of the exam.", derived_from=("exam_results.session_id",)),
    column(
        "user_id",
        Text,
        comment="Raw id of the student as found.",
        pii="pseudonymous",
        derived_from=("exam_results.user_id",),
    ),
    column("completed_at", Instant, comment="Time of the exam.", derived_from=_TIME),
    computed_column("detected_at", "When it was first found."),
    Index("ix_attempt_quarantine_reason", "reason"),
    comment="Malformed elements of exam_results with their reason. Nothing is lost, and no query breaks.",
)
computed_by(
    attempt_quarantine,
    "sql/attempts/sync.sql:stage_quarantine",
    ("question_ordinal reason", "sql/attempts/attempt_element.sql", "sql/attempts/sync.sql:stage_elements"),
    ("completed_at", "sql/attempts/sync.sql:stage_elements"),
)

attempt_sync = Table(
    "attempt_sync",
    metadata,
    column("exam_result_id", UUID, comment="Exam result.", primary_key=True, derived_from=("exam_results.id",)),
    column(
        "source_version",
        Text,
        comment="xmin of the exam result when its attempts were made; every update changes it.",
        nullable=False,
    ),
    column(
        "source_hash",
        UUID,
        comment="md5 of the columns of the exam result that its attempts use.",
        nullable=False,
        derived_from=tuple(f"exam_results.{name}" for name in _VERSION_OF),
    ),
    column(
        "n_elements",
        Integer,
        comment="Elements of questions[] in the exam result; 1 if no array of questions was understood.",
        nullable=False,
        minimum=0,
        derived_from=("exam_results.id", "exam_results.status", *_ELEMENT),
    ),
    column("synced_at", Instant, comment="When its attempts were last made.", nullable=False, is_volatile=True),
    comment="The version of each exam result that the attempt log holds.",
)
computed_by(attempt_sync, "sql/attempts/sync.sql:record_sync")

attempt_touched_day = Table(
    "attempt_touched_day",
    metadata,
    column(
        "id",
        BigInteger,
        comment="Key; each change gets a new one, higher than all before.",
        primary_key=True,
        autoincrement=True,
    ),
    column(
        "day",
        Date,
        comment="Day in the platform's time zone whose attempts changed.",
        nullable=False,
        derived_from=("attempt_log.completed_at", *_TIME),
    ),
    computed_column("touched_at", "When the last change was made."),
    column(
        "attempts",
        Integer,
        comment="Attempts added, changed or removed on that day, over all changes.",
        nullable=False,
        minimum=1,
    ),
    Index("uq_attempt_touched_day_day", "day", unique=True),
    comment="Days whose attempts changed, one row for each day. The sensor continues after the last id that it has seen.",
)
computed_by(attempt_touched_day, "sql/attempts/sync.sql:touch_days")
