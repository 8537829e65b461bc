"""EdNet KT1 and KT4 (Choi et al. 2020, Riiid): one file for each student, and the questions beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.formats.format import Format, Row, Source, attempt, by_topic, each, names, of_epoch

QUESTIONS = "EdNet questions"


def _questions(source: Source) -> dict[str, tuple[str, list[str]]]:
    rows = source.companions.get(QUESTIONS)
    if not rows:
        raise LoadError(
            f"{source.name}: EdNet's answers are right or wrong by questions.csv; load it in the same command or archive"
        )
    return {
        str(row["question_id"]): (
            str(row["correct_answer"]),
            [t for t in str(row["tags"] or "").split(";") if t != "-1"],
        )
        for row in rows
    }


def _answered(
    source: Source, row: Mapping[str, Any], *, key: tuple[str, list[str]] | None, **values: Any
) -> Iterator[Row]:
    """One answer; a question that is not in questions.csv has no key, so its row is rejected by its empty item."""
    user = PurePosixPath(source.name).name.split(".")[0]
    item = values.pop("item")
    given = row.get("user_answer")
    correct = None if key is None or not given else given == key[0]
    yield from by_topic(attempt(user, item if key else None, correct=correct, **values), key[1] if key else [])


def kt1(source: Source) -> Iterator[Row]:
    """A row is an answer. ``elapsed_time`` in ms is shared evenly by the questions of a bundle, as EdNet states it."""
    questions = _questions(source)

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        yield from _answered(
            source,
            row,
            key=questions.get(str(row["question_id"])),
            item=row["question_id"],
            completed_at=of_epoch(row["timestamp"], per_second=1000),
            response_time_ms=row["elapsed_time"],
        )

    yield from each(source.rows, convert)


def kt4(source: Source) -> Iterator[Row]:
    """The last response to each question before its bundle is submitted is the answer."""
    questions = _questions(source)
    open_answers: dict[str, Mapping[str, Any]] = {}

    def convert(row: Mapping[str, Any]) -> Iterator[Row]:
        if row["action_type"] == "respond":
            open_answers[str(row["item_id"])] = row
        elif row["action_type"] == "submit":
            for question, answer in open_answers.items():
                completed_at = of_epoch(answer["timestamp"], per_second=1000)
                yield from _answered(
                    source, answer, key=questions.get(question), item=question, completed_at=completed_at
                )
            open_answers.clear()

    yield from each(source.rows, convert)


EDNET = (
    Format(
        "EdNet KT1",
        "table",
        names("timestamp|solving_id|question_id|user_answer|elapsed_time"),
        "the student is the file's name; answers are compared with questions.csv; tags are topics",
        kt1,
    ),
    Format(
        "EdNet KT4",
        "table",
        names("timestamp|action_type|item_id|cursor_time|source|user_answer|platform"),
        "the last response before a submission is the answer; lectures and explanations are left out",
        kt4,
    ),
    Format(
        QUESTIONS,
        "table",
        names("question_id|bundle_id|explanation_id|correct_answer|part|tags"),
        "the key of the answers",
    ),
)
