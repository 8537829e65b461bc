"""`seedtest migrate`, and the check of the other commands that the schema is current."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

POLL_SECONDS = 2.0
EMPTY_LOG = (
    "There are exam results, but the attempt log is still empty. Next, either:\n"
    "  seedtest materialize   fills it and computes everything else\n"
    "  seedtest up            starts the UI, whose sensor fills it within a minute"
)


def migrate_command(
    revision: Annotated[str, typer.Option(help="Revision to upgrade to; 'head' is the newest.")] = "head",
    downgrade: Annotated[
        str | None,
        typer.Option(help="Downgrade to this revision instead; 'base' removes everything that the platform created."),
    ] = None,
    *,
    adopt: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE", help="Use and extend this table of another program; repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Downgrade without asking.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Change nothing: wait until another process has migrated."),
    ] = None,
) -> None:
    """Upgrade the database schema to the newest revision."""
    from seedtest_analytics.database import migrations

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    engine = platform_engine()
    if wait is not None:
        _wait_for_newest(engine, seconds=wait)
        return
    if load_settings().platform.dry_run:
        console.print(
            "DRY_RUN is set: the schema is unchanged. A migration would do this with the tables that are there:"
        )
        for line in migrations.planned(engine, adopted=adopt or ()) or ["nothing: there are none"]:
            console.print(f"  {line}", markup=False)
    elif downgrade is not None:
        _confirm_downgrade(engine, downgrade, is_confirmed=yes)
        migrations.downgrade(engine, downgrade)
    else:
        for line in migrations.migrate(engine, revision, adopted=adopt or ()):
            console.print(line, markup=False)
    state = migrations.schema_state(engine)
    console.print(f"schema revision: {state.current or 'none'} (newest {state.newest})")
    if state.current != state.newest:
        console.print(f"next: {command('migrate')}   upgrades to the newest revision")
    elif log_awaits_sync(engine):
        console.print(EMPTY_LOG)
    else:
        console.print(f"next: {command('load FILE')}   or {command('up')}")


def _wait_for_newest(engine: Engine, *, seconds: float) -> None:
    """Return once the schema is the newest. Raises MigrationError if it is not within that time."""
    from seedtest_analytics.database import migrations

    end = time.monotonic() + seconds
    while True:
        try:
            migrations.require_newest(engine)
        except migrations.MigrationError:
            if time.monotonic() >= end:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def _confirm_downgrade(engine: Engine, revision: str, *, is_confirmed: bool) -> None:
    """Ask before a downgrade deletes data. Raises typer.Abort for a no, and typer.BadParameter without a terminal."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"a downgrade to {revision} deletes tables and columns with their rows; add --yes to do it without a question"
        )
    place = f"{engine.url.host}:{engine.url.port or 5432}/{engine.url.database}"
    typer.confirm(
        f"Downgrade {place} to {revision}? This deletes the tables and columns of later revisions with their rows.",
        abort=True,
    )


def platform_engine() -> Engine:
    """The platform's database, with any schema. Unlike the Dagster resource, it needs no Dagster."""
    from seedtest_analytics.database.engine import connected_engine, database_url

    return connected_engine(database_url())


def migrated_engine(*, is_writing: bool = False) -> Engine:
    """The platform's database. Raises an error with the command to run if its schema is not the newest.

    A command that writes upgrades the embedded database itself: nobody else uses it.
    """
    from seedtest_analytics.database import migrations

    engine = platform_engine()
    settings = load_settings().platform
    if is_writing and settings.database_url is None and not settings.dry_run:
        before = migrations.schema_state(engine)
        if before.current != before.newest:
            migrations.migrate(engine)
            Console(stderr=True, highlight=False, soft_wrap=True, emoji=False).print(
                f"upgraded the embedded database from revision {before.current or 'none'} to {before.newest}"
            )
    migrations.require_newest(engine)
    return engine


def archive_note(engine: Engine) -> str | None:
    """Where the legacy rows are that a run replaces or removes; None if there is no archive."""
    from sqlalchemy import text

    from seedtest_analytics.database.archive import SCHEMA

    query = "SELECT string_agg(tablename, ', ' ORDER BY tablename) FROM pg_tables WHERE schemaname = :schema"
    with engine.connect() as connection:
        names = connection.execute(text(query), {"schema": SCHEMA}).scalar_one()
    if not names:
        return None
    return (
        f"Rows of the legacy pipeline may be replaced, and those of students without a result removed. All of them stay "
        f"in the schema {SCHEMA}: {names}."
    )


def log_awaits_sync(engine: Engine) -> bool:
    """Whether there are exam results, but none is in the attempt log yet."""
    from sqlalchemy import text

    query = "SELECT EXISTS (SELECT FROM exam_results) AND NOT EXISTS (SELECT FROM attempt_sync)"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())
