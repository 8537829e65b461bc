"""The documents of a week's reports, each in its reader's language."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from seedtest_analytics.assets.framework.shards import WHOLE, Shard
from seedtest_analytics.assets.report_readers import load_readers
from seedtest_analytics.assets.report_store import row_digest, row_names
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, Week
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.document_base import ReportDocumentError
from seedtest_analytics.reporting.family import is_silent
from seedtest_analytics.reporting.recommendations import HELP_RULES, recommendations
from seedtest_analytics.settings import ReportSettings

SQL = "reports/documents.sql"
_STREAM_ROWS = 200


@dataclass(frozen=True)
class StoredFile:
    """A file of a student's report as it is recorded: page, format, what it was made from, content and address."""

    name: str
    format: str
    inputs: str
    sha256: str
    url: str


@dataclass(frozen=True)
class StudentReport:
    """What a report is made from, and its files of an earlier run."""

    document: ReportDocument
    files: tuple[StoredFile, ...]


def documents(
    engine: Engine,
    week: Week,
    *,
    settings: ReportSettings,
    withhold: Callable[[str], None],
    skip: Callable[[], None],
    shard: Shard = WHOLE,
    user_id: str | None = None,
) -> Iterator[StudentReport]:
    """The documents of a week's shard in their readers' languages, or that of one student.

    One that breaks the contract is passed over, and ``withhold`` gets the reason. ``skip`` counts the students who get
    none by the settings. They are streamed to a file without a name first: memory stays constant, and no transaction is
    open while reports are rendered.
    """
    parameters = {
        "week_start": week.start,
        "as_of": week.as_of,
        "timezone": PLATFORM.timezone,
        "max_users": settings.max_users if user_id is None else None,
        "user_id": user_id,
        **shard.parameters,
    }
    streamed = engine.connect().execution_options(stream_results=True, max_row_buffer=_STREAM_ROWS)
    with tempfile.TemporaryFile() as spool, streamed as connection:
        readers = load_readers(connection, week, settings=settings)
        rows = connection.execute(statement(SQL), parameters)
        spool.writelines(f"{row.document}\n{row.files}\n".encode() for row in rows)
        connection.rollback()
        spool.seek(0)
        for line, files in zip(spool, spool, strict=True):
            try:
                document = readers.of(ReportDocument.from_json(line))
            except ReportDocumentError as error:
                row = row_names([row_digest(json.loads(line)["user_id"])], week.start)
                withhold(f"one report is withheld: {error}; correct the row of {row}")
                continue
            if user_id is None and settings.silent_students == "none" and is_silent(document):
                skip()
                continue
            yield StudentReport(document, tuple(StoredFile(**file) for file in json.loads(files)))


def note_of(document: ReportDocument) -> dict[str, Any]:
    """What is recorded of a report besides its file: language, advice as codes, and whether the student needs help."""
    made = [recommendation.as_json() for recommendation in recommendations(document)]
    return {
        "language": document.language,
        "advice": json.dumps(made),
        "needs_help": any(one["rule"] in HELP_RULES for one in made),
    }
