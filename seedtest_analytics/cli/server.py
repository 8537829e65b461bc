"""`seedtest up`, `down`, `status`: the UI and the daemon on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command, current_home, use_instance
from seedtest_analytics.cli.migrate import platform_engine

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI on 127.0.0.1.")]


def up_command(port: Port = 3000) -> None:
    """Migrate the schema, then start the UI, the daemon and (without DATABASE_URL) PostgreSQL."""
    from seedtest_analytics.database.migrations import migrate

    use_instance()
    migrate(platform_engine())
    start(port)


def start(port: int) -> None:
    """Start the server and print the address of the UI."""
    from seedtest_analytics.dev_server import DevServer

    status = DevServer(current_home(), port=port).up()
    Console(emoji=False).print(
        f"UI: {status.url}   log: {status.log}   stop: {command('down')}", highlight=False, soft_wrap=True
    )


def down_command() -> None:
    """Stop the UI, the daemon, active runs and the embedded PostgreSQL of this home."""
    from seedtest_analytics.dev_server import DevServer

    DevServer(current_home()).down()
    Console(emoji=False).print(f"stopped; next: {command('up')} starts it again")


def status_command() -> None:
    """Show what is running. The exit code is 3 if the UI does not answer."""
    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
    from seedtest_analytics.dev_server import DevServer

    status = DevServer(current_home()).status()
    server = EmbeddedPostgres(current_home() / "postgres").status()
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    console.print(f"UI: {status.state} {status.url}")
    console.print(f"embedded PostgreSQL: {server.state}" + (f" on port {server.port}" if server.port else ""))
    is_running = status.state == "running"
    console.print(f"next: {command('down')} stops it" if is_running else f"next: {command('up')}")
    if not is_running:
        raise typer.Exit(3)
