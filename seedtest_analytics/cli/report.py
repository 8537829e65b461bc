"""`seedtest report`: one report on demand, its address, and the store of reports."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from seedtest_analytics.cli.dates import day_of
from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from seedtest_analytics.partitions import Week
    from seedtest_analytics.resources.store.keys import ReportFile, ReportKey

_LISTED = 1000

report_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_show_locals=False,
    no_args_is_help=True,
    help="One report: render it, get its address. The store of reports: check it, store what waits.",
)

User = Annotated[str, typer.Argument(help="Raw id of the student.", metavar="USER")]


def _day(text: str) -> dt.date:
    try:
        return day_of(text, "WEEK")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


WeekDay = Annotated[
    dt.date, typer.Argument(help="A day of the reported week, such as its Monday.", parser=_day, metavar="WEEK")
]


@report_app.command("url")
def url_command(
    user: User,
    week: WeekDay,
    *,
    minutes: Annotated[int, typer.Option(help="How long the address works.", min=1, max=10_080)] = 60,
) -> None:
    """Print an address that opens a student's report without an account, for a limited time."""
    from seedtest_analytics.assets.report_store import is_recorded
    from seedtest_analytics.resources.object_store import store_for

    store, key = store_for(load_settings().storage), _key(user, week)
    with migrated_engine().connect() as connection:
        if not is_recorded(connection, store, key=key):
            raise typer.BadParameter(
                f"there is no report of that student for the week of {key.week_start}; make it: "
                f"{command(f'report render USER {key.week_start}')}"
            )
    typer.echo(store.shared_url(key, 60 * minutes))


@report_app.command("render")
def render_command(
    user: User,
    week: WeekDay,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write instead of the store.", metavar="FILE")
    ] = None,
) -> None:
    """Render one report now, and store and record it, or write it into a file."""
    from seedtest_analytics.assets.report_store import record
    from seedtest_analytics.database.engine import locked_transaction
    from seedtest_analytics.resources.object_store import ObjectStoreResource

    key, engine = _key(user, week), migrated_engine()
    files = _rendered(user, _week(week))
    if output is not None:
        output.write_bytes(files[0].content)
        typer.echo(f"written: {output}")
        return
    if load_settings().platform.dry_run:
        typer.echo("DRY_RUN is set: the report is rendered and not stored")
        return
    storage = ObjectStoreResource()
    with storage.uploads() as uploads:
        for file in files:
            uploads.put(file)
        uploads.finish()
    with locked_transaction(engine, f"report_artifacts:{key.week_start}") as connection:
        record(connection, [d for d in uploads.deliveries if d.is_stored], store=storage.store())
    refusal = next((delivery.refusal for delivery in uploads.deliveries if delivery.refusal is not None), None)
    if refusal is not None:
        Console(stderr=True, emoji=False).print(f"[red]waits on disk[/]: {plain(str(refusal))}", soft_wrap=True)
        raise typer.Exit(1)
    typer.echo(f"stored: {storage.store().url(key)}")


@report_app.command("upload")
def upload_command() -> None:
    """Store the reports that wait on disk since an outage of the store, without rendering them again."""
    from seedtest_analytics.assets.report_waiting import deliver
    from seedtest_analytics.resources.object_store import store_for, waiting_for

    storage = load_settings().storage
    waiting = waiting_for(storage)
    if waiting is None or not waiting.names():
        typer.echo("no report waits")
        return
    if load_settings().platform.dry_run:
        typer.echo(f"DRY_RUN is set: {len(waiting.names()):,} reports go on waiting")
        return
    done = deliver(
        migrated_engine(),
        store_for(storage),
        waiting=waiting,
        patience_seconds=storage.patience_secs,
        settings=load_settings().reports,
    )
    typer.echo(f"{done.stored:,} reports stored, {done.still_waiting:,} still wait")
    if done.refusal is not None:
        Console(stderr=True, emoji=False).print(plain(str(done.refusal)), highlight=False, soft_wrap=True)
        raise typer.Exit(1)


@report_app.command("check")
def check_command(
    *, show: Annotated[bool, typer.Option("--list", help="Also print what is wrong, with addresses.")] = False
) -> None:
    """Compare report_artifacts with the store in both directions. The exit code is 1 if they differ."""
    from seedtest_analytics.assets.report_store import orphan_examples, orphans
    from seedtest_analytics.resources.object_store import store_for

    with migrated_engine().connect() as connection:
        found = orphans(connection, store_for(load_settings().storage))
        typer.echo(str(found))
        for kind, url in orphan_examples(connection, _LISTED) if show else ():
            typer.echo(f"{kind}: {url}")
    if found.are_none:
        typer.echo(f"next: {command('report url USER WEEK')}   prints the address of a report")
        return
    renders = f"{command('report render USER WEEK')}   makes a missing report again; delete the objects of students who are gone"
    typer.echo(f"next: {renders if show else command('report check --list') + '   names them'}")
    raise typer.Exit(1)


def _week(day: dt.date) -> Week:
    from seedtest_analytics.partitions import PLATFORM, monday_of, week_at

    return week_at(monday_of(day), dt.datetime.now(dt.UTC), platform=PLATFORM)


def _key(user: str, day: dt.date) -> ReportKey:
    from seedtest_analytics.resources.store.keys import ReportKey

    format_: Any = load_settings().reports.formats[0]
    return ReportKey(user, _week(day).start, format=format_)


def _rendered(user: str, week: Week) -> list[ReportFile]:
    """The report's files, the family's first. Raises typer.BadParameter without a row of weekly_kpi, or for a bad one."""
    from seedtest_analytics.assets.report_documents import documents, note_of
    from seedtest_analytics.assets.report_inputs import Inputs
    from seedtest_analytics.assets.report_work import files_of
    from seedtest_analytics.resources.quarto.errors import ReportError
    from seedtest_analytics.resources.quarto.resource import QuartoResource

    storage, settings, withheld = load_settings().storage, load_settings().reports, list[str]()
    found = list(
        documents(migrated_engine(), week, settings=settings, withhold=withheld.append, skip=lambda: None, user_id=user)
    )
    if not found:
        reason = f"that student has no KPIs in the week of {week.key}; compute them first"
        raise typer.BadParameter(withheld[0] if withheld else reason)
    document = found[0].document
    with QuartoResource().open(1, pages=settings.pages, formats=settings.formats) as renderer:
        try:
            made = renderer.render(document)
        except ReportError as error:
            raise typer.BadParameter(str(error)) from None
        inputs = Inputs(renderer.renderer, settings, storage=storage).digest(document)
    return list(files_of(made, {**note_of(document), "inputs": inputs}))
