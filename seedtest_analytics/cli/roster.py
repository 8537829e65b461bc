"""Rosters among the files of `seedtest load`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from seedtest_analytics.ingest.load import Written
    from seedtest_analytics.ingest.roster import RosterSummary
    from seedtest_analytics.ingest.roster_files import UserIds


def load_rosters(files: Sequence[str], *, user_ids: UserIds, is_dry_run: bool, console: Console) -> list[str]:
    """Load the rosters among the files and report each; the other files are returned."""
    from seedtest_analytics.ingest.roster import load_roster
    from seedtest_analytics.ingest.roster_files import is_roster

    others: list[str] = []
    for name in files:
        path = Path(name)
        if not (path.exists() and is_roster(path)):
            others.append(name)
            continue
        summary = load_roster(migrated_engine(is_writing=True), path, user_ids=user_ids, is_dry_run=is_dry_run)
        print_roster(summary, user_ids=user_ids, console=console)
    return others


def print_roster(summary: RosterSummary, *, user_ids: UserIds, console: Console) -> None:
    """Print what a roster changed, what was rejected, and whether its students are those of the attempts."""
    roster = summary.roster
    facts = Table(box=None, show_header=False, pad_edge=False)
    modes = ", ".join(f"{file.name} ({file.mode})" for file in roster.files.values())
    facts.add_row("roster", f"OneRoster {roster.version}: {plain(modes)}")
    if summary.is_dry_run:
        facts.add_row("dry run", "nothing was written; these are the changes that a load would make")
    if roster.ignored:
        facts.add_row("not used", plain(", ".join(roster.ignored)))
    removed = summary.removed
    for label, written in (("classes", summary.classes), ("enrolments", summary.enrolments), ("names", summary.names)):
        facts.add_row(label, f"{_changes(written)}, {removed[label]:,} removed")
    facts.add_row(
        "students", f"{summary.students:,} in the roster, {summary.students_with_exams:,} of them with attempts"
    )
    console.print(facts)
    if summary.students and not summary.students_with_exams:
        console.print(
            f"[yellow]note[/]: no attempt has a {user_ids} of the roster as its user; if the attempts name users otherwise, "
            "repeat the command with --user-ids username, identifier, email or userMasterIdentifier",
            highlight=False,
            soft_wrap=True,
        )
    if summary.rejects:
        table = Table("file", "because", "rows", "first row", "remedy", title="Rejected rows (table load_rejects)")
        for file, reason, rows, first, remedy in summary.rejects:
            table.add_row(file, reason, f"{rows:,}", f"{first:,}", plain(remedy))
        console.print(table)


def _changes(written: Written) -> str:
    return f"{written.inserted:,} new, {written.updated:,} changed, {written.unchanged:,} unchanged"
