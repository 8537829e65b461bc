"""`seedtest tag-anchors`: the tag for the items that `anchor_candidates` chose."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def tag_anchors_command(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="DRY_RUN", help="Show what would be tagged; write nothing.")
    ] = False,
) -> None:
    """Tag the anchors that the newest week of `anchor_candidates` chose; exit code 1 where there is none."""
    from seedtest_analytics.assets.anchors import tag_anchors
    from seedtest_analytics.cli.migrate import migrated_engine
    from seedtest_analytics.resources.postgres import PostgresResource

    migrated_engine()
    with PostgresResource().transaction("tag-anchors", is_dry_run=dry_run) as connection:
        rows = tag_anchors(connection)
    console = Console()
    if not rows:
        console.print("no items to tag: materialise anchor_candidates and see the column `reason`")
        raise typer.Exit(1)
    table = Table(
        "item", "topic", "a", "b", title=f"{'would be tagged' if dry_run else 'tagged'}: {len(rows)} items"
    )
    for row in rows:
        table.add_row(row["item_id"], row["topic_id"] or "–", f"{row['a']:.2f}", f"{row['b']:.2f}")
    console.print(table)
