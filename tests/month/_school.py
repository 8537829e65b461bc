"""What happens to the source tables in the month: answers of every day, late ones, corrections, removals."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import URL, Engine, create_engine, text

_HOLD_BACK = """
CREATE SCHEMA IF NOT EXISTS held;
CREATE TABLE held.exam AS SELECT * FROM exam_results WITH NO DATA;
CREATE TABLE held.late AS SELECT * FROM exam_results WITH NO DATA;
UPDATE exam_results SET id = md5(session_id)::uuid;
WITH held AS (DELETE FROM exam_results WHERE updated_at >= :start RETURNING *) INSERT INTO held.exam SELECT * FROM held
"""
_LATE = """
WITH late AS (DELETE FROM {table} WHERE created_at BETWEEN :day AND :day + INTERVAL '1 day' AND id IN (
    SELECT id FROM {table} WHERE created_at BETWEEN :day AND :day + INTERVAL '1 day' ORDER BY id LIMIT :n
) RETURNING *) INSERT INTO held.late SELECT * FROM late
"""
_ARRIVE = """
WITH arrived AS (DELETE FROM held.exam WHERE updated_at <= :now RETURNING *)
INSERT INTO exam_results SELECT * FROM arrived
"""
_ARRIVE_LATE = """
WITH arrived AS (
    DELETE FROM held.late WHERE id IN (
        SELECT id FROM held.late WHERE created_at BETWEEN :day AND :day + INTERVAL '1 day'
    ) RETURNING *
)
INSERT INTO exam_results (id, session_id, user_id, exam_id, status, result_json, score_raw, score_scaled, standard_error,
    percentile, created_at, updated_at, org_id)
SELECT id, session_id, user_id, exam_id, status, result_json, score_raw, score_scaled, standard_error,
    percentile, created_at, :now, org_id FROM arrived
"""
_OF_DAY = """
SELECT id FROM exam_results WHERE created_at BETWEEN :day AND :day + INTERVAL '1 day' AND session_id LIKE 'sim%'
ORDER BY jsonb_array_length(result_json -> 'questions') DESC, id LIMIT :n
"""
_RESCORE = """
UPDATE exam_results AS e SET
    updated_at = :now,
    result_json = jsonb_set(e.result_json, '{{questions}}', (
        SELECT jsonb_agg(q.element || '{{"is_correct": true, "correct": true}}' ORDER BY q.number)
        FROM jsonb_array_elements(e.result_json -> 'questions') WITH ORDINALITY AS q (element, number)
    ))
WHERE e.id IN ({of_day})
"""
_WITHDRAW = "UPDATE exam_results SET updated_at = :now, status = 'failed' WHERE id IN ({of_day})"
_DELETE = "DELETE FROM exam_results WHERE id IN ({of_day})"


@dataclass(frozen=True)
class School:
    """The source tables of a database. The engine writes also while the database refuses the platform."""

    engine: Engine

    @classmethod
    def of(cls, url: URL) -> School:
        """A school with a separate pool; sessions that ended are replaced."""
        options = {"options": "-c default_transaction_read_only=off"}
        return cls(create_engine(url, connect_args=options, pool_pre_ping=True))

    def hold_back(self, start: dt.datetime) -> None:
        """Take away what arrives from an instant on."""
        self._execute(_HOLD_BACK, start=start)

    def delay(self, day: dt.datetime, *, n: int) -> int:
        """Let up to ``n`` exams of a day come late, also of days before the month."""
        with self.engine.begin() as connection:
            return sum(
                connection.execute(text(_LATE.format(table=table)), {"day": day, "n": n}).rowcount
                for table in ("held.exam", "exam_results")
            )

    def arrive(self) -> int:
        """The answers until now."""
        return self._execute(_ARRIVE)

    def arrive_late(self, day: dt.datetime) -> int:
        """What was delayed of a day."""
        return self._execute(_ARRIVE_LATE, day=day)

    def rescore(self, day: dt.datetime, *, n: int = 2) -> int:
        """The longest exams of a day get another score."""
        return self._execute(_RESCORE.format(of_day=_OF_DAY), day=day, n=n)

    def withdraw(self, day: dt.datetime, *, n: int = 2) -> int:
        """The longest exams of a day no longer count."""
        return self._execute(_WITHDRAW.format(of_day=_OF_DAY), day=day, n=n)

    def delete(self, day: dt.datetime, *, n: int = 2) -> int:
        """The longest exams of a day are removed."""
        return self._execute(_DELETE.format(of_day=_OF_DAY), day=day, n=n)

    def _execute(self, statements: str, **parameters: object) -> int:
        parameters["now"] = dt.datetime.now(dt.UTC)
        with self.engine.begin() as connection:
            for one in statements.split(";\n"):
                done = connection.execute(text(one), {k: v for k, v in parameters.items() if f":{k}" in one})
            return done.rowcount
