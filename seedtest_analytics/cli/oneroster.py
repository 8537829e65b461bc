"""Weekly KPIs as a gradebook in OneRoster 1.2 CSV: a line item for each class, week and KPI, and a result for each student.

The standard has no field for standard errors and limits. They are in its extension columns ``metadata.…``, and a comment
repeats the standard error for readers that leave extensions out.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy import Connection

from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.tables.kpis import KPI_KEYS

KPIS = ("theta", "I_t", "E_t", "R_t", "A_t", "P", "S")
CATEGORY = "seedtest-weekly"
FILES: Mapping[str, tuple[str, ...]] = {
    "academicSessions": (
        *("sourcedId", "status", "dateLastModified", "title", "type", "startDate", "endDate"),
        *("parentSourcedId", "schoolYear"),
    ),
    "categories": ("sourcedId", "status", "dateLastModified", "title", "weight"),
    "lineItems": (
        *("sourcedId", "status", "dateLastModified", "title", "description", "assignDate", "dueDate", "classSourcedId"),
        *("categorySourcedId", "academicSessionSourcedId", "resultValueMin", "resultValueMax", "schoolSourcedId"),
    ),
    "results": (
        *("sourcedId", "status", "dateLastModified", "lineItemSourcedId", "studentSourcedId", "scoreStatus", "score"),
        *("scoreDate", "comment", "textScore", "classSourcedId", "inProgress", "incomplete", "late", "missing"),
        *("metadata.standardError", "metadata.lower", "metadata.upper"),
    ),
}
"""Columns of each file that is written. In bulk files the standard wants status and dateLastModified empty."""
ABSENT = (
    *("classes", "classResources", "courses", "courseResources", "demographics", "enrollments", "orgs", "resources"),
    *("roles", "userProfiles", "userResources", "users", "scoreScales", "lineItemLearningObjectiveIds"),
    *("lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales"),
)
_NAMESPACE = uuid.UUID("6f3c1f0e-5d0b-5b86-9a64-3f1c0f7ad2f1")
_BLOCK_ROWS = 20_000
_WEEK = dt.timedelta(weeks=1)


@dataclass
class Written:
    """Numbers of what was written, and of the students that have no class."""

    results: int = 0
    line_items: int = 0
    without_class: int = 0


def write_oneroster(
    connection: Connection, file: IO[bytes], *, first_week: dt.date | None, last_week: dt.date | None
) -> Written:
    """Write the archive. Ids are the same in every export, so a later one replaces the results of an earlier one."""
    items: dict[str, dict[str, Any]] = {}
    missing: set[str] = set()
    query = statement("reports/oneroster.sql", "results")
    found = connection.execution_options(stream_results=True).execute(
        query, {"first_week": first_week, "last_week": last_week}
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        rows = (dict(row) for block in found.mappings().partitions(_BLOCK_ROWS) for row in block)
        results = _write(archive, "results", rows=_results(rows, items=items, missing=missing))
        _write(archive, "lineItems", rows=items.values())
        weeks = sorted({item["assignDate"] for item in items.values()})
        _write(archive, "academicSessions", rows=map(_session, weeks))
        _write(archive, "categories", rows=[{"sourcedId": CATEGORY, "title": "Weekly analytics"}])
        _write_manifest(archive)
    return Written(results, len(items), without_class=len(missing))


def _results(
    rows: Iterable[Mapping[str, Any]], *, items: dict[str, dict[str, Any]], missing: set[str]
) -> Iterator[dict[str, Any]]:
    """Results of known KPIs; their line items are added to ``items``, and users without a class to ``missing``."""
    for row in rows:
        if row["classroom_id"] is None:
            missing.add(row["user_id"])
            continue
        for name in KPIS:
            score = row["kpis"].get(name)
            if not isinstance(score, int | float) or isinstance(score, bool):
                continue
            item = _line_item(name, row)
            items.setdefault(item["sourcedId"], item)
            error, lower, upper = (row["kpis"].get(f"{name}_{part}") for part in ("se", "lower", "upper"))
            yield {
                "sourcedId": _id(item["sourcedId"], row["user_source_id"]),
                "lineItemSourcedId": item["sourcedId"],
                "studentSourcedId": row["user_source_id"],
                "scoreStatus": "fully graded",
                "score": score,
                "scoreDate": item["dueDate"],
                "comment": None if error is None else f"standard error {error:.3g}",
                "classSourcedId": row["classroom_id"],
                "metadata.standardError": error,
                "metadata.lower": lower,
                "metadata.upper": upper,
            }


def _line_item(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    week: dt.date = row["week_start"]
    key = next(key for keys in KPI_KEYS.values() for key in keys if key.name == name)
    return {
        "sourcedId": _id(row["classroom_id"], week.isoformat(), name),
        "title": f"{name} {week:%G-W%V}",
        "description": key.meaning,
        "assignDate": week,
        "dueDate": week + _WEEK - dt.timedelta(days=1),
        "classSourcedId": row["classroom_id"],
        "categorySourcedId": CATEGORY,
        "academicSessionSourcedId": _id("week", week.isoformat()),
        "resultValueMin": key.minimum,
        "resultValueMax": key.maximum,
        "schoolSourcedId": row["org_id"],
    }


def _session(week: dt.date) -> dict[str, Any]:
    return {
        "sourcedId": _id("week", week.isoformat()),
        "title": f"{week:%G-W%V}",
        "type": "gradingPeriod",
        "startDate": week,
        "endDate": week + _WEEK,
        "schoolYear": (week + _WEEK).year,
    }


def _id(*parts: str) -> str:
    """The same id for the same parts."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def _write(archive: zipfile.ZipFile, name: str, *, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with archive.open(f"{name}.csv", "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
        writer = csv.DictWriter(file, FILES[name])
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_manifest(archive: zipfile.ZipFile) -> None:
    lines: Sequence[tuple[str, str]] = (
        ("propertyName", "value"),
        ("manifest.version", "1.0"),
        ("oneroster.version", "1.2"),
        *((f"file.{name}", "bulk" if name in FILES else "absent") for name in sorted([*FILES, *ABSENT])),
        ("source.systemName", "seedtest_analytics"),
        ("source.systemCode", ""),
    )
    with archive.open("manifest.csv", "w") as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
