"""The rules of xAPI 1.0.3 for a statement about an answer. `tests/ingest/test_xapi.py` compares them with a library's."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_DURATION = re.compile(
    r"P(?=\w)(\d+(\.\d+)?Y)?(\d+(\.\d+)?M)?(\d+(\.\d+)?W)?(\d+(\.\d+)?D)?"
    r"(T(?=\d)(\d+(\.\d+)?H)?(\d+(\.\d+)?M)?(\d+(\.\d+)?S)?)?"
)


def is_iri(value: Any) -> bool:
    """Whether a value is an absolute IRI."""
    return isinstance(value, str) and _IRI.fullmatch(value) is not None


def problem_of(statement: Mapping[str, Any]) -> str | None:
    """The first rule that a statement breaks, without its values; None if it breaks none of them."""
    return next(_problems(statement), None)


def _problems(statement: Mapping[str, Any]) -> Iterator[str]:
    for key, value in statement.items():
        if value is None or value in ("", {}):
            yield f"{key} is empty"
    yield from _parts(
        statement, {"id": (_is_uuid, "is not a UUID"), "timestamp": (_is_time, "is not a time of ISO 8601")}
    )
    if not is_iri(_part(statement, "verb").get("id")):
        yield "verb.id is not an absolute IRI"
    yield from _actor_problems(statement.get("actor"))
    target = _part(statement, "object")
    if target.get("objectType", "Activity") != "Activity":
        yield "object is not an activity"
    elif not is_iri(target.get("id")):
        yield "object.id is not an absolute IRI"
    yield from _result_problems(statement.get("result"))
    context = statement.get("context")
    if context is not None:
        if not isinstance(context, dict):
            yield "context is not an object"
        else:
            yield from _parts(context, {"registration": (_is_uuid, "is not a UUID")}, within="context.")


def _actor_problems(actor: Any) -> Iterator[str]:
    """An agent has exactly one identifier."""
    if not isinstance(actor, dict):
        yield "actor is not an object"
        return
    if actor.get("objectType", "Agent") != "Agent":
        yield "actor is not an agent"
        return
    found = [name for name in ("mbox", "mbox_sha1sum", "openid", "account") if name in actor]
    if len(found) != 1:
        yield f"actor has {len(found)} identifiers, not one"
    rules: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "mbox": (_is_mailbox, "is not a mailto: address"),
        "mbox_sha1sum": (_is_sha1, "is not a SHA-1 sum"),
        "openid": (is_iri, "is not an absolute IRI"),
        "account": (_is_account, "needs an IRI as homePage and a name"),
    }
    yield from _parts(actor, rules, within="actor.")


def _result_problems(result: Any) -> Iterator[str]:
    if result is None:
        return
    if not isinstance(result, dict):
        yield "result is not an object"
        return
    rules: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "success": (lambda value: isinstance(value, bool), "is neither true nor false"),
        "completion": (lambda value: isinstance(value, bool), "is neither true nor false"),
        "duration": (
            lambda value: isinstance(value, str) and bool(_DURATION.fullmatch(value)),
            "is not an ISO 8601 duration",
        ),
        "response": (lambda value: isinstance(value, str), "is not a text"),
        "score": (lambda value: isinstance(value, dict), "is not an object"),
    }
    yield from _parts(result, rules, within="result.")
    score = result.get("score")
    if not isinstance(score, dict):
        return
    if any(not _is_number(score[name]) for name in ("scaled", "raw", "min", "max") if name in score):
        yield "result.score has a value that is not a number"
        return
    if not -1 <= score.get("scaled", 0) <= 1:
        yield "result.score.scaled is not from -1 to 1"
    if "raw" in score and not score.get("min", score["raw"]) <= score["raw"] <= score.get("max", score["raw"]):
        yield "result.score.raw is not from min to max"


def _parts(
    values: Mapping[str, Any], rules: Mapping[str, tuple[Callable[[Any], bool], str]], *, within: str = ""
) -> Iterator[str]:
    for name, (is_valid, words) in rules.items():
        if name in values and not is_valid(values[name]):
            yield f"{within}{name} {words}"


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == len(str(uuid.UUID(value)))
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return (
            isinstance(value, str) and len(value) >= len("2026-03-02") and dt.datetime.fromisoformat(value) is not None
        )
    except ValueError:
        return False


def _is_mailbox(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"mailto:[^\s@]+@[^\s@]+", value) is not None


def _is_sha1(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{40}", value) is not None


def _is_account(value: Any) -> bool:
    if not isinstance(value, dict) or not is_iri(value.get("homePage")):
        return False
    return isinstance(value.get("name"), str) and value["name"] != ""
