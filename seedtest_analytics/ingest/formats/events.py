"""Event logs in JSON: tracking logs of Open edX, statements of xAPI, and events of Caliper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from seedtest_analytics.ingest.columns import problem
from seedtest_analytics.ingest.formats.format import (
    Format,
    Row,
    Source,
    UnusableRowError,
    attempt,
    each,
    milliseconds,
    names,
)
from seedtest_analytics.ingest.formats.xapi_rules import is_iri, problem_of

_DURATION = re.compile(r"^P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$")
_ANSWERS = ("answered", "completed", "passed", "failed")


def edx(source: Source) -> Iterator[Row]:
    """``problem_check`` of the server: an item is an input of a problem."""
    yield from each(source.rows, _edx_answers)


def _edx_answers(event: Mapping[str, Any]) -> Iterator[Row]:
    if event.get("event_type") != "problem_check" or event.get("event_source") != "server":
        return
    body, context = event.get("event"), event.get("context") or {}
    if not isinstance(context, dict):
        raise UnusableRowError("context is not an object")
    body = _object(body) if isinstance(body, str) else body
    if not isinstance(body, dict):
        raise UnusableRowError("event is not an object")
    user = context.get("user_id") or event.get("username")
    values = {"completed_at": event.get("time"), "topic_id": context.get("course_id")}
    submission = body.get("submission")
    if isinstance(submission, dict) and submission:
        for part, answer in submission.items():
            right = answer.get("correct") if isinstance(answer, dict) else None
            yield attempt(user, part, correct=right if isinstance(right, bool) else None, **values)
    else:
        yield attempt(user, body.get("problem_id"), correct=body.get("success") == "correct", **values)


def xapi(source: Source) -> Iterator[Row]:
    """Statements that say whether an answer was right; invalid ones are rejected, and all others are left out."""
    yield from each(_expanded(source.rows, "statements"), _xapi_answer)


def _xapi_answer(statement: Mapping[str, Any]) -> Iterator[Row]:
    verb = _at(statement, "verb", "id")
    if is_iri(verb) and (
        verb.rstrip("/").rsplit("/", 1)[-1] not in _ANSWERS or _at(statement, "result", "success") is None
    ):
        return
    broken = problem_of(statement)
    if broken:
        yield problem("statement_invalid", broken, json.dumps(statement, ensure_ascii=False))
        return
    right = _at(statement, "result", "success")
    yield attempt(
        _actor(statement.get("actor")),
        _at(statement, "object", "id"),
        correct=right if isinstance(right, bool) else None,
        completed_at=statement.get("timestamp") or statement.get("stored"),
        session_id=_at(statement, "context", "registration"),
        topic_id=_activity(statement),
        response_time_ms=_milliseconds(_at(statement, "result", "duration")),
    )


def caliper(source: Source) -> Iterator[Row]:
    """Completed items with the score of their attempt: in the event, or in a grade event of the same attempt."""
    completed: dict[str, Row] = {}
    scores: dict[str, bool] = {}

    def note(event: Mapping[str, Any]) -> Iterator[Row]:
        kind, action = event.get("type"), event.get("action")
        if kind == "GradeEvent" and action == "Graded":
            right = _full_score(event.get("generated"))
            if right is not None:
                scores[_id(event.get("object"))] = right
        elif kind == "AssessmentItemEvent" and action in ("Completed", "Submitted"):
            key, right, row = _completed(event)
            if right is not None:
                scores[key] = right
            completed[key] = row
        yield from ()

    yield from each(_expanded(source.rows, "data"), note)
    for key, row in completed.items():
        if key in scores:
            yield {**row, "correct": str(int(scores[key]))}


def _completed(event: Mapping[str, Any]) -> tuple[str, bool | None, Row]:
    """The key of an attempt at an item, its score if the event has one, and its row."""
    generated = event.get("generated")
    answer = generated if isinstance(generated, dict) else {}
    key = _id(answer.get("attempt")) or f"{_id(event.get('actor'))} {_id(event.get('object'))} {event.get('eventTime')}"
    row = attempt(
        _id(event.get("actor")),
        _id(event.get("object")),
        correct=None,
        completed_at=event.get("eventTime"),
        session_id=_id(event.get("session")) or None,
        topic_id=_id(_at(event, "object", "isPartOf")) or None,
        response_time_ms=_milliseconds(_at(answer, "duration") or _at(answer, "attempt", "duration")),
    )
    return key, _full_score(answer.get("score")), row


def _expanded(rows: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects themselves, and those inside an envelope."""
    for row in rows:
        inner = row.get(key)
        yield from (part for part in inner if isinstance(part, dict)) if isinstance(inner, list) else [row]


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _id(value: Any) -> str:
    """The id of an entity, which may stand for itself."""
    return str(value.get("id") or "") if isinstance(value, dict) else str(value or "")


def _actor(actor: Any) -> str | None:
    found = _at(actor, "account", "name") or _at(actor, "mbox") or _at(actor, "mbox_sha1sum") or _at(actor, "openid")
    return None if found is None else str(found).removeprefix("mailto:")


def _activity(statement: Mapping[str, Any]) -> str | None:
    """The first activity that groups the item: its category, parent or grouping."""
    for kind in ("category", "parent", "grouping"):
        found = _at(statement, "context", "contextActivities", kind)
        found = found[0] if isinstance(found, list) and found else found
        if isinstance(found, dict) and found.get("id"):
            return str(found["id"])
    return None


def _full_score(score: Any) -> bool | None:
    given, maximum = _at(score, "scoreGiven"), _at(score, "maxScore")
    if not isinstance(given, int | float) or not isinstance(maximum, int | float):
        return None
    return given >= maximum


def _milliseconds(duration: Any) -> str | None:
    """An ISO 8601 duration."""
    found = _DURATION.match(str(duration or ""))
    if not found:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return milliseconds(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class _Envelope(Format):
    """Also recognised by the key of its envelope alone."""

    def fits(self, names: set[str]) -> bool:
        return super().fits(names) or "statements" in names


class _CaliperFormat(Format):
    def fits(self, names: set[str]) -> bool:
        return super().fits(names) or {"sensor", "dataVersion", "data"} <= names


EVENTS = (
    Format(
        "Open edX tracking log",
        "json",
        names("event_type|event_source|event|time"),
        "problem_check of the server counts; an item is an input of a problem, the course is the topic",
        edx,
    ),
    _Envelope(
        "xAPI",
        "json",
        names("actor|verb|object"),
        "statements answered, completed, passed and failed with a success count; the grouping activity is the topic",
        xapi,
    ),
    _CaliperFormat(
        "Caliper",
        "json",
        names("type|actor|action|object|eventTime"),
        "completed assessment items with a score count; the full score is right",
        caliper,
    ),
)
