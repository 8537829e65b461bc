"""Shows how a log will be read and asks once, if something was guessed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from seedtest_analytics.cli.plain_text import plain

if TYPE_CHECKING:
    from rich.console import Console

    from seedtest_analytics.ingest.recognise import Given, Proposal
    from seedtest_analytics.ingest.unpack import Unpacked


def confirmed(found: Unpacked, given: Given, *, zone: ZoneInfo, is_accepted: bool, console: Console) -> Proposal:
    """How the files are read. Guesses are shown with the first rows, and asked for unless they are accepted.

    Raises typer.Abort for a no, and :class:`LoadError` with the command to use without a terminal.
    """
    from seedtest_analytics.ingest.recognise import recognise

    plan = recognise(list(found.names), given, names=found.names, origins=found.origins, zone=zone)
    for note in (*found.notes, *plan.facts):
        console.print(f"[yellow]note[/]: {plain(note)}", highlight=False, soft_wrap=True)
    if plan.guesses:
        console.print("Recognised:")
        for guess in plan.guesses:
            console.print(f"  {plain(guess)}", highlight=False, soft_wrap=True)
        show_sample(plan, console)
        if not is_accepted:
            ask(
                "Load it like this?",
                hint="Add --yes to accept that, or say it with --map, --time-unit and the other options",
            )
    return plan


def show_sample(plan: Proposal, console: Console) -> None:
    """Show the first rows as they will be stored."""
    table = Table(title="First rows as they will be stored (? is a value that cannot be read)", title_justify="left")
    for name, column in plan.file_columns.items():
        table.add_column(plain(name if name == column else f"{name}\n= {column}"), overflow="fold")
    for row in plan.sample:
        table.add_row(*(plain(row[name]) for name in plan.file_columns))
    console.print(table)


def ask(question: str, *, hint: str) -> None:
    """Ask once. Raises typer.Abort for a no, and :class:`LoadError` without a terminal."""
    from seedtest_analytics.ingest import LoadError

    if not sys.stdin.isatty():
        raise LoadError(f"the rows were read as shown above, and nothing was loaded. {hint}")
    typer.confirm(question, default=True, abort=True)
