"""Attempts from the tables of another program, as a mapping file says; only rows since the last read.

The rows go through the loader, so the same rules, rejects and corrections hold as for files. Reading is repeated
without harm: an attempt is the student, the item and the instant.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from seedtest_analytics.database.address import normalised_url
from seedtest_analytics.database.engine import connected_engine
from seedtest_analytics.database.publish import quoted
from seedtest_analytics.ingest.columns import COLUMNS, REQUIRED
from seedtest_analytics.ingest.errors import LoadError, Progress
from seedtest_analytics.ingest.load import LoadOptions, LoadSummary, load_attempt_log, silent
from seedtest_analytics.ingest.recognise import Given, Proposal, recognise
from seedtest_analytics.ingest.value_rules import TimeUnit

BLOCK_ROWS = 50_000
_TIME_TYPES = ("timestamp with time zone", "timestamp without time zone", "date")
_AHEAD = "now() + interval '1 day'"
"""A time beyond it is a mark, such as 9999-12-31 or infinity. It is not when a row changed."""


class ConnectMapping(BaseModel):
    """A mapping file.

    Attributes:
        source: name of the environment variable that has the address of the database; None: the platform's.
        table, query: where the attempts are, one of both.
        cursor: column that grows with every new or changed row.
        overlap_minutes: minutes that are read again before the last cursor, for transactions that end late; for times only.
        columns: our column name to a column of the source.
        timezone: IANA zone of times without an offset; None: SEEDTEST_TIMEZONE.
        time_unit: of the response times.
        topics: names of topics by their value in the source; others stay as they are.
        skip: SQL condition of rows that are not attempts.
        answered: SQL condition of rows with an answer; other rows are unanswered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")
    table: str | None = Field(None, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")
    query: str | None = None
    cursor: str
    overlap_minutes: int = Field(10, ge=0)
    columns: dict[str, str]
    timezone: str | None = None
    time_unit: TimeUnit = "ms"
    topics: dict[str, str] = Field(default_factory=dict)
    skip: str | None = None
    answered: str | None = None

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(value) - set(COLUMNS)):
            raise ValueError(f"unknown {', '.join(unknown)}; the columns are {', '.join(COLUMNS)}")
        if missing := [name for name in REQUIRED if name not in value]:
            raise ValueError(f"{', '.join(missing)} must be mapped")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("unknown time zone")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ConnectMapping:
        if (self.table is None) == (self.query is None):
            raise ValueError("name a table or a query, one of both")
        return self

    @property
    def relation(self) -> str:
        """The table or the query, as a SQL source."""
        if self.query is not None:
            return f"({self.query.strip().rstrip(';')}\n)"
        return ".".join(quoted(part) for part in str(self.table).split("."))


@dataclass(frozen=True)
class Extract:
    """A file with the rows read, their number, and the highest cursor (None: no row has one).

    ``ahead`` counts rows with a time in the future as their cursor. They do not move the cursor.
    """

    path: Path
    rows: int
    cursor: str | None
    ahead: int


@dataclass(frozen=True)
class NewRows:
    """What loading the rows of one read did. ``ahead`` is that of :class:`Extract`."""

    summary: LoadSummary
    ahead: int

    @property
    def note(self) -> str | None:
        """What the operator should know about the cursors; None if they are as they should be."""
        if not self.ahead:
            return None
        return (
            f"{self.ahead:,} rows have a cursor in the future. They do not move the cursor, and every read takes them "
            "again. Correct them, or choose another column as the cursor."
        )


def read_mapping(path: Path) -> ConnectMapping:
    """A mapping file. Raises :class:`LoadError` that names each wrong field."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ConnectMapping.model_validate(values or {})
    except OSError as error:
        raise LoadError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise LoadError(f"{path}: is not YAML: {error}") from None
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'mapping'}: {e['msg']}" for e in error.errors()]
        raise LoadError(f"{path}: {'; '.join(wrong)}") from None


def source_address(mapping: ConnectMapping) -> str | None:
    """The address of the source; None: the platform's. Raises :class:`LoadError` if its variable is not set."""
    if mapping.source is None:
        return None
    address = os.environ.get(mapping.source)
    if not address:
        raise LoadError(
            f"the environment variable {mapping.source} of the mapping is not set; set it to a database URL"
        )
    return address


def source_engine(mapping: ConnectMapping) -> Engine | None:
    """An engine on the source that has answered once; None: the platform's own database."""
    address = source_address(mapping)
    return None if address is None else connected_engine(normalised_url(address, str(mapping.source)))


def last_cursor(engine: Engine, name: str) -> str | None:
    """The cursor of the last read; None before the first."""
    with engine.connect() as connection:
        return connection.execute(
            text("SELECT cursor_value FROM connect_cursor WHERE name = :name"), {"name": name}
        ).scalar()


def remember_cursor(engine: Engine, name: str, *, extract: Extract) -> None:
    """Store how far the source was read."""
    if extract.cursor is None:
        return
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO connect_cursor (name, cursor_value, rows_read, read_at) VALUES (:name, :cursor, :rows, now()) "
                "ON CONFLICT (name) DO UPDATE "
                "SET cursor_value = excluded.cursor_value, rows_read = excluded.rows_read, read_at = now()"
            ),
            {"name": name, "cursor": extract.cursor, "rows": extract.rows},
        )


def extract_rows(
    engine: Engine, mapping: ConnectMapping, *, since: str | None, path: Path, limit: int | None = None
) -> Extract:
    """Write the rows since a cursor, in its order, to a Parquet file in the loader's columns.

    The transaction only reads. Raises :class:`LoadError` with the server's words if the mapping does not fit the source.
    """
    try:
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text("SET LOCAL DateStyle = 'ISO'"))
            found = _write(connection, mapping, since=since, path=path, limit=limit)
            connection.rollback()
    except DBAPIError as error:
        words = str(error.orig).splitlines()[0]
        raise LoadError(f"the source refuses the mapping: {words}. Correct the mapping. Nothing was loaded.") from None
    return found


def newest_rows(engine: Engine, mapping: ConnectMapping, *, since: str) -> tuple[str, int]:
    """The highest cursor, and the number of rows that the next read takes: both are the same only if nothing is new.

    A cursor in the future is not the highest: it would hide all that follow.

    Raises :class:`LoadError` with the server's words if the mapping does not fit the source.
    """
    try:
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text("SET LOCAL DateStyle = 'ISO'"))
            statement, parameters = _statement(mapping, kind=_cursor_type(connection, mapping), since=since)
            newest = "max(seedtest_cursor) FILTER (WHERE seedtest_is_ahead IS NOT TRUE)"
            counted = f"SELECT {newest}, count(*) FROM ({statement}) AS new_rows"  # noqa: S608 (the mapping's own SQL)
            cursor, count = connection.execute(text(counted), parameters).one()
            connection.rollback()
    except DBAPIError as error:
        words = str(error.orig).splitlines()[0]
        raise LoadError(f"the source refuses the mapping: {words}. Correct the mapping.") from None
    return str(cursor), int(count)


def load_new_rows(
    engine: Engine,
    source: Engine,
    *,
    mapping: ConnectMapping,
    name: str,
    since: str | None,
    folder: Path,
    options: LoadOptions,
    progress: Progress = silent,
) -> NewRows | None:
    """Load the rows since a cursor and move it; None if there are none. ``folder`` is for the rows on their way."""
    extract = extract_rows(source, mapping, since=since, path=folder / "rows.parquet")
    if extract.rows == 0:
        return None
    named = replace(options, names={extract.path: file_name(name)})
    summary = load_attempt_log(engine, [extract.path], options=named, progress=progress)
    if not options.is_dry_run:
        remember_cursor(engine, name, extract=extract)
    return NewRows(summary, extract.ahead)


def rules_of(mapping: ConnectMapping, first: Path, *, name: str, zone: ZoneInfo, shown_rows: int = 1) -> Proposal:
    """How the values of a source are read, from its first rows."""
    # A file decides by its share of texts. A read of a few new rows must not decide otherwise than the read before it.
    given = Given(time_unit=mapping.time_unit, has_text_items=True)
    return recognise([first], given, names={first: file_name(name)}, zone=zone, shown_rows=shown_rows)


def _write(
    connection: Connection, mapping: ConnectMapping, *, since: str | None, path: Path, limit: int | None
) -> Extract:
    kind = _cursor_type(connection, mapping)
    statement, parameters = _statement(mapping, kind=kind, since=since)
    if limit is not None:
        statement += f" LIMIT {limit}"
    schema = pa.schema([(name, pa.string()) for name in mapping.columns])
    rows, cursor, ahead = 0, None, 0
    result = connection.execution_options(stream_results=True).execute(text(statement), parameters)
    with pq.ParquetWriter(path, schema) as writer:
        for block in result.mappings().partitions(BLOCK_ROWS):
            values = [_named_topic(dict(row), mapping.topics) for row in block]
            writer.write_table(pa.Table.from_pylist(values, schema))
            rows += len(block)
            known = [
                row["seedtest_cursor"] for row in values if row["seedtest_cursor"] and not row["seedtest_is_ahead"]
            ]
            cursor = known[-1] if known else cursor
            ahead += sum(bool(row["seedtest_is_ahead"]) for row in values)
    return Extract(path, rows, cursor, ahead)


def _cursor_type(connection: Connection, mapping: ConnectMapping) -> str:
    kind = f"SELECT pg_typeof(s.{quoted(mapping.cursor)})::text"
    query = f"{kind} FROM (SELECT) AS one LEFT JOIN {mapping.relation} AS s ON true LIMIT :one"
    # A statement with parameters is one statement: the mapping cannot end the transaction that only reads.
    return str(connection.execute(text(_literal(query, keep=":one")), {"one": 1}).scalar_one())


def _statement(mapping: ConnectMapping, *, kind: str, since: str | None) -> tuple[str, dict[str, Any]]:
    """The query for the rows since a cursor; all values as text."""
    shown = {name: f"s.{quoted(column)}::text" for name, column in mapping.columns.items()}
    if mapping.answered is not None:
        shown["correct"] = f"CASE WHEN ({mapping.answered}) THEN {shown['correct']} END"
    cursor = f"s.{quoted(mapping.cursor)}"
    listed = ", ".join(f"{expression} AS {name}" for name, expression in shown.items())
    conditions = [f"({mapping.skip}) IS NOT TRUE"] if mapping.skip else []
    parameters: dict[str, Any] = {}
    is_time = kind in _TIME_TYPES
    if since is not None:
        last = f"CAST(:since AS {kind})"
        back = f" - make_interval(mins => {mapping.overlap_minutes})" if is_time else ""
        # An earlier release moved the cursor into the future, and then read nothing more.
        again = f" OR {last} > {_AHEAD}" if is_time else ""
        conditions.append(f"({cursor} IS NULL OR {cursor} >= {last}{back}{again})")
        parameters["since"] = since
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    is_ahead = f"{cursor} > {_AHEAD}" if is_time else "false"
    columns = f"SELECT {listed}, {cursor}::text AS seedtest_cursor, {is_ahead} AS seedtest_is_ahead"
    statement = f"{columns} FROM {mapping.relation} AS s{where} ORDER BY {cursor} NULLS FIRST"
    return _literal(statement, keep=":since"), parameters


def _literal(statement: str, *, keep: str | None = None) -> str:
    """Escape colons of the mapping's own SQL, which here are not parameters."""
    mark = "\x00"
    escaped = (statement.replace(keep, mark) if keep else statement).replace("::", "\x01").replace(":", "\\:")
    return escaped.replace("\x01", "\\:\\:").replace(mark, keep or "")


def _named_topic(row: dict[str, Any], topics: Mapping[str, str]) -> dict[str, Any]:
    if topics and row.get("topic_id") is not None:
        row["topic_id"] = topics.get(str(row["topic_id"]), row["topic_id"])
    return row


def file_name(name: str) -> str:
    """How rejects name the rows of a connection: one name a day, so that a later read does not replace its rejects."""
    return f"connect:{name}:{dt.datetime.now(dt.UTC).date()}"
