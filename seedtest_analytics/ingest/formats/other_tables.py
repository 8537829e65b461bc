"""OULAD, Item Response Warehouse, and the quiz export of Moodle."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.formats.format import (
    Format,
    Row,
    Source,
    UnusableRowError,
    attempt,
    each,
    first_of,
    in_order,
    milliseconds,
    names,
    number,
)

ASSESSMENTS = "OULAD assessments"
PASS_MARK = 40.0
_MONTHS = {"B": 2, "J": 10}
_QUESTION = re.compile(r"^Q\.?\s*(\d+)\s*/\s*(\d+(?:[.,]\d*)?)$")
_DURATION = re.compile(r"(\d+)\s*(day|hour|min|sec|일|시간|분|초)")
_SECONDS = {"day": 86_400, "일": 86_400, "hour": 3600, "시간": 3600, "min": 60, "분": 60, "sec": 1, "초": 1}


def oulad(source: Source) -> Iterator[Row]:
    """A submission is an attempt at its assessment, right from 40 points on, the pass mark of the Open University."""
    found = {str(row["id_assessment"]): row for row in source.companions.get(ASSESSMENTS, ())}
    if not found:
        raise LoadError(
            f"{source.name}: OULAD's days count from assessments.csv; load it in the same command or archive"
        )

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        assessment = found.get(str(row["id_assessment"]))
        score = first_of(row, "score")
        right = None if score in (None, "?") else number(row, "score") >= PASS_MARK
        day = None
        if assessment is not None:
            day = _day(str(assessment["code_presentation"]), number(row, "date_submitted"))
        topic = assessment["code_module"] if assessment else None
        yield attempt(row["id_student"], row["id_assessment"], correct=right, topic_id=topic, completed_at=day)

    yield from each(source.rows, convert)


def _day(presentation: str, days: float) -> str:
    """The day of a submission, counted from the start of the module. Raises :class:`UnusableRowError` otherwise."""
    found = re.fullmatch(r"(\d{4})([BJ])", presentation)
    if found is None:
        raise UnusableRowError(f"code_presentation is {presentation!r}, which is not a year with B or J")
    try:
        return (dt.date(int(found[1]), _MONTHS[found[2]], 1) + dt.timedelta(days=int(days))).isoformat()
    except (ValueError, OverflowError):
        raise UnusableRowError(f"date_submitted is {days:g}, which is not a day of the module {presentation}") from None


def irw(source: Source) -> Iterator[Row]:
    """A row for each response. Only 0 and 1 are right or wrong; other scores are rejected with their value."""
    place = 0

    def counted() -> Iterator[Mapping[str, Any]]:
        nonlocal place
        for place, row in enumerate(source.rows):  # noqa: B007 (convert reads it)
            yield row

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        resp = str(first_of(row, "resp") if first_of(row, "resp") is not None else "").strip()
        found = attempt(
            row["id"],
            row["item"],
            correct=None,
            completed_at=first_of(row, "date") or in_order(place),
            response_time_ms=milliseconds(row.get("rt") or ""),
            topic_id=first_of(row, "itemcov_subdomain", "subtest"),
        )
        yield {**found, "correct": None if resp in ("", "NA") else resp}

    yield from each(counted(), convert)


def moodle(source: Source) -> Iterator[Row]:
    """A row for each student and quiz attempt with a column for each question, such as ``Q. 1 /1.00``."""
    quiz = PurePosixPath(source.name).name.rsplit(".", 1)[0]

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        questions = {name: found for name in row if (found := _QUESTION.match(name.strip()))}
        user = first_of(row, "ID number", "Username", "Email address", "학번", "사용자 아이디", "이메일 주소")
        completed = first_of(row, "Completed", "Completed on", "완료", "완료일시")
        if user is None or completed in (None, "-"):
            return  # the line of averages, and attempts in progress
        seconds = _seconds(first_of(row, "Time taken", "Duration", "소요 시간"))
        for name, found in questions.items():
            right, is_known = _points(row[name], found[2])
            if is_known:
                yield attempt(
                    user,
                    f"{quiz} Q{found[1]}",
                    correct=right,
                    topic_id=quiz,
                    session_id=f"{quiz} {user} {completed}"[:200],
                    completed_at=completed,
                    response_time_ms=None if seconds is None else round(1000 * seconds / len(questions)),
                )

    yield from each(source.rows, convert)


def _points(value: Any, maximum: str) -> tuple[bool | None, bool]:
    """Right, wrong or unanswered (``-``), and whether the question is graded."""
    text = str(value or "").strip().replace(",", ".")
    points = float(maximum.replace(",", "."))
    if text == "-" or text == "":
        return None, points > 0
    try:
        return float(text) >= points, points > 0  # a question without points is not graded
    except ValueError:
        return None, False  # such as "Requires grading"


def _seconds(text: Any) -> int | None:
    parts = _DURATION.findall(str(text or "").lower())
    return sum(int(number) * _SECONDS[unit] for number, unit in parts) if parts else None


class _Moodle(Format):
    """Recognised by a column for a question beside the state of the attempt, in any language."""

    def fits(self, names: set[str]) -> bool:
        return any(_QUESTION.match(name.strip()) for name in names)

    def uses(self, name: str) -> bool:
        return _QUESTION.match(name.strip()) is not None


def in_sequence(source: Source) -> Iterator[Row]:
    """Answers of students with their place in the student's sequence, as knowledge tracing publishes them."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        place = str(first_of(row, "position") or "0").removesuffix(".0")
        found = attempt(
            row["user_id"],
            row["item_id"],
            correct=None,
            topic_id=first_of(row, "topic_id", "skill_id"),
            completed_at=in_order(int(place)) if re.fullmatch(r"\d{1,9}", place) else None,
        )
        yield {**found, "correct": row["correct"]}

    yield from each(source.rows, convert)


class _WithoutTimes(Format):
    """A log of the loader's columns but the time."""

    def fits(self, names: set[str]) -> bool:
        return super().fits(names) and "completed_at" not in names


OTHER_TABLES = (
    Format(
        "OULAD submissions",
        "table",
        names("id_assessment|id_student|date_submitted|is_banked|score"),
        "a submission is an attempt at its assessment, right from 40 points on; days count from the start of the module",
        oulad,
    ),
    Format(
        ASSESSMENTS,
        "table",
        names("code_module|code_presentation|id_assessment|assessment_type|date|weight"),
        "the days",
    ),
    Format(
        "Item Response Warehouse",
        "table",
        names("id|item|resp"),
        "rt is in seconds; without the column date, answers stand one minute apart, so weeks and growth mean nothing",
        irw,
    ),
    _Moodle(
        "Moodle quiz export",
        "table",
        frozenset(),
        "full points are right, questions without points are left out; the time is shared evenly by the questions",
        moodle,
    ),
    _WithoutTimes(
        "sequences of answers",
        "table",
        names("user_id|item_id|correct|position"),
        "the log has no times: answers stand one minute apart in their order, so weeks and growth mean nothing",
        in_sequence,
    ),
)
