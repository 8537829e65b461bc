"""`seedtest health`: how every asset is, and the commands that repair what failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command, use_instance

BAD = ("failed", "stale")
PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False}


def health_command(
    page: Annotated[Path | None, typer.Option(help="Also write the result as an HTML page to this file.")] = None,
) -> None:
    """Print the state of every asset: last success, checks, failed partitions. The exit code is 1 if one failed or is stale."""
    use_instance()
    now = dt.datetime.now(dt.UTC)
    rows = health_rows(now)
    console = Console(emoji=False)
    for row in rows:
        console.print(health_line(row), **PLAIN)
        if row["repair"] and row["state"] in BAD:
            console.print(f"  {command(row['repair'].removeprefix('seedtest '))}", **PLAIN)
    if page is not None:
        from seedtest_analytics.reporting.health_page import health_page

        page.write_text(health_page(rows, f"{now:%Y-%m-%d %H:%M} UTC"), encoding="utf-8")
    is_bad = any(row["state"] in BAD for row in rows)
    console.print(f"next: {_what_next(rows, is_bad=is_bad)}", **PLAIN)
    if is_bad:
        raise typer.Exit(1)


def _what_next(rows: Sequence[Mapping[str, Any]], *, is_bad: bool) -> str:
    if is_bad:
        return f"repair what is failed or stale, then {command('health')} again"
    if all(row["state"] == "never" for row in rows):
        return f"{command('materialize')}   computes them"
    return f"{command('up')}   shows them in the UI"


def health_rows(now: dt.datetime) -> list[dict[str, Any]]:
    """Every asset of the platform, with the columns of `platform_health`."""
    import dagster as dg

    from seedtest_analytics.assets.health.state import health_of
    from seedtest_analytics.build import build_definitions

    repository = build_definitions().get_repository_def()
    with dg.DagsterInstance.get() as instance:
        found = health_of(instance, repository, now=now)
    derived = ("state", "checks_passed", "repair")
    return [asdict(one) | {name: getattr(one, name) for name in derived} for one in found]


def health_line(row: dict[str, Any]) -> str:
    """One asset for the terminal; failed checks and partitions by name."""
    parts = [f"{row['asset']}: {row['state']}"]
    if row["last_success_at"]:
        parts.append(f"last success {row['last_success_at']:%Y-%m-%d %H:%M} UTC")
    if row["row_count"] is not None:
        parts.append(f"{row['row_count']:,} rows")
    for title, names in (("failed checks", row["failed_checks"]), ("failed partitions", row["failed_partitions"])):
        if names:
            parts.append(f"{title} {' '.join(names)}")
    return ", ".join(parts)
