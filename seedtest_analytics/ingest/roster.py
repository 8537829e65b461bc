"""Load a roster into ``classroom``, ``student_name`` and ``enrolment``, in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, Table, text

from seedtest_analytics.database.publish import copy_arrow, create_staging, publish
from seedtest_analytics.database.sessions import take_lock
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest.load import LOCK, Written
from seedtest_analytics.ingest.rejects import raw_row
from seedtest_analytics.ingest.roster_files import (
    NAMES,
    REMEDIES,
    Roster,
    RosterFile,
    RosterRow,
    UserIds,
    as_date,
    grade_of,
    read_roster,
    shown_name,
)
from seedtest_analytics.tables.source import classroom, enrolment, student_name

_SQL = "load/roster.sql"
_STAGED = {
    "roster_class": pa.schema(
        [("id", pa.string()), ("org_id", pa.string()), ("name", pa.string()), ("grade", pa.int16())]
    ),
    "roster_person": pa.schema([("user_id", pa.string()), ("name", pa.string()), ("is_student", pa.bool_())]),
    "roster_enrolment": pa.schema(
        [
            ("id", pa.string()),
            ("classroom_id", pa.string()),
            ("user_id", pa.string()),
            ("user_source_id", pa.string()),
            ("role", pa.string()),
            ("is_homeroom", pa.bool_()),
            ("begins_on", pa.date32()),
            ("ends_on", pa.date32()),
        ]
    ),
    "roster_removed": pa.schema([("kind", pa.string()), ("id", pa.string())]),
}
_SQL_TYPES = {pa.string(): "text", pa.int16(): "smallint", pa.bool_(): "boolean", pa.date32(): "date"}


@dataclass(frozen=True)
class RosterSummary:
    """What a roster changed. ``rejects`` are (file, reason, rows, first row, remedy)."""

    roster: Roster
    classes: Written
    names: Written
    enrolments: Written
    removed: Mapping[str, int]
    students: int
    students_with_exams: int
    rejected: int
    rejects: tuple[tuple[str, str, int, int, str], ...]
    is_dry_run: bool


def load_roster(
    engine: Engine, path: Path, *, user_ids: UserIds = "sourcedId", is_dry_run: bool = False
) -> RosterSummary:
    """Load a roster. ``user_ids`` is the column of users.csv that has the ids of the attempts.

    Bad rows go to ``load_rejects``. A bulk file of enrolments takes the place of the earlier enrolments in its
    organisations, unless a row of it is rejected. Raises :class:`LoadError` for an unusable roster.
    """
    roster = read_roster(path, user_ids=user_ids)
    with engine.connect() as connection, connection.begin() as transaction:
        take_lock(connection, LOCK)
        classes = set(connection.execute(statement(_SQL, "known_classes")).scalars())
        people: dict[str, str] = dict(map(tuple, connection.execute(statement(_SQL, "known_people"))))
        roster = _with_references(roster, classes=classes, people=people, user_ids=user_ids)
        for name, rows in _staged(roster, people, user_ids=user_ids).items():
            schema = _STAGED[name]
            create_staging(connection, name, columns={field.name: _SQL_TYPES[field.type] for field in schema})
            copy_arrow(connection, name, rows=pa.Table.from_pylist(rows, schema))
        summary = _published(connection, roster, is_dry_run=is_dry_run)
        if is_dry_run:
            transaction.rollback()
    return summary


def _with_references(roster: Roster, *, classes: set[str], people: dict[str, str], user_ids: UserIds) -> Roster:
    """The roster with reasons for references that lead nowhere; ``people`` gets the users of the roster."""
    files = dict(roster.files)
    if "users" in files:
        files["users"] = _checked(files["users"], _twice(user_ids))
        people.update({r.values["sourcedId"]: r.values[user_ids] for r in files["users"].good if not r.is_removed})
    if "classes" in files:
        if "orgs" in files and files["orgs"].mode == "bulk":
            orgs = {row.values["sourcedId"] for row in files["orgs"].good}
            files["classes"] = _checked(files["classes"], _unknown("schoolSourcedId", orgs))
        classes = classes | {row.values["sourcedId"] for row in files["classes"].good if not row.is_removed}
    if "enrollments" in files:
        files["enrollments"] = _checked(files["enrollments"], _unknown("classSourcedId", classes))
        # A delta may name a user whom an earlier roster had, whose id is then the sourcedId itself.
        if user_ids != "sourcedId" or ("users" in files and files["users"].mode == "bulk"):
            known = people if user_ids != "sourcedId" else {r.values["sourcedId"] for r in files["users"].good}
            files["enrollments"] = _checked(files["enrollments"], _unknown("userSourcedId", known))
    return dataclasses.replace(roster, files=files)


def _checked(file: RosterFile, reason_of: Callable[[RosterRow], str | None]) -> RosterFile:
    def checked(row: RosterRow) -> RosterRow:
        reason = None if row.is_removed or row.reasons else reason_of(row)
        return dataclasses.replace(row, reasons=(reason,)) if reason else row

    return dataclasses.replace(file, rows=tuple(map(checked, file.rows)))


def _unknown(column: str, known: Iterable[str]) -> Callable[[RosterRow], str | None]:
    found = frozenset(known)
    return lambda row: None if row.values[column] in found else f"{column}_unknown"


def _twice(column: str) -> Callable[[RosterRow], str | None]:
    seen: set[str] = set()

    def reason(row: RosterRow) -> str | None:
        value = row.values[column]
        is_seen = value in seen
        seen.add(value)
        return f"{column}_twice" if is_seen else None

    return reason


def _staged(roster: Roster, people: Mapping[str, str], *, user_ids: UserIds) -> dict[str, list[dict[str, Any]]]:
    """Rows of the temporary tables."""

    def good(name: str, *, removed: bool = False) -> list[RosterRow]:
        file = roster.files.get(name)
        return [row for row in file.good if row.is_removed == removed] if file else []

    students = {r.values["userSourcedId"] for n in ("roles", "enrollments") for r in good(n) if _is_student(r)}
    homerooms = {row.values["sourcedId"]: row.values["classType"].lower() == "homeroom" for row in good("classes")}
    removed = [(name, row.values["sourcedId"]) for name in roster.files for row in good(name, removed=True)]
    removed += [("people", people.get(source, source)) for kind, source in removed if kind == "users"]
    return {
        "roster_class": [
            {
                "id": row.values["sourcedId"],
                "org_id": row.values["schoolSourcedId"],
                "name": row.values["title"],
                "grade": grade_of(row.values["grades"]),
            }
            for row in good("classes")
        ],
        "roster_person": [
            {
                "user_id": row.values[user_ids],
                "name": shown_name(row.values),
                "is_student": row.values["sourcedId"] in students or _is_student(row),
            }
            for row in good("users")
        ],
        "roster_enrolment": [
            {
                "id": row.values["sourcedId"],
                "classroom_id": row.values["classSourcedId"],
                "user_id": people.get(row.values["userSourcedId"], row.values["userSourcedId"]),
                "user_source_id": row.values["userSourcedId"],
                "role": row.values["role"].lower(),
                "is_homeroom": homerooms.get(row.values["classSourcedId"]),
                "begins_on": as_date(row.values["beginDate"]),
                "ends_on": as_date(row.values["endDate"]),
            }
            for row in good("enrollments")
        ],
        "roster_removed": [{"kind": kind, "id": source} for kind, source in removed],
    }


def _is_student(row: RosterRow) -> bool:
    return row.values.get("role", "").lower() == "student"


def _published(connection: Connection, roster: Roster, *, is_dry_run: bool) -> RosterSummary:
    def run(name: str, **parameters: Any) -> Any:
        return connection.execute(statement(_SQL, name), parameters)

    def written(table: Table, staged: str) -> Written:
        found = publish(connection, table, staged=staged, partition="false")
        return Written(found.staged, found.inserted, updated=found.updated)

    enrolments = roster.files.get("enrollments")
    is_whole = enrolments is not None and enrolments.mode == "bulk" and all(not r.reasons for r in enrolments.rows)
    run("name_classes")
    run("free_names")
    classes = written(classroom, "roster_class")
    run("settle_kinds")
    enrolled = written(enrolment, "roster_enrolment")
    removed = {"enrolments": run("remove_enrolments", is_whole=is_whole).scalar_one()}
    run("stage_names")
    names = written(student_name, "roster_name")
    removed |= {kind: run(f"remove_{kind}").scalar_one() for kind in ("names", "classes")}
    found = run("students_with_exams").one()
    bad = [(file.name, row) for file in roster.files.values() for row in file.rows if row.reasons]
    _store_rejects(connection, roster, bad=bad)
    return RosterSummary(
        roster,
        classes,
        names=names,
        enrolments=enrolled,
        removed=removed,
        students=found.students,
        students_with_exams=found.with_exams,
        rejected=len(bad),
        rejects=_counted(bad),
        is_dry_run=is_dry_run,
    )


def _store_rejects(connection: Connection, roster: Roster, *, bad: Sequence[tuple[str, RosterRow]]) -> None:
    """Rejects of each file take the place of those of its last load. Names of people and addresses stay out."""
    connection.execute(statement("load/stage.sql", "create_reject"))
    rows = [
        {
            "file_name": f"{roster.name}/{file}.csv",
            "row_number": row.number,
            "reason": reason,
            "raw_row": raw_row({k: v for k, v in row.values.items() if k not in (*NAMES, "email")}),
        }
        for file, row in bad
        for reason in row.reasons
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO load_reject (file_name, row_number, reason, raw_row, is_excluded) "
                "VALUES (:file_name, :row_number, :reason, CAST(:raw_row AS jsonb), true)"
            ),
            rows,
        )
    names = [f"{roster.name}/{file}.csv" for file in roster.files]
    connection.execute(statement("load/rejects.sql", "forget_corrected"), {"file_names": names})
    connection.execute(statement("load/rejects.sql", "upsert"))


def _counted(bad: Sequence[tuple[str, RosterRow]]) -> tuple[tuple[str, str, int, int, str], ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for file, row in bad:
        for reason in row.reasons:
            found.setdefault((file, reason), []).append(row.number)
    return tuple(
        (f"{file}.csv", reason, len(rows), min(rows), next(r for word, r in REMEDIES.items() if reason.endswith(word)))
        for (file, reason), rows in sorted(found.items())
    )
