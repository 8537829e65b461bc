"""`seedtest connect`: attempts from tables of another program, since the last read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.load import load_with_progress, print_summary
from seedtest_analytics.cli.load_plan import ask, show_sample
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.progress import progress_bar
from seedtest_analytics.settings import load_settings

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
    from seedtest_analytics.ingest.connect import (
        extract_rows,
        file_name,
        last_cursor,
        load_new_rows,
        read_mapping,
        rules_of,
        source_engine,
    )
    from seedtest_analytics.scratch import scratch_folder

    mapping = read_mapping(file)
    platform = load_settings().platform.overridden_by({"timezone": mapping.timezone, "dry_run": dry_run})
    engine = migrated_engine(is_writing=True)
    source = source_engine(mapping) or engine
    name, console = file.stem, Console(emoji=False)
    since = None if everything else last_cursor(engine, name)
    with scratch_folder("connect") as folder:
        first = extract_rows(source, mapping, since=since, path=folder / "first.parquet", limit=FIRST_ROWS)
        if first.rows == 0:
            console.print("no new rows")
            return
        plan = rules_of(mapping, first.path, name=name, zone=platform.zone, shown_rows=SHOWN_ROWS)
        options = LoadOptions(timezone=platform.timezone, rules=plan.rules, is_dry_run=True)
        if since is None:
            show_sample(plan, console)
            named = replace(options, names={first.path: file_name(name)})
            print_summary(load_with_progress(engine, [first.path], options=named, console=console), console)
            if not (yes or platform.dry_run):
                ask("Read all rows like this?", hint="Add --yes to accept that, or correct the mapping")
        if platform.dry_run:
            return
        options = replace(options, is_dry_run=False, rejects_to=rejects)
        with progress_bar(console) as progress:
            found = load_new_rows(
                engine,
                source,
                mapping=mapping,
                name=name,
                since=since,
                folder=folder,
                options=options,
                progress=progress,
            )
    if found is None:
        console.print("no new rows")
        return
    print_summary(found.summary, console)
    if found.note is not None:
        console.print(f"[yellow]note[/]: {found.note}", highlight=False, soft_wrap=True)
    console.print(f"next: {command('materialize')}", highlight=False)
    if found.summary.attempts == 0:
        raise typer.Exit(1)
