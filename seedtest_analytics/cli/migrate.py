"""`seedtest migrate`, and the database as the other commands take it: with the newest schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sqlalchemy import Engine

EMPTY_LOG = (
    "The attempt log is empty, so `attempt` shows no row yet although there are exam results. Next:\n"
    "  seedtest materialize   fills it, and computes everything that is made of it\n"
    "  seedtest up            or: the UI; its sensor asks for the sync within a minute"
)


def migrate_command(
    revision: Annotated[str, typer.Option(help="Revision to upgrade to; 'head' is the newest.")] = "head",
    downgrade: Annotated[
        str | None, typer.Option(help="Downgrade to this revision instead; 'base' takes away what the platform made.")
    ] = None,
) -> None:
    """Bring the database's schema up to date; one that is, is left as it is."""
    from seedtest_analytics.database import migrations
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.settings import load_settings

    console = Console(highlight=False, soft_wrap=True)
    engine = PostgresResource().engine
    if load_settings().platform.dry_run:
        console.print("DRY_RUN is set: the schema is left as it is")
    elif downgrade is not None:
        migrations.downgrade(engine, downgrade)
    else:
        migrations.migrate(engine, revision)
    state = migrations.schema_state(engine)
    console.print(f"schema revision: {state.current or 'none'} (newest {state.newest})")
    if state.current == state.newest and log_awaits_sync(engine):
        console.print(EMPTY_LOG)


def migrated_engine() -> Engine:
    """The platform's database. Raises an error that says what to type where it lacks the newest schema."""
    from seedtest_analytics.database.migrations import require_newest
    from seedtest_analytics.resources.postgres import PostgresResource

    engine = PostgresResource().engine
    require_newest(engine)
    return engine


def log_awaits_sync(engine: Engine) -> bool:
    """There are exam results, and none of them has been taken apart yet."""
    from sqlalchemy import text

    query = "SELECT EXISTS (SELECT FROM exam_results) AND NOT EXISTS (SELECT FROM attempt_sync)"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())
