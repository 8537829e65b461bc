"""The application: lists the commands, imports the one that runs, and ends known errors with message and exit code 1.

`--help`, `--version` and a typo import no command, because Dagster, pandas and SQLAlchemy take seconds to load.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from seedtest_analytics.cli.home import (
    SETTINGS_PAGE,
    explained_by_home,
    name_home,
    refuse_odd_home,
    use_home,
    use_settings,
)
from seedtest_analytics.cli.plain_text import plain
from seedtest_analytics.cli.terminal import forget_no_width, lasting_output, make_printable
from seedtest_analytics.database.work import for_process
from seedtest_analytics.interruption import interruptible
from seedtest_analytics.scratch import sweep

START, DATA, COMPUTE, JUDGE = "Start and stop", "Data", "Compute", "Judge and ask"


class Command(NamedTuple):
    """Where a command is, and its line in the help: the first paragraph of the function's docstring."""

    function: str
    panel: str
    summary: str


COMMANDS = {
    "demo": Command(
        "demo:demo_command",
        START,
        "Load data, compute the whole graph and open the UI. A second run gives the same numbers.",
    ),
    "doctor": Command(
        "doctor:doctor_command",
        START,
        "Show what is installed and what is missing. The exit code is 1 if a required part is missing.",
    ),
    "migrate": Command("migrate:migrate_command", START, "Upgrade the database schema to the newest revision."),
    "up": Command(
        "server:up_command",
        START,
        "Migrate the schema, then start the UI, the daemon and (without DATABASE_URL) PostgreSQL.",
    ),
    "status": Command(
        "server:status_command", START, "Show what is running. The exit code is 3 if the UI does not answer."
    ),
    "down": Command(
        "server:down_command", START, "Stop the UI, the daemon, active runs and the embedded PostgreSQL of this home."
    ),
    "health": Command(
        "health:health_command",
        START,
        "Print the state of every asset: last success, checks, failed partitions. The exit code is 1 if one failed or is "
        "stale.",
    ),
    "load": Command(
        "load:load_command",
        DATA,
        "Load attempt logs, one exam per session, and rosters. A second load changes nothing; bad rows are kept with a reason.",
    ),
    "connect": Command(
        "connect:connect_command", DATA, "Read new attempts from tables of your own PostgreSQL, as a mapping file says."
    ),
    "export": Command(
        "export:export_command",
        DATA,
        "Write a table to a file, with a dictionary of its columns. Texts that begin like formulas are defused.",
    ),
    "simulate": Command(
        "simulate:simulate_command",
        DATA,
        "Simulate a cohort with known truth: attempts, goals, churn, corrections and hostile rows.",
    ),
    "materialize": Command(
        "materialize:materialize_command",
        COMPUTE,
        "Compute the whole graph over a range of days, oldest week first. A second run gives the same numbers.",
    ),
    "run": Command(
        "run:run_command",
        COMPUTE,
        "Run one job now over a range of its partitions. On Kubernetes the run is queued and has its own pods.",
    ),
    "report": Command(
        "report:report_app",
        COMPUTE,
        "One report: render it, get its address. The store of reports: check it, store what waits.",
    ),
    "messages": Command(
        "messages:messages_app", COMPUTE, "The weekly sentences: send them, see the outbox, record what came back."
    ),
    "tag-anchors": Command(
        "anchors:tag_anchors_command",
        COMPUTE,
        "Tag items as anchors by the newest usable calibration, or check the tagged ones.",
    ),
    "backtest": Command(
        "backtest:backtest_command",
        JUDGE,
        "Print how predictions of past weeks (P, S, abilities, forecasts) compare with outcomes.",
    ),
    "goal-probability": Command(
        "goal:goal_probability_command",
        JUDGE,
        "Print the probability that a student reaches a target, from the growth fit of the cohort, as JSON.",
    ),
    "goal-calibration": Command(
        "goal:goal_calibration_command", JUDGE, "Print how P compares with the goals that simulated students reached."
    ),
}

KNOWN_ERRORS = frozenset(
    {
        "SettingsError",
        "DatabaseError",
        "MigrationError",
        "LoadError",
        "EmbeddedPostgresError",
        "DevServerError",
        "ObjectStoreError",
        "HomeError",
    }
)
"""Errors of the platform whose message tells the user what to do, by name, because their modules load slowly."""


def load_command(name: str) -> TyperCommand | TyperGroup:
    """Import a command, or a group of commands."""
    module, function = COMMANDS[name].function.split(":")
    found = getattr(importlib.import_module(f"seedtest_analytics.cli.{module}"), function)
    if isinstance(found, typer.Typer):
        group = typer.main.get_command(found)
        assert isinstance(group, TyperGroup)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    single.command(name)(found)
    command = typer.main.get_command(single)
    assert isinstance(command, TyperCommand)
    return command


class LazyGroup(TyperGroup):
    """Knows the name and the summary of every command, and imports a command when it runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            stub = TyperCommand(name, callback=None, help=command.summary, rich_help_panel=command.panel)
            self.commands[name] = stub

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first argument names, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


app = typer.Typer(
    cls=LazyGroup,
    help="Learning analytics as one Dagster asset graph over PostgreSQL.",
    pretty_exceptions_show_locals=False,
)


def _show_version(is_asked: bool) -> None:  # noqa: FBT001
    if is_asked:
        from importlib.metadata import version

        typer.echo(version("seedtest-analytics"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def configure(
    context: typer.Context,
    home: Annotated[
        str,
        typer.Option(
            "--home",
            envvar="DAGSTER_HOME",
            metavar="FOLDER",
            help="Folder of the Dagster instance, the embedded PostgreSQL, the reports and the kept settings.",
        ),
    ] = ".dagster",
    *,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting for this command; overrides the environment; repeatable."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Commands share one Dagster home and the settings kept in it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    source = context.get_parameter_source("home")
    refuse_odd_home(home)
    use_home(Path(home), is_chosen=source is not None and source.name != "DEFAULT")
    name_home(Path(home) if source is not None and source.name == "COMMANDLINE" else None)
    use_settings(settings or (), os.environ)
    for_process(context.invoked_subcommand)
    sweep()


def is_known(error: Exception) -> bool:
    """Whether the message of an error tells the user what to do."""
    return any(
        cls.__name__ in KNOWN_ERRORS and cls.__module__.startswith("seedtest_analytics.") for cls in type(error).__mro__
    )


def main() -> None:
    """Entry point of the `seedtest` command."""
    # Homes, logs and cohorts hold personal data: files are for their owner alone.
    os.umask(0o077)
    forget_no_width(os.environ)
    with lasting_output():
        make_printable(sys.stdout, sys.stderr)
        try:
            with interruptible():
                app()
        except Exception as found:
            error = found if is_known(found) else explained_by_home(found) or explained_by_server(found)
            if not is_known(error):
                raise
            console = Console(stderr=True, emoji=False)
            console.print(f"[red]error:[/] {plain(str(error))}", highlight=False, soft_wrap=True)
            if type(error).__name__ == "SettingsError" and SETTINGS_PAGE not in str(error):
                console.print(f"{SETTINGS_PAGE} lists every setting and its values", highlight=False)
            sys.exit(1)


def explained_by_server(error: Exception) -> Exception:
    """The error that says why the server ended a statement or a session; the error itself if it is another one.

    Dagster raises errors of its storage as its own, so causes count, too.
    """
    if "seedtest_analytics.database.sessions" not in sys.modules:
        return error
    from seedtest_analytics.database.sessions import explained

    found: BaseException | None = error
    while isinstance(found, Exception):
        if (reason := explained(found)) is not None:
            return reason
        found = found.__cause__
    return error


if __name__ == "__main__":
    main()
