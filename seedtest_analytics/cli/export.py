"""`seedtest export`: a table as CSV, Parquet or Excel, with a dictionary of its columns."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from seedtest_analytics.cli.dates import parse_day
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain

if TYPE_CHECKING:
    from seedtest_analytics.database.table_export import ExportColumn

Blocks = Iterator[list[dict[str, Any]]]
ExportFormat = Literal["csv", "parquet", "xlsx", "oneroster"]
MAX_SHEET_ROWS = 1_048_575
"""Rows of a sheet below its header."""
DICTIONARY = ("column", "meaning", "unit", "kind")


def export_command(
    table: Annotated[
        str, typer.Option(help="Table or view, such as weekly_kpi; the data dictionary lists all.")
    ] = "weekly_kpi",
    format_: Annotated[ExportFormat, typer.Option("--format", help="Format of the file.")] = "csv",
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: the table's name in this folder.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First week_start.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last week_start.")] = None,
) -> None:
    """Write a table to a file, with a dictionary of its columns. Texts that begin like formulas are defused.

    `--format oneroster` writes the weekly KPIs as results of classes, with line items and a manifest.
    """
    from seedtest_analytics.cli.oneroster import write_oneroster
    from seedtest_analytics.database.table_export import export_columns, export_rows, exportable
    from seedtest_analytics.tables import table_named

    if table not in exportable():
        raise typer.BadParameter(f"--table {table}: unknown; the tables are {', '.join(exportable())}")
    declared = table_named(table)
    weeks = parse_day(first, "--from"), parse_day(last, "--to")
    if any(weeks) and "week_start" not in declared.columns:
        raise typer.BadParameter(f"--from and --to select weeks, and {table} has no week_start")
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    if format_ == "oneroster":
        if table != "weekly_kpi":
            raise typer.BadParameter(f"--format oneroster has the results of weekly_kpi, not {table}")
        path = out or Path("oneroster.zip")
        with migrated_engine().connect() as connection, os.fdopen(_private(path), "wb") as file:
            written = write_oneroster(connection, file, first_week=weeks[0], last_week=weeks[1])
        console.print(f"{written.results:,} results of {written.line_items:,} line items are in {plain(str(path))}")
        if written.without_class:
            console.print(
                f"note: {written.without_class:,} students have no class in their weeks and are left out; load a roster"
            )
        return
    path = out or Path(f"{table}.{format_}")
    columns = export_columns(declared)
    with migrated_engine().connect() as connection:
        blocks = export_rows(connection, declared, columns=columns, first_week=weeks[0], last_week=weeks[1])
        rows = WRITERS[format_](path, columns, blocks=blocks)
    console.print(f"{rows:,} rows of {table} are in {plain(str(path))}")
    if format_ != "xlsx":
        dictionary = path.with_name(f"{path.name}.dictionary.csv")
        write_csv(dictionary, dictionary_columns(), blocks=iter([dictionary_rows(columns)]))
        console.print(f"the meaning of its columns is in {plain(str(dictionary))}")


def dictionary_columns() -> list[ExportColumn]:
    """Columns of the dictionary."""
    from seedtest_analytics.database.table_export import ExportColumn

    return [ExportColumn(name, "text", "") for name in DICTIONARY]


def dictionary_rows(columns: Sequence[ExportColumn]) -> list[dict[str, Any]]:
    """A row for each column of an export."""
    return [{"column": c.name, "meaning": c.meaning, "unit": c.unit, "kind": c.kind} for c in columns]


def write_csv(path: Path, columns: Sequence[ExportColumn], *, blocks: Blocks) -> int:
    """UTF-8 with a byte order mark, which spreadsheets need for Korean; the number of rows."""
    from seedtest_analytics.database.table_export import defused

    rows = 0
    with os.fdopen(_private(path), "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in columns])
        writer.writeheader()
        for block in blocks:
            writer.writerows({name: _text(defused(value)) for name, value in row.items()} for row in block)
            rows += len(block)
    return rows


def write_parquet(path: Path, columns: Sequence[ExportColumn], *, blocks: Blocks) -> int:
    """Typed columns whose meaning is their metadata; the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "json": pa.string(),
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "instant": pa.timestamp("us", "UTC"),
    }
    schema = pa.schema([pa.field(c.name, types[c.kind], metadata={"meaning": c.meaning}) for c in columns])
    rows = 0
    with os.fdopen(_private(path), "wb") as file, pq.ParquetWriter(file, schema) as writer:
        for block in blocks:
            writer.write_table(pa.Table.from_pylist(block, schema))
            rows += len(block)
    return rows


def write_xlsx(path: Path, columns: Sequence[ExportColumn], *, blocks: Blocks) -> int:
    """A sheet with the rows and one with the dictionary; the number of rows. Raises typer.BadParameter if they do not fit."""
    from openpyxl import Workbook

    from seedtest_analytics.database.table_export import defused

    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    sheet.append([column.name for column in columns])
    rows = 0
    for block in blocks:
        rows += len(block)
        if rows > MAX_SHEET_ROWS:
            raise typer.BadParameter(f"a sheet has {MAX_SHEET_ROWS:,} rows; limit the weeks, or use --format csv")
        for row in block:
            sheet.append([_cell(defused(row[column.name])) for column in columns])
    meanings = book.create_sheet("dictionary")
    meanings.append(list(DICTIONARY))
    for row in dictionary_rows(columns):
        meanings.append([row[name] for name in DICTIONARY])
    with os.fdopen(_private(path), "wb") as file:
        book.save(file)
    return rows


WRITERS = {"csv": write_csv, "parquet": write_parquet, "xlsx": write_xlsx}


def _private(path: Path) -> int:
    """A file that only its owner reads: it holds results of students. Raises typer.BadParameter."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # An earlier file keeps its mode.
            os.fchmod(descriptor, 0o600)
        return descriptor
    except OSError as error:
        raise typer.BadParameter(f"{path}: cannot be written: {error.strerror}; name another file with --out") from None


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    """A sheet has no time zones, so an instant is a text; control characters are not allowed."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if hasattr(value, "tzinfo"):
        return value.isoformat()
    return ILLEGAL_CHARACTERS_RE.sub("\ufffd", value) if isinstance(value, str) else value
