"""Bad input of real sources: exams that end in quarantine, and log rows that the loader rejects."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from seedtest_analytics.stats.simulate.config import CohortConfig

HTML_USER = "<script>alert('report')</script><b>&amp;Kim"
SQL_USER = "Robert'); DROP TABLE exam_results;-- %s {0}"
HYPHEN_USER = "-" * 36


@dataclass(frozen=True)
class HostileExam:
    """An exam as another program might store it. ``what`` is its fault, "" if only the user id is odd."""

    session_id: str
    user_id: str | None
    status: str
    result_json: Any
    answered_at: dt.datetime
    what: str


def hostile_exams(config: CohortConfig) -> list[HostileExam]:
    """One exam for every fault, on the Wednesday of the last week. None may break a query."""
    noon = dt.datetime.combine(config.until, dt.time(12), dt.UTC)
    wednesday = noon - dt.timedelta(days=(config.until.isoweekday() % 7) + 4)
    future = dt.datetime(config.until.year + 10, 1, 1, tzinfo=dt.UTC)
    good = _element(config, 1)
    six = [_element(config, i) for i in range(1, 7)]
    users: list[tuple[str | None, str]] = [
        (HTML_USER, ""),
        (SQL_USER, ""),
        (HYPHEN_USER, ""),
        ("", "empty user id"),
        (None, "no user id"),
        ("u" * 500, "user id of 500 characters"),
    ]
    questions: list[tuple[Any, str]] = [
        ([good, {**good, "question_id": "q_stub_3"}], "question id that is not a number"),
        ({"0": good}, "questions as an object"),
        ("none", "questions as text"),
        ([good, {**good, "used_hints": 1.5}], "one and a half hints"),
        ([good, {**good, "is_correct": "maybe"}], "is_correct that is not a boolean"),
        ([good, {**good, "time_spent_sec": "fast"}], "time that is not a number"),
        ([good, {**good, "question_id": None}, {**good, "question_id": ""}], "questions without id"),
        ([good, None, 3, "x", []], "elements that are not objects"),
        ([good, good, good], "one question three times"),
        ([{**good, "answered_at": "2999-01-01T00:00:00Z"}], "answer in the future"),
        ([{**good, "answered_at": "2026-02-30T00:00:00Z"}], "30 February"),
        ([], "no questions"),
    ]
    user = f"{config.name}-hostile"
    exams = [
        *((name, "ready", six, wednesday, what) for name, what in users),
        *((user, "ready", content, wednesday, what) for content, what in questions),
        (user, "ready", [good], future, "exam in the future"),
        (user, "failed", [good], wednesday, "failed exam with answers"),
    ]
    return [
        HostileExam(
            f"{user}-{number:02d}",
            user_id,
            status=status,
            result_json={"questions": content, "metadata": {"version": "v1"}, "ability_estimate": 0.0},
            answered_at=answered_at,
            what=what,
        )
        for number, (user_id, status, content, answered_at, what) in enumerate(exams, 1)
    ]


def _element(config: CohortConfig, number: int) -> dict[str, Any]:
    item = config.first_item_id + 1 + number % config.n_items
    return {"question_id": item, "is_correct": number % 3 > 0, "topic": "topic-01", "time_spent_sec": 20 + number}


def malformed_log(config: CohortConfig) -> str:
    """A CSV log of the first student in which every row is rejected, each for another reason."""
    user, item, time = f"{config.name}-0000001", config.first_item_id + 1, f"{config.until.isoformat()}T10:00:00Z"
    rows = [
        "user_id,session_id,item_id,topic_id,correct,response_time_ms,hints_used,completed_at",
        f",s-1,{item},topic-01,true,1000,0,{time}",
        f"{'u' * 300},s-1,{item},topic-01,true,1000,0,{time}",
        f"{user},s-1,q_stub_3,topic-01,true,1000,0,{time}",
        f"{user},s-1,{item},topic-01,maybe,1000,0,{time}",
        f"{user},{'s' * 300},{item},topic-01,true,1000,0,{time}",
        f"{user},s-1,{item},{'t' * 300},true,1000,0,{time}",
        f"{user},s-1,{item},topic-01,true,1000,0,yesterday",
        f"{user},s-1,{item},topic-01,true",
    ]
    return "\n".join(rows) + "\n"
