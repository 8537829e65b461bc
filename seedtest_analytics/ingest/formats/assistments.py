"""ASSISTments 2009-2010 (skill builder), 2012-2013, and the 2017 data mining competition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seedtest_analytics.ingest.formats.format import (
    Format,
    Row,
    Source,
    attempt,
    each,
    first_of,
    in_order,
    milliseconds,
    names,
    number,
    of_epoch,
    share_right,
)


def year_2009(source: Source) -> Iterator[Row]:
    """A row for each answer and skill, without times: ``order_id`` is the order."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        yield attempt(
            row["user_id"],
            row["problem_id"],
            correct=share_right(row["correct"]),
            topic_id=first_of(row, "skill_name", "skill_id"),
            completed_at=in_order(int(number(row, "order_id"))),
            response_time_ms=row["ms_first_response"],
            hints_used=row["hint_count"],
        )

    yield from each(source.rows, convert)


def year_2012(source: Source) -> Iterator[Row]:
    """A row for each answer; ``end_time`` is a local time."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        yield attempt(
            row["user_id"],
            row["problem_id"],
            correct=share_right(row["correct"]),
            topic_id=first_of(row, "skill", "skill_name"),
            completed_at=row["end_time"],
            response_time_ms=row["ms_first_response"],
            hints_used=row["hint_count"],
        )

    yield from each(source.rows, convert)


def year_2017(source: Source) -> Iterator[Row]:
    """A row for each problem of an assignment; times in seconds since 1970, ``timeTaken`` in seconds."""

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        yield attempt(
            row["studentId"],
            row["problemId"],
            correct=share_right(row["correct"]),
            topic_id=row["skill"],
            completed_at=of_epoch(first_of(row, "endTime", "startTime")),
            response_time_ms=milliseconds(row["timeTaken"]),
            hints_used=row["hintCount"],
        )

    yield from each(source.rows, convert)


ASSISTMENTS = (
    Format(
        "ASSISTments 2012-2013",
        "table",
        names("problem_log_id|user_id|problem_id|start_time|end_time|correct|ms_first_response|hint_count"),
        "partial credit is wrong; the time is the end of the problem",
        year_2012,
    ),
    Format(
        "ASSISTments 2009-2010",
        "table",
        names("order_id|user_id|problem_id|correct|ms_first_response|skill_id|hint_count"),
        "the log has no times: answers stand one minute apart in their order, so weeks and growth mean nothing",
        year_2009,
    ),
    Format(
        "ASSISTments 2017",
        "table",
        names("studentId|skill|problemId|startTime|timeTaken|correct|hintCount"),
        "the time is the end of the problem",
        year_2017,
    ),
)
