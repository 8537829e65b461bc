"""What real sources contain and nobody expects: exams that end in quarantine, log rows that are rejected."""

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
    """An exam as another program might store it; ``what`` says what is wrong with it, "" where only the user
    is odd.
    """

    session_id: str
    user_id: str | None
    status: str
    result_json: Any
    answered_at: dt.datetime
    what: str


def hostile_exams(config: CohortConfig) -> list[HostileExam]:
    """One exam for every fault, on the Wednesday of the last week; none may break a query."""
    noon = dt.datetime.combine(config.until, dt.time(12), dt.UTC)
    wednesday = noon - dt.timedelta(days=(config.until.isoweekday() % 7) + 4)
    good = _element(config, 1)
    users: list[tuple[str | None, str]] = [
        (HTML_USER, ""),
        (SQL_USER, ""),
        (HYPHEN_USER, ""),
        ("", "empty user id"),
        (None, "no user id"),
        ("u" * 500, "user id of 500 characters"),
    ]
    questions: list[tuple[Any, str]] = [
        ([good, {**good, "question_id": "q_stub_3"}], "question id that is no number"),
        ({"0": good}, "questions as an object"),
        ("none", "questions as a text"),
        ([good, {**good, "used_hints": 1.5}], "one and a half hints"),
        ([good, {**good, "is_correct": "maybe"}], "is_correct that is no boolean"),
        ([good, {**good, "time_spent_sec": "fast"}], "time that is no number"),
        ([good, {**good, "question_id": None}, {**good, "question_id": ""}], "questions without id"),
        ([good, None, 3, "x", []], "elements that are no objects"),
        ([good, good, good], "one question three times"),
        ([{**good, "answered_at": "2999-01-01T00:00:00Z"}], "answer in the future"),
        ([{**good, "answered_at": "2026-02-30T00:00:00Z"}], "30 February"),
        ([], "no questions"),
    ]
    exams = [
        _exam(
            config,
            n,
            user_id=user,
            questions=[_element(config, i) for i in range(1, 7)],
            answered_at=wednesday,
            what=what,
        )
        for n, (user, what) in enumerate(users, 1)
    ]
    for n, (content, what) in enumerate(questions, len(exams) + 1):
        exams.append(
            _exam(
                config,
                n,
                user_id=f"{config.name}-hostile",
                questions=content,
                answered_at=wednesday,
                what=what,
            )
        )
    future = dt.datetime(config.until.year + 10, 1, 1, tzinfo=dt.UTC)
    exams.append(
        _exam(
            config,
            len(exams) + 1,
            user_id=f"{config.name}-hostile",
            questions=[good],
            answered_at=future,
            what="exam in the future",
        )
    )
    failed = _exam(
        config,
        len(exams) + 1,
        user_id=f"{config.name}-hostile",
        questions=[good],
        answered_at=wednesday,
        what="failed exam with answers",
    )
    return [
        *exams,
        HostileExam(
            failed.session_id,
            failed.user_id,
            status="failed",
            result_json=failed.result_json,
            answered_at=wednesday,
            what=failed.what,
        ),
    ]


def _element(config: CohortConfig, number: int) -> dict[str, Any]:
    item = config.first_item_id + 1 + number % config.n_items
    return {
        "question_id": item,
        "is_correct": number % 3 > 0,
        "topic": "topic-01",
        "time_spent_sec": 20 + number,
    }


def _exam(
    config: CohortConfig,
    number: int,
    *,
    user_id: str | None,
    questions: Any,
    answered_at: dt.datetime,
    what: str,
) -> HostileExam:
    result = {"questions": questions, "metadata": {"version": "v1"}, "ability_estimate": 0.0}
    return HostileExam(
        f"{config.name}-hostile-{number:02d}",
        user_id,
        status="ready",
        result_json=result,
        answered_at=answered_at,
        what=what,
    )


def malformed_log(config: CohortConfig) -> str:
    """A CSV log whose rows are all rejected, one for every reason; the user is the cohort's first."""
    user, item, time = (
        f"{config.name}-0000001",
        config.first_item_id + 1,
        f"{config.until.isoformat()}T10:00:00Z",
    )
    rows = [
        "user_id,session_id,item_id,topic_id,correct,response_time_ms,hints_used,completed_at",
        f",s-1,{item},topic-01,true,1000,0,{time}",
        f"{'u' * 300},s-1,{item},topic-01,true,1000,0,{time}",
        f"{user},s-1,q_stub_3,topic-01,true,1000,0,{time}",
        f"{user},s-1,{item},topic-01,maybe,1000,0,{time}",
        f"{user},s-1,{item},topic-01,true,-5,0,{time}",
        f"{user},s-1,{item},topic-01,true,1000,1.5,{time}",
        f"{user},s-1,{item},topic-01,true,1000,0,yesterday",
        f"{user},s-1,{item},topic-01,true",
    ]
    return "\n".join(rows) + "\n"
