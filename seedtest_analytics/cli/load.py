"""`seedtest load`: load attempt logs with a progress bar and a summary."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from seedtest_analytics.cli.dates import day_of, first_partition, remedies
from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.load_plan import confirmed
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain
from seedtest_analytics.cli.progress import progress_bar
from seedtest_analytics.cli.roster import load_rosters
from seedtest_analytics.ingest.roster_files import UserIds
from seedtest_analytics.ingest.value_rules import DateOrder, TimeUnit
from seedtest_analytics.settings import PlatformSettings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.ingest import LoadOptions, LoadSummary

REJECTED_LIMIT = 0.5
"""A load fails if more than this share of the rows is rejected."""


def load_command(  # noqa: PLR0913 (each is an option of the command)
    files: Annotated[
        list[str],
        typer.Argument(
            help="CSV, Excel, JSON lines or Parquet, plain or packed; folders of them, or quoted globs; OneRoster archives."
        ),
    ],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=COLUMN", help="A column (user_id, item_id, …) and its name in the file."),
    ] = None,
    *,
    shift_to: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Move all times by whole weeks so that the log ends in the last full week on or before DATE.",
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone of times without an offset; default: SEEDTEST_TIMEZONE.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of CSV and JSON files, e.g. cp949; default: recognised for each.")
    ] = None,
    time_unit: Annotated[TimeUnit | None, typer.Option(help="Unit of the response times; default: recognised.")] = None,
    dates: Annotated[
        DateOrder | None, typer.Option(help="Order of dates such as 03/04/2026; default: recognised.")
    ] = None,
    text_items: Annotated[
        bool | None, typer.Option(help="Item ids are texts or UUIDs, and each gets a number; default: recognised.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; default: the first with rows.")] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rejected rows to this CSV file, to be repaired and loaded again."),
    ] = None,
    user_ids: Annotated[
        UserIds, typer.Option(help="Column of a roster's users.csv that has the user ids of the attempts.")
    ] = "sourcedId",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what was recognised without asking.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace whole exams instead of completing them.")] = False,
    dry_run: Annotated[bool | None, typer.Option(help="Report without writing; default: DRY_RUN.")] = None,
) -> None:
    """Load attempt logs, one exam per session, and rosters. A second load changes nothing; bad rows are kept with a reason."""
    from seedtest_analytics.ingest import LoadOptions, parse_mapping
    from seedtest_analytics.ingest.recognise import Given
    from seedtest_analytics.ingest.sources import find_files
    from seedtest_analytics.ingest.unpack import unpack
    from seedtest_analytics.scratch import scratch_folder

    platform = load_settings().platform.overridden_by({"timezone": timezone, "dry_run": dry_run})
    shift = parse_date(shift_to, "--shift-to") if shift_to else None
    given = Given(
        parse_mapping(mapping or []),
        encoding=encoding,
        time_unit=time_unit,
        date_order=dates,
        has_text_items=text_items,
    )
    console = Console(emoji=False)
    files = load_rosters(files, user_ids=user_ids, is_dry_run=platform.dry_run, console=console)
    if not files:
        return
    with scratch_folder("load") as folder:
        found = unpack(find_files(files), folder, sheet=sheet, encoding=encoding)
        plan = confirmed(found, given, zone=platform.zone, is_accepted=yes, console=console)
        options = LoadOptions(
            mapping=plan.mapping,
            timezone=platform.timezone,
            shift_to=shift,
            is_replacing=replace,
            is_dry_run=platform.dry_run,
            encoding=plan.encoding,
            rules=plan.rules,
            rejects_to=rejects,
            names=found.names,
            origins=found.origins,
        )
        engine = migrated_engine(is_writing=True)
        summary = load_with_progress(engine, list(found.names), options=options, console=console)
    print_summary(summary, console)
    note = old_rows_note(summary, platform, files=tuple(files))
    if note is not None:
        console.print(f"[yellow]note[/]: {plain(note)}", highlight=False, soft_wrap=True)
    if summary.attempts == 0 or summary.rows_rejected > REJECTED_LIMIT * summary.rows_read:
        share = summary.rows_rejected / max(summary.rows_read, 1)
        console.print(
            f"[red]failed[/]: {share:.0%} of the rows were rejected, and {summary.attempts:,} attempts were accepted. "
            "Correct the file and load it again; --rejects FILE writes these rows to a file.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1)
    if rejects is not None and summary.rows_rejected:
        console.print(
            f"repair {plain(str(rejects))} and load it with the same options", highlight=False, soft_wrap=True
        )
    following = "repeat the command without --dry-run" if summary.is_dry_run else command("materialize")
    console.print(f"next: {following}", highlight=False)


def old_rows_note(summary: LoadSummary, platform: PlatformSettings, *, files: tuple[str, ...]) -> str | None:
    """What to do about rows from before the first partition; None if there are none."""
    if summary.first_attempt_at is None or summary.last_attempt_at is None:
        return None
    first, last = (at.astimezone(platform.zone).date() for at in (summary.first_attempt_at, summary.last_attempt_at))
    if first >= first_partition(platform.start_date):
        return None
    what = "all rows are" if last < first_partition(platform.start_date) else "rows are"
    today = dt.datetime.now(platform.zone).date()
    return (
        f"{what} from before SEEDTEST_START_DATE ({platform.start_date}), so no asset computes their weeks. "
        f"{remedies(first, today=today, files=files)}"
    )


def parse_date(value: str, option: str) -> dt.date:
    """An ISO date from the command line. Raises :class:`LoadError` that names the option."""
    from seedtest_analytics.ingest import LoadError

    try:
        return day_of(value, option)
    except ValueError as error:
        raise LoadError(str(error)) from None


def load_with_progress(
    engine: Engine, files: Sequence[str | Path], *, options: LoadOptions, console: Console
) -> LoadSummary:
    """Load and show the progress."""
    from seedtest_analytics.ingest import load_attempt_log

    with progress_bar(console) as progress:
        return load_attempt_log(engine, files, options=options, progress=progress)


def print_summary(summary: LoadSummary, console: Console) -> None:
    """Print what was loaded, and what was rejected and why."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    for label, value in _facts(summary):
        facts.add_row(label, value)
    console.print(facts)
    if not summary.rejects:
        return
    table = Table(title="Rejected rows and fields (table load_rejects)", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("answers kept", justify="right")
    table.add_column("because, with examples, and the remedy", overflow="fold")
    for count in summary.rejects:
        values = f": {', '.join(count.values)}" if count.values else ""
        lines = (f"{count.reason}{values}", f"in {', '.join(count.examples)}", count.remedy)
        table.add_row(f"{count.rows:,}", f"{count.kept:,}", plain("\n".join(line for line in lines if line)))
    console.print(table)


def _facts(summary: LoadSummary) -> Iterator[tuple[str, str]]:
    exams, questions = summary.exams, summary.questions
    if summary.is_dry_run:
        yield "dry run", "nothing was written; these are the changes that a load would make"
    yield ("rows", f"{summary.rows_read:,} read, {summary.attempts:,} attempts, {summary.rows_rejected:,} rejected")
    yield "exams", f"{exams.inserted:,} new, {exams.updated:,} changed, {exams.unchanged:,} unchanged"
    yield "questions", f"{questions.inserted:,} new, {questions.updated:,} with a topic added"
    if summary.first_attempt_at and summary.last_attempt_at:
        yield ("from, to", f"{summary.first_attempt_at:%Y-%m-%d %H:%M}, {summary.last_attempt_at:%Y-%m-%d %H:%M} UTC")
    if summary.shifted_weeks:
        yield "moved by", f"{summary.shifted_weeks:,} weeks"
    for count, label, meaning in (
        (summary.rows_with_gaps, "gaps", "rows with a malformed time or count of hints, which count as not recorded"),
        (summary.duplicates, "duplicates", "rows equal to another row; counted once"),
        (summary.further_topics, "topics", "rows equal except for the topic; one attempt with several topics"),
        (summary.several_topics, "several topics", "attempts with more than one topic"),
        (
            summary.contradictory,
            "contradictory",
            "rows of one attempt (student, item and instant) with other values; an answer counts before none, wrong before right",
        ),
        (summary.superseded, "re-scored", "answers replaced by a later scoring"),
        (summary.attempts_kept, "kept", "attempts of earlier loads in the same exams"),
        (summary.unanswered, "unanswered", "rows without an answer; missing, not wrong"),
        (summary.local_times, "local times", "times without an offset, in the configured zone"),
        (
            summary.rows_with_derived_session,
            "no session",
            "rows; pauses of more than 30 minutes separate their sessions",
        ),
        (summary.numbered_items, "numbered items", "items with a text id; the table item_number has their numbers"),
        (summary.sessions_renamed, "renamed", "sessions whose id another user has; stored as session@hash of the user"),
    ):
        if count:
            yield label, f"{count:,} {meaning}"
