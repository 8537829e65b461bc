"""The application: registers the commands, and ends known errors with their message and exit code 1."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seedtest_analytics.cli.anchors import tag_anchors_command
from seedtest_analytics.cli.backtest import backtest_command
from seedtest_analytics.cli.demo import demo_command
from seedtest_analytics.cli.doctor import doctor_command
from seedtest_analytics.cli.goal import goal_calibration_command, goal_probability_command
from seedtest_analytics.cli.home import use_home, use_settings
from seedtest_analytics.cli.load import load_command
from seedtest_analytics.cli.materialize import materialize_command
from seedtest_analytics.cli.migrate import migrate_command
from seedtest_analytics.cli.server import down_command, status_command, up_command
from seedtest_analytics.cli.simulate import simulate_command
from seedtest_analytics.settings import SettingsError

app = typer.Typer(
    help="Learning analytics as one Dagster asset graph over PostgreSQL.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
START, DATA, COMPUTE, JUDGE = "Start and stop", "Data", "Compute", "Judge and ask"
app.command("demo", rich_help_panel=START)(demo_command)
app.command("doctor", rich_help_panel=START)(doctor_command)
app.command("migrate", rich_help_panel=START)(migrate_command)
app.command("up", rich_help_panel=START)(up_command)
app.command("status", rich_help_panel=START)(status_command)
app.command("down", rich_help_panel=START)(down_command)
app.command("load", rich_help_panel=DATA)(load_command)
app.command("simulate", rich_help_panel=DATA)(simulate_command)
app.command("materialize", rich_help_panel=COMPUTE)(materialize_command)
app.command("tag-anchors", rich_help_panel=COMPUTE)(tag_anchors_command)
app.command("backtest", rich_help_panel=JUDGE)(backtest_command)
app.command("goal-probability", rich_help_panel=JUDGE)(goal_probability_command)
app.command("goal-calibration", rich_help_panel=JUDGE)(goal_calibration_command)


def _show_version(is_asked: bool) -> None:  # noqa: FBT001
    if is_asked:
        from importlib.metadata import version

        typer.echo(version("seedtest-analytics"))
        raise typer.Exit


@app.callback()
def configure(
    home: Annotated[
        Path,
        typer.Option(
            "--home",
            envvar="DAGSTER_HOME",
            help="Folder of the Dagster instance, the embedded PostgreSQL, the reports and the kept settings.",
        ),
    ] = Path(".dagster"),
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting for this command; overrides the environment; repeatable."
        ),
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Commands share one Dagster home and the settings kept in it."""
    use_home(home)
    use_settings(settings or (), os.environ)


def known_errors() -> tuple[type[Exception], ...]:
    """Errors whose message tells the user what to do."""
    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgresError
    from seedtest_analytics.database.engine import DatabaseError
    from seedtest_analytics.database.migrations import MigrationError
    from seedtest_analytics.dev_server import DevServerError
    from seedtest_analytics.ingest.errors import LoadError
    from seedtest_analytics.resources.object_store import ObjectStoreError

    return (
        SettingsError,
        DatabaseError,
        MigrationError,
        LoadError,
        EmbeddedPostgresError,
        DevServerError,
        ObjectStoreError,
    )


def main() -> None:
    """Entry point of the `seedtest` command."""
    try:
        app()
    except known_errors() as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
