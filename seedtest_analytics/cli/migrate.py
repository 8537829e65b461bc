"""`seedtest migrate`, and the check of the other commands that the schema is current."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

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
) -> None:
    """Upgrade the database schema to the newest revision."""
    from seedtest_analytics.database import migrations
    from seedtest_analytics.resources.postgres import PostgresResource

    console = Console(highlight=False, soft_wrap=True)
    engine = PostgresResource().engine
    if load_settings().platform.dry_run:
        console.print("DRY_RUN is set: the schema is unchanged")
    elif downgrade is not None:
        migrations.downgrade(engine, downgrade)
    else:
        migrations.migrate(engine, revision)
    state = migrations.schema_state(engine)
    console.print(f"schema revision: {state.current or 'none'} (newest {state.newest})")
    if state.current == state.newest and log_awaits_sync(engine):
        console.print(EMPTY_LOG)


def migrated_engine() -> Engine:
    """The platform's database. Raises an error with the command to run if its schema is not the newest."""
    from seedtest_analytics.database.migrations import require_newest
    from seedtest_analytics.resources.postgres import PostgresResource

    engine = PostgresResource().engine
    require_newest(engine)
    return engine


def log_awaits_sync(engine: Engine) -> bool:
    """Whether there are exam results, but none is in the attempt log yet."""
    from sqlalchemy import text

    query = "SELECT EXISTS (SELECT FROM exam_results) AND NOT EXISTS (SELECT FROM attempt_sync)"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())
