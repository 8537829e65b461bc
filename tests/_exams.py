"""Exam results for tests, and the contract's derivation of the attempts from them in plain Python."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import Engine, text

UTC = dt.UTC
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Exam:
    """One row of exam_results."""

    questions: Any = ()
    user_id: str | None = "kim"
    created_at: dt.datetime | str = NOON
    updated_at: dt.datetime | str | None = None
    status: str = "ready"
    exam_id: int | None = None
    org_id: int | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def session_id(self) -> str:
        return f"s-{self.id}"


def question(question_id: Any = 1, **fields: Any) -> dict[str, Any]:
    """An element of questions[]."""
    return {"question_id": question_id, "is_correct": True, "topic": "algebra", **fields}


def store(engine: Engine, *exams: Exam) -> None:
    """Insert exams, or replace those with the same id as the web application does."""
    rows = [
        {
            "id": exam.id,
            "session_id": exam.session_id,
            "user_id": exam.user_id,
            "exam_id": exam.exam_id,
            "org_id": exam.org_id,
            "status": exam.status,
            "result_json": json.dumps({"questions": _as_list(exam.questions)}),
            "created_at": exam.created_at,
            "updated_at": exam.updated_at or exam.created_at,
        }
        for exam in exams
    ]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO exam_results "
                "(id, session_id, user_id, exam_id, org_id, status, result_json, created_at, updated_at) VALUES "
                "(:id, :session_id, :user_id, :exam_id, :org_id, :status, CAST(:result_json AS jsonb), "
                "CAST(:created_at AS timestamptz), CAST(:updated_at AS timestamptz)) "
                "ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, status = excluded.status, "
                "result_json = excluded.result_json, updated_at = excluded.updated_at"
            ),
            rows,
        )


def _as_list(questions: Any) -> Any:
    return list(questions) if isinstance(questions, tuple) else questions


def student_uuid(user_id: str) -> uuid.UUID:
    """The contract's rule: 36 hexadecimal digits and hyphens that are a UUID, else md5 laid out as one."""
    if len(user_id) == 36 and all(character in "0123456789abcdefABCDEF-" for character in user_id):
        try:
            return uuid.UUID(user_id)
        except ValueError:
            pass  # 36 hyphens "match" the legacy pattern and are not a UUID
    return uuid.UUID(hashlib.md5(user_id.encode()).hexdigest())


def attempt_id(exam_id: uuid.UUID, question_id: Any) -> int:
    """First 16 hexadecimal digits of md5(exam - question) as a signed 64-bit number."""
    digest = hashlib.md5(f"{exam_id}-{question_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def half_up(value: Decimal) -> int:
    """Round as PostgreSQL rounds a numeric that is not negative."""
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def derived_attempts(exams: list[Exam]) -> list[dict[str, Any]]:
    """The 11 columns of the contract's section 2 for well-formed exams, with the changes of docs/metrics.md.

    completed_at is the answer's own time, else the exam's first storing. A repeated question gets its own id.
    """
    rows = []
    for exam in exams:
        if exam.status == "failed":
            continue
        seen: dict[int, int] = {}
        for ordinal, element in enumerate(exam.questions, 1):
            given = element["question_id"]
            item_id = int(given)
            seen[item_id] = seen.get(item_id, 0) + 1
            suffix = f"{given}-{seen[item_id]}" if seen[item_id] > 1 else given
            seconds = Decimal(str(element.get("time_spent_sec") or 0))
            answer = next((element[k] for k in ("is_correct", "correct") if element.get(k) is not None), False)
            at = element.get("answered_at")
            stored = min(t for t in (exam.created_at, exam.updated_at) if isinstance(t, dt.datetime))
            completed_at = dt.datetime.fromisoformat(at) if at else stored
            assert exam.user_id is not None
            rows.append(
                {
                    "id": attempt_id(exam.id, suffix),
                    "student_id": student_uuid(exam.user_id),
                    "item_id": item_id,
                    "correct": answer in (True, "true"),
                    "response_time_ms": half_up(seconds * 1000),
                    "hint_used": int(element.get("used_hints") or 0) > 0,
                    "completed_at": completed_at,
                    "started_at": completed_at - dt.timedelta(seconds=half_up(seconds)),
                    "session_id": exam.session_id,
                    "topic_id": element.get("topic") or None,
                    "order": (completed_at, exam.id.bytes, ordinal),
                }
            )
    return _numbered(rows)


def _numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts: dict[tuple[uuid.UUID, int], int] = {}
    numbered = []
    for row in sorted(rows, key=lambda row: row["order"]):
        pair = (row["student_id"], row["item_id"])
        counts[pair] = counts.get(pair, 0) + 1
        numbered.append({**{k: v for k, v in row.items() if k != "order"}, "attempt_no": counts[pair]})
    return numbered
