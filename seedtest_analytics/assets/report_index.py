"""The list of a week from the tables: every report that is stored, and the pages about groups."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from seedtest_analytics.assets.report_readers import load_readers
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.reporting.advice_words import what_to_do
from seedtest_analytics.reporting.index_page import CohortRow, IndexRow, index_page
from seedtest_analytics.reporting.language import speaking
from seedtest_analytics.resources.quarto.renderer import template_folder
from seedtest_analytics.resources.store.base import ObjectStore
from seedtest_analytics.resources.store.keys import ROOTS, ReportFile, ReportKey
from seedtest_analytics.settings import ReportSettings

SQL = "reports/index.sql"


def index_file(
    connection: Connection, week: Week, *, store: ObjectStore, settings: ReportSettings
) -> ReportFile | None:
    """The list of the week's stored pages, in the default language; None where nothing is stored."""
    readers = load_readers(connection, week, settings=settings)
    students = connection.execute(statement(SQL, "students"), {"week_start": week.start}).mappings().all()
    cohorts = cohort_rows(connection, week)
    if not students and not cohorts:
        return None
    rows = [_row(dict(row), readers.names({row["topic_id"] or ""}, settings.language)) for row in students]
    with_style = (template_folder() / "theme.css").read_text(encoding="utf-8")
    page = index_page(
        week.start, _spoken(rows, settings.language), language=settings.language, style=with_style, cohorts=cohorts
    )
    key = ReportKey("", week.start, name="index")
    return ReportFile(key, page.encode(), renderer="embedded", language=settings.language)


def cohort_rows(connection: Connection, week: Week) -> list[CohortRow]:
    """The stored pages about groups, as the list shows them."""
    found = connection.execute(statement(SQL, "cohorts"), {"week_start": week.start}).mappings()
    return [
        CohortRow(
            row["scope"], row["name"], row["students"], tuple((kind, relative(url)) for kind, url in row["links"])
        )
        for row in found
    ]


def relative(url: str) -> str:
    """The address of a page as the list has it: relative, so that it holds in a folder and in a bucket."""
    root = max(ROOTS, key=lambda root: url.rfind(f"/{root}"))
    return f"../../{root}{url.rpartition(f'/{root}')[2]}"


def _row(row: dict[str, Any], names: dict[str, str]) -> tuple[dict[str, Any], str | None]:
    topic = row["topic_id"]
    return row, None if topic is None else names.get(topic) or topic


def _spoken(rows: list[tuple[dict[str, Any], str | None]], language: str) -> list[IndexRow]:
    with speaking(language):
        return [
            IndexRow(
                row["student"],
                what_to_do(row["rule"], topic) if row["rule"] else "–",
                bool(row["needs_help"]),
                links=tuple((kind, relative(url)) for kind, url in row["links"]),
            )
            for row, topic in rows
        ]
