"""`seedtest connect`: attempts from tables of another program, since the last read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.load import load_with_progress, print_summary
from seedtest_analytics.cli.load_plan import ask, show_sample
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.ingest import LoadOptions
    from seedtest_analytics.ingest.connect import ConnectMapping

FIRST_ROWS = 5_000
"""Rows of the source that are tried before the first read."""
SHOWN_ROWS = 20


def connect_command(
    file: Annotated[Path, typer.Argument(metavar="MAPPING", help="The mapping file, in YAML.")],
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Read all rows again, not only those since the last.")
    ] = False,
    rejects: Annotated[Path | None, typer.Option(metavar="FILE", help="Write rejected rows to this CSV file.")] = None,
    dry_run: Annotated[bool | None, typer.Option(help="Report without writing; default: DRY_RUN.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the first read.")] = False,
) -> None:
    """Read new attempts from tables of your own PostgreSQL, as a mapping file says.

    The first read shows twenty rows and what would be rejected, and asks.
    """
    from seedtest_analytics.ingest import LoadOptions
    from seedtest_analytics.ingest.connect import extract_rows, file_name, last_cursor, read_mapping, remember_cursor
    from seedtest_analytics.ingest.recognise import Given, recognise
    from seedtest_analytics.scratch import scratch_folder

    mapping = read_mapping(file)
    platform = load_settings().platform.overridden_by({"timezone": mapping.timezone, "dry_run": dry_run})
    engine, source = migrated_engine(is_writing=True), _source(mapping)
    name, console = file.stem, Console(emoji=False)
    since = None if everything else last_cursor(engine, name)
    with scratch_folder("connect") as folder:
        first = extract_rows(source, mapping, since=since, path=folder / "first.parquet", limit=FIRST_ROWS)
        if first.rows == 0:
            console.print("no new rows")
            return
        shown_name = file_name(name)
        given = Given(time_unit=mapping.time_unit)
        plan = recognise([first.path], given, names={first.path: shown_name}, zone=platform.zone, shown_rows=SHOWN_ROWS)
        options = LoadOptions(timezone=platform.timezone, rules=plan.rules, is_dry_run=True)
        if since is None:
            show_sample(plan, console)
            trial = load_with_progress(
                engine, [first.path], options=_named(options, first.path, name=shown_name), console=console
            )
            print_summary(trial, console)
            if not (yes or platform.dry_run):
                ask("Read all rows like this?", hint="Add --yes to accept that, or correct the mapping")
        if platform.dry_run:
            return
        extract = extract_rows(source, mapping, since=since, path=folder / "rows.parquet")
        options = LoadOptions(timezone=platform.timezone, rules=plan.rules, rejects_to=rejects)
        summary = load_with_progress(
            engine, [extract.path], options=_named(options, extract.path, name=shown_name), console=console
        )
    print_summary(summary, console)
    remember_cursor(engine, name, extract=extract)
    console.print("next: seedtest materialize", highlight=False)
    if summary.attempts == 0:
        raise typer.Exit(1)


def _named(options: LoadOptions, path: Path, *, name: str) -> LoadOptions:
    from dataclasses import replace

    return replace(options, names={path: name})


def _source(mapping: ConnectMapping) -> Engine:
    from seedtest_analytics.cli.migrate import platform_engine
    from seedtest_analytics.database.address import normalised_url
    from seedtest_analytics.database.engine import connected_engine
    from seedtest_analytics.ingest.connect import source_address

    address = source_address(mapping)
    if address is None:
        return platform_engine()
    return connected_engine(normalised_url(address, str(mapping.source)))
