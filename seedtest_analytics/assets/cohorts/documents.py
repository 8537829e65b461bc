"""The documents of the week's pages of classes, organisations and the platform, by set-based statements."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from scipy import stats
from sqlalchemy import Connection

from seedtest_analytics.assets.report_readers import Readers
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week, instant_of
from seedtest_analytics.reporting.cohort_document import CohortDocument

STAGES, PAGES, PLATFORM = "reports/cohorts.sql", "reports/cohort_pages.sql", "reports/platform.sql"
CURVE_WEEKS = 8
_STREAM_ROWS = 50
MEMBER_WEEKS = 26
"""A student belongs to the class of the newest session in half a year."""
_PLATFORM_PARTS = (
    "data",
    "quarantine",
    "rejects",
    "calibration",
    "anchors",
    "drift",
    "audits",
    "verdicts",
    "backtest",
    "forecasts",
    "anomalies",
    "segments",
    "gaps",
    "growth_gaps",
    "health",
)


def cohort_documents(connection: Connection, week: Week, *, readers: Readers, minimum: int) -> Iterator[CohortDocument]:
    """The page of each class, of each organisation, and of the platform. Raises :class:`.ReportDocumentError`.

    Temporary tables of the transaction hold the parts; a transaction makes them once.
    """
    parameters = _parameters(week, minimum)
    _stage(connection, parameters)
    streamed = {"stream_results": True, "max_row_buffer": _STREAM_ROWS}
    for line in connection.execute(statement(PAGES, "pages"), parameters, execution_options=streamed).scalars():
        yield readers.of_cohort(CohortDocument.validated(_with_intervals(json.loads(line))))
    yield readers.of_cohort(CohortDocument.validated(_platform(connection, parameters)))


def _parameters(week: Week, minimum: int) -> dict[str, Any]:
    zone = ZoneInfo(week.timezone)
    return {
        "week_start": week.start,
        "as_of": week.as_of,
        "timezone": week.timezone,
        "minimum": minimum,
        "week_at": instant_of(week.start, zone),
        "since": instant_of(week.start - 3 * WEEK, zone),
        "curves_since": instant_of(week.start - (CURVE_WEEKS - 1) * WEEK, zone),
        "member_since": week.as_of - MEMBER_WEEKS * WEEK,
    }


def _stage(connection: Connection, parameters: dict[str, Any]) -> None:
    has_classes = connection.execute(statement(STAGES, "has_classes")).scalar_one()
    suffix = "" if has_classes else "_without_classes"
    names = (
        f"members{suffix}",
        f"names{suffix}",
        "pages",
        "week",
        "growth",
        "topics",
        "scale",
        "answers",
        "curves",
        "items",
    )
    for name in names:
        connection.execute(statement(STAGES, f"stage_{name}"), parameters)


def _with_intervals(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the 95% interval of each gain: its mean over students, by Student's t."""
    for points in (document["growth"], *(part["growth"] for part in document["classes"])):
        for point in points:
            half = _half_width(point["gain_sd"], point["students"])
            if half is not None and point["gain"] is not None:
                point |= {"lower": point["gain"] - half, "upper": point["gain"] + half}
    return document


def _half_width(sd: float | None, n: int) -> float | None:
    return None if sd is None or n < 2 else float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)


def _platform(connection: Connection, parameters: dict[str, Any]) -> dict[str, Any]:
    counts = dict(connection.execute(statement(PAGES, "counts"), parameters).mappings().one())
    parts = {
        name: json.loads(connection.execute(statement(PLATFORM, name), parameters).scalar_one() or "null")
        for name in _PLATFORM_PARTS
    }
    names = ("students", "active", "answers", "correct", "helped", "without_report")
    return {
        "scope": "platform",
        "week_start": parameters["week_start"],
        "time_zone": parameters["timezone"],
        "generated_at": parameters["as_of"],
        "minimum": parameters["minimum"],
        "summary": {name: int(counts[name]) for name in names},
        "platform": {"counts": counts, **{name: part for name, part in parts.items() if part is not None}},
    }
