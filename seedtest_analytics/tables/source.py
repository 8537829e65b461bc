"""Source tables. The web application owns them; a migration creates those that do not exist."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from seedtest_analytics.tables.declare import (
    EMPTY_OBJECT,
    JSONB,
    NOW,
    Instant,
    column,
    computed_by,
    computed_column,
    metadata,
    student_column,
)

exam_results = Table(
    "exam_results",
    metadata,
    column("id", UUID, comment="Key of the exam result.", primary_key=True, server_default=text("gen_random_uuid()")),
    column("session_id", Text, comment="Session of the exam; one result for each session.", nullable=False),
    student_column(None),
    column("exam_id", Integer, comment="Exam taken; also used as the subject."),
    column(
        "status",
        Text,
        comment="'ready' or 'failed'; failed exams do not count.",
        nullable=False,
        server_default="ready",
    ),
    column("result_json", JSONB, comment="Score, topics and questions[] of the exam.", nullable=False),
    column("score_raw", Numeric, comment="Raw score.", unit="points"),
    column("score_scaled", Numeric, comment="Scaled score.", unit="points"),
    column("standard_error", Numeric, comment="Standard error of the scaled score.", unit="points"),
    column("percentile", Numeric, comment="Percentile of the score.", unit="percent"),
    column("created_at", Instant, comment="When the result was first stored.", nullable=False, server_default=NOW),
    column(
        "updated_at",
        Instant,
        comment="When the result was last stored; a re-score moves it.",
        nullable=False,
        server_default=NOW,
    ),
    column("org_id", Integer, comment="Organisation of the student."),
    UniqueConstraint("session_id", name="uq_exam_results_session_id"),
    Index("ix_exam_results_user_exam", "user_id", "exam_id"),
    Index("ix_exam_results_org_id", "org_id"),
    Index("ix_exam_results_updated_at_id", "updated_at", "id"),
    comment="Exam results with their questions as JSON; the raw source of truth.",
)

question = Table(
    "question",
    metadata,
    column(
        "id",
        BigInteger,
        comment="Key of the question; the item of the analytics.",
        primary_key=True,
        autoincrement=False,
    ),
    column("content", Text, comment="Text of the question.", nullable=False, pii="free_text"),
    column("difficulty", Numeric, comment="Difficulty given by the author.", unit="author's scale"),
    column("topic_id", Text, comment="Topic of the question."),
    column(
        "meta",
        JSONB,
        comment="irt: {a, b, c, model, version}; tags: [text], 'anchor' marks an anchor item.",
        server_default=EMPTY_OBJECT,
    ),
    column("created_at", Instant, comment="When the question was stored.", nullable=False, server_default=NOW),
    column("updated_at", Instant, comment="When the question was last changed.", nullable=False, server_default=NOW),
    Index("ix_question_topic_id", "topic_id"),
    Index("ix_question_meta", "meta", postgresql_using="gin"),
    comment="The item bank.",
)

session = Table(
    "session",
    metadata,
    column("id", Text, comment="Key of the session.", primary_key=True),
    column("classroom_id", Text, comment="Classroom that the session belongs to."),
    column("exam_id", Text, comment="Exam of the session."),
    column("started_at", Instant, comment="Start of the session."),
    column("ended_at", Instant, comment="End of the session."),
    column("status", Text, comment="State of the session."),
    column("created_at", Instant, comment="When the row was stored.", nullable=False, server_default=NOW),
    student_column(None),
    column("org_id", Integer, comment="Organisation of the student."),
    Index("ix_session_classroom_id", "classroom_id"),
    Index("ix_session_status_started_at", "status", "started_at"),
    Index("ix_session_user_id", "user_id"),
    Index("ix_session_org_id", "org_id"),
    comment="Sessions of the web application.",
)

interest_goal = Table(
    "interest_goal",
    metadata,
    student_column(None, primary_key=True),
    column("topic_id", Text, comment="Topic of the goal.", primary_key=True),
    column("target_level", Numeric(6, 3), comment="Ability that the student wants to reach.", unit="logit"),
    column(
        "priority",
        SmallInteger,
        comment="Weight of the goal among the student's goals, 0..100.",
        nullable=False,
        server_default="0",
    ),
    column("created_at", Instant, comment="When the goal was set.", nullable=False, server_default=NOW),
    column("target_date", Date, comment="Day by which the goal should be reached; NULL if no day is set."),
    comment="Goals of students by topic.",
)

classroom = Table(
    "classroom",
    metadata,
    column("id", Text, comment="Key of the classroom.", primary_key=True),
    column("org_id", Text, comment="Organisation of the classroom.", nullable=False),
    column("name", Text, comment="Name of the classroom.", nullable=False, pii="free_text"),
    column("grade", SmallInteger, comment="School grade, 0..12.", minimum=0, maximum=12),
    column("created_at", Instant, comment="When the row was stored.", nullable=False, server_default=NOW),
    UniqueConstraint("org_id", "name", name="uq_classroom_org_name"),
    comment="Classrooms of organisations.",
)

student_name = Table(
    "student_name",
    metadata,
    student_column(None, primary_key=True),
    column("name", Text, comment="Name that reports show instead of the id.", nullable=False, pii="free_text"),
    comment="Names of students; a student without a row is shown by id.",
)

enrolment = Table(
    "enrolment",
    metadata,
    column("id", Text, comment="sourcedId of the enrolment in the roster.", primary_key=True),
    column("classroom_id", Text, comment="Classroom.", nullable=False),
    student_column(None, nullable=False),
    column(
        "user_source_id", Text, comment="sourcedId of the person in the roster.", nullable=False, pii="pseudonymous"
    ),
    column("role", Text, comment="Role in the class: student, teacher, or another of the roster.", nullable=False),
    column(
        "is_homeroom",
        Boolean,
        comment="The class is the student's homeroom; among several classes it is the one that groups the student.",
        nullable=False,
        server_default="false",
    ),
    column("begins_on", Date, comment="First day; NULL: always."),
    column("ends_on", Date, comment="Day of the end, which no longer counts; NULL: none."),
    Index("ix_enrolment_user_id", "user_id"),
    Index("ix_enrolment_classroom_id", "classroom_id"),
    comment="Who is in which class, from rosters.",
)

topic_name = Table(
    "topic_name",
    metadata,
    column("topic_id", Text, comment="Topic.", primary_key=True),
    column("language", Text, comment="Language of the name, such as 'ko'.", primary_key=True),
    column("name", Text, comment="Name that reports show instead of the id.", nullable=False),
    comment="Names of topics by language; a topic without a row is shown by id.",
)

load_rejects = Table(
    "load_rejects",
    metadata,
    column("id", BigInteger, comment="Key.", primary_key=True, autoincrement=True),
    column("file_name", Text, comment="Name of the log file, without its folder.", nullable=False),
    column("row_number", BigInteger, comment="Row of the file, 1 is the first after the header.", nullable=False),
    column("reason", Text, comment="Why the row was not loaded.", nullable=False),
    column(
        "raw_row",
        JSONB,
        comment="The row as it was read; longer values are cut to 2,000 characters.",
        nullable=False,
        pii="pseudonymous",
    ),
    computed_column("rejected_at", "When the row was rejected."),
    column(
        "is_excluded",
        Boolean,
        comment="The row is left out; otherwise its answer is loaded with the malformed field as not recorded.",
        nullable=False,
        server_default="true",
    ),
    UniqueConstraint("file_name", "row_number", "reason", name="uq_load_rejects_row"),
    comment="Rows and fields of attempt logs that could not be loaded, with their reason.",
)
computed_by(load_rejects, "ingest.staging.Staging.add", ("reason", "ingest.convert.convert_batch"))

item_number = Table(
    "item_number",
    metadata,
    column(
        "item_id",
        BigInteger,
        comment="Number of the item; question.id.",
        primary_key=True,
        autoincrement=False,
        derived_from=("question.id",),
    ),
    column("source_id", Text, comment="Id of the item in its source.", nullable=False),
    computed_column("first_seen_at", "When a load first met it."),
    UniqueConstraint("source_id", name="uq_item_number_source_id"),
    comment="Numbers of items whose source has text ids or UUIDs.",
)
computed_by(item_number, "ingest.item_numbers.remember_numbers", ("item_id", "ingest.item_numbers.number_of"))

connect_cursor = Table(
    "connect_cursor",
    metadata,
    column("name", Text, comment="Connection: the name of its mapping file.", primary_key=True),
    column("cursor_value", Text, comment="Highest cursor read, as text.", nullable=False),
    column("rows_read", BigInteger, comment="Rows of the last read.", nullable=False, minimum=0),
    computed_column("read_at", "When it was last read."),
    comment="How far the tables of each connection have been read.",
)
computed_by(connect_cursor, "ingest.connect.remember_cursor")

SOURCE_TABLES = (
    "exam_results",
    "question",
    "session",
    "interest_goal",
    "classroom",
    "student_name",
    "enrolment",
    "topic_name",
    "load_rejects",
    "item_number",
    "message_consent",
    "connect_cursor",
)
"""Tables that are loaded, never computed."""
