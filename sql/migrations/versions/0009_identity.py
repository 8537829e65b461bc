"""Identity: an attempt may have several topics, and every JSON column of a source has one parser.

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import (
    add_column,
    begin_revision,
    create_function,
    replace_comments,
    replace_legacy_view,
    undo_revision,
)
from seedtest_analytics.database.sql_files import read_sql, statement

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "seedtest_json(jsonb)",
    "seedtest_exam_questions(jsonb)",
    "seedtest_topics(jsonb, jsonb)",
    "seedtest_question_meta(jsonb)",
    "seedtest_question_tags(jsonb)",
)
COMMENTS = (
    (
        "features_topic_daily",
        "attempts",
        "Answered attempts of the day.",
        "Answered attempts of the day; one with several topics counts in each.",
    ),
    ("attempt_log", "topic_id", "Topic given with the answer.", "Topic given with the answer; of several, the first."),
    (
        "attempt_sync",
        "n_elements",
        "Elements of questions[] in the exam result; 1 if questions is not an array.",
        "Elements of questions[] in the exam result; 1 if no array of questions was understood.",
    ),
)
READ_AGAIN = """
UPDATE attempt_sync AS s
SET source_version = ''
FROM exam_results AS e
WHERE
    e.id = s.exam_result_id
    AND (
        jsonb_typeof(e.result_json) NOT IN ('object', 'null')
        OR jsonb_typeof(e.result_json -> 'questions') = 'string'
        OR jsonb_path_exists(
            e.result_json, '$.questions[*] ? (exists(@.topics) || exists(@.topic ? (@.type() != "string")))'
        )
        OR EXISTS (SELECT FROM attempt_log AS l WHERE l.exam_result_id = e.id AND l.occurrence_no > 1)
    )
"""
"""The next sync reads these exams again: the new parser finds other attempts in them."""


def upgrade() -> None:
    begin_revision(op, revision)
    for signature in FUNCTIONS:
        definition = statement("sources/json_shapes.sql", signature.partition("(")[0])
        create_function(op, signature, definition=definition.text)
    add_column(
        op,
        "attempt_log",
        column=sa.Column(
            "topic_ids",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="All topics of the attempt, sorted. The stored log has them only if there are several; else topic_id is the only one.",
        ),
    )
    add_column(
        op,
        "attempt_log",
        column=sa.Column(
            "n_elements",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="Elements of questions[] that are this attempt; more than 1 if there is one for each topic.",
        ),
    )
    for name, comment in (
        ("attempts_once", "Attempts whose first topic this is: adds up over topics."),
        ("correct_once", "Of these, right."),
        ("hints_once", "Attempts with a hint whose first topic this is."),
    ):
        add_column(op, "features_topic_daily", column=sa.Column(name, sa.Integer(), nullable=True, comment=comment))
    op.execute("UPDATE features_topic_daily SET attempts_once = attempts, correct_once = correct, hints_once = hints")
    op.execute(sa.text(READ_AGAIN))
    replace_legacy_view(op, "attempt_element", definition=read_sql("attempts/attempt_element.sql"))
    replace_legacy_view(op, "attempt", definition=read_sql("attempts/attempt.sql"))
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
    undo_revision(op, revision)
    # PostgreSQL prints a view otherwise than it was written, so the view is written again.
    op.get_bind().exec_driver_sql(read_sql("migrations/views/0001_attempt_element.sql").replace("%", "%%"))
