"""Exams of another shape are in quarantine, and the sync reads the answers and numbers that the loader reads.

Revision: 0037, after 0036.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.sql_files import read_sql, statement

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

READ_AGAIN = """
UPDATE attempt_sync AS s
SET source_version = ''
FROM exam_results AS e
WHERE
    e.id = s.exam_result_id
    AND (
        (s.n_elements = 0 AND e.status <> 'failed' AND e.result_json NOT IN ('null', '{}', '[]'))
        OR EXISTS (
            SELECT FROM attempt_quarantine AS q
            WHERE
                q.exam_result_id = e.id
                AND q.reason IN (
                    'questions_not_array', 'question_id_not_integer', 'answer_not_boolean', 'hints_not_integer'
                )
        )
    )
"""
"""The next sync reads these exams again: the other parser finds other attempts or faults in them."""


def upgrade() -> None:
    _define(
        statement("sources/json_shapes.sql", "seedtest_exam_questions").text, read_sql("attempts/attempt_element.sql")
    )


def downgrade() -> None:
    _define(*(read_sql(f"migrations/views/0009_{name}.sql") for name in ("exam_questions", "attempt_element")))


def _define(*definitions: str) -> None:
    for definition in definitions:
        op.get_bind().exec_driver_sql(definition.replace("%", "%%"))
    op.execute(sa.text(READ_AGAIN))
