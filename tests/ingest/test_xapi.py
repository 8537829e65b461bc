"""The rules for xAPI statements compared with the models of Ralph, and invalid statements in the quarantine."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pydantic
import pytest
from sqlalchemy import Engine

from seedtest_analytics.ingest.formats.xapi_rules import problem_of
from tests._database import rows_of
from tests.ingest.test_commands import run as run_fixture
from tests.ingest.test_formats import XAPI, stored

run = run_fixture

CHANGES: list[tuple[str, Any, str | None]] = [
    ("id", "12345678-1234-5678-8234-567812345678", None),
    ("id", "12345", "id is not a UUID"),
    ("verb.id", "answered", "verb.id is not an absolute IRI"),
    ("verb.id", None, "verb is empty"),
    ("object.id", "items 7", "object.id is not an absolute IRI"),
    ("object.id", "urn:item:7", None),
    ("actor", {"mbox": "mailto:kim@lms.example"}, None),
    ("actor", {"mbox": "kim@lms.example"}, "actor.mbox is not a mailto: address"),
    ("actor", {"mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9"}, None),
    ("actor", {"mbox_sha1sum": "ebd3"}, "actor.mbox_sha1sum is not a SHA-1 sum"),
    ("actor", {"openid": "https://kim.example/"}, None),
    ("actor", {"name": "kim"}, "actor has 0 identifiers, not one"),
    ("actor.mbox", "mailto:kim@lms.example", "actor has 2 identifiers, not one"),
    ("actor", {"account": {"homePage": "lms", "name": "kim"}}, "actor.account needs an IRI as homePage and a name"),
    ("actor", {"account": {"homePage": "https://lms.example"}}, "actor.account needs an IRI as homePage and a name"),
    ("result.success", "yes", "result.success is neither true nor false"),
    ("result.success", 1, "result.success is neither true nor false"),
    ("result.completion", "done", "result.completion is neither true nor false"),
    ("result.duration", "1:30", "result.duration is not an ISO 8601 duration"),
    ("result.duration", "P1DT2H3M4.5S", None),
    ("result.score", {"scaled": 0.5, "raw": 5, "min": 0, "max": 10}, None),
    ("result.score", {"scaled": 3}, "result.score.scaled is not from -1 to 1"),
    ("result.score", {"raw": 11, "min": 0, "max": 10}, "result.score.raw is not from min to max"),
    ("timestamp", "yesterday", "timestamp is not a time of ISO 8601"),
    ("timestamp", "2026-03-02T09:30:00.123Z", None),
    ("context.registration", "ec531277-b57b-4c15-8d91-d292c5b2b8f7", None),
    ("context.registration", "first try", "context.registration is not a UUID"),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The statement of the format's test with another value at a path; None takes it out."""
    statement: dict[str, Any] = copy.deepcopy(XAPI)
    *folders, name = path.split(".")
    target = statement
    for folder in folders:
        target = target[folder]
    if value is None:
        del target[name]
    else:
        target[name] = value
    return statement


def is_valid_for_the_library(statement: dict[str, Any]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ralph.models.xapi.base.statements import BaseXapiStatement
    try:
        BaseXapiStatement.model_validate(statement)
    except pydantic.ValidationError:
        return False
    return True


def test_the_statement_of_the_tests_is_valid() -> None:
    assert is_valid_for_the_library(XAPI)
    assert problem_of(XAPI) is None


@pytest.mark.parametrize(("path", "value", "problem"), CHANGES, ids=lambda value: str(value)[:30])
def test_our_rules_are_those_of_the_library(path: str, value: Any, problem: str | None) -> None:
    statement = changed(path, value)
    assert problem_of(statement) == problem
    assert is_valid_for_the_library(statement) == (problem is None)


def test_invalid_statements_are_in_the_quarantine_with_the_rule_and_the_others_load(
    run: Any, database: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "statements.jsonl"
    unrelated = {**changed("result.success", None), "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"}}
    statements = [XAPI, *(changed(path, value) for path, value, problem in CHANGES if problem), unrelated]
    path.write_text("".join(json.dumps(s) + "\n" for s in statements))
    result = run("load", str(path))
    n = len(statements) - 2
    assert result.exit_code == 1, "most rows are rejected"
    assert f"{n + 1} read, 1 attempts, {n} rejected" in result.output
    assert "id is not a UUID" in result.output
    assert "kim" not in result.output
    assert len(stored(database)) == 1
    rejects = rows_of(database, "SELECT reason, raw_row ->> 'text' AS text FROM load_rejects ORDER BY row_number")
    assert {row["reason"] for row in rejects} == {"statement_invalid"}
    assert [row["text"].split("\n")[0] for row in rejects] == [problem for *_, problem in CHANGES if problem]
    assert [json.loads(row["text"].split("\n", 1)[1]) for row in rejects] == statements[1:-1]
