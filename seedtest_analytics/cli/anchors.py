"""`seedtest tag-anchors`: tag items as anchors, or check the tagged ones against the criteria."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.assets.psychometrics.anchors.choice import AnchorChoice


class Action(StrEnum):
    """What to do with the criteria."""

    TAG = "tag"
    VERIFY = "verify"


def tag_anchors_command(
    action: Annotated[
        Action, typer.Argument(help="tag: choose and tag anchors; verify: check the tagged ones and write nothing.")
    ] = Action.TAG,
    min_responses: Annotated[int, typer.Option(min=1, help="Answers that an anchor needs.")] = 100,
    *,
    difficulty_min: Annotated[float, typer.Option(help="Lowest difficulty b (logit).")] = -2.0,
    difficulty_max: Annotated[float, typer.Option(help="Highest difficulty b (logit).")] = 2.0,
    discrimination_min: Annotated[float, typer.Option(help="Lowest discrimination a (1/logit).")] = 0.5,
    max_candidates: Annotated[int, typer.Option(min=1, help="Maximum number of anchors, including tagged ones.")] = 50,
    item_ids: Annotated[
        str | None, typer.Option(metavar="ID,ID,…", help="Only these items; default: the whole item bank.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="DRY_RUN", help="Show what would be tagged; write nothing.")
    ] = False,
) -> None:
    """Tag items as anchors by the newest usable calibration, or check the tagged ones.

    Besides the options, the criteria are stability over calibrations, a plausible estimate, no open drift alert and no
    DIF. The exit code is 1 if no item meets them.
    """
    from seedtest_analytics.assets.psychometrics.anchors.choice import choose, newest_week, tag_anchors, verify_anchors
    from seedtest_analytics.database.engine import locked_transaction
    from seedtest_analytics.stats.irt.anchors import AnchorCriteria

    if difficulty_min >= difficulty_max:
        raise typer.BadParameter(
            f"--difficulty-min {difficulty_min:g} must be below --difficulty-max {difficulty_max:g}"
        )
    only = _ids(item_ids)
    criteria = AnchorCriteria(
        min_responses=min_responses,
        difficulty_lower=difficulty_min,
        difficulty_upper=difficulty_max,
        discrimination_min=discrimination_min,
        max_anchors=max_candidates,
    )
    console = Console(emoji=False)
    is_reading = dry_run or action is Action.VERIFY
    with locked_transaction(
        migrated_engine(is_writing=not is_reading), "tag-anchors", is_dry_run=is_reading
    ) as connection:
        week = newest_week(connection)
        if week is None:
            console.print("no usable calibration: materialise mirt_item_params first")
            raise typer.Exit(1)
        if action is Action.VERIFY:
            has_met = _print_verified(console, verify_anchors(connection, week, criteria=criteria, item_ids=only))
        else:
            choice = choose(connection, week, criteria=criteria, item_ids=only)
            has_met = _print_choice(console, choice, fresh=tag_anchors(connection, choice), only=only, dry_run=dry_run)
    if not has_met:
        raise typer.Exit(1)
    following = command("tag-anchors tag" if is_reading else "materialize --only calibrate_irt")
    console.print(f"next: {following}", highlight=False)


def _ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"--item-ids {text!r}: use comma-separated ids of questions") from None


def _print_choice(
    console: Console, choice: AnchorChoice, *, fresh: pd.DataFrame, only: list[int] | None, dry_run: bool
) -> bool:
    verb = "would be tagged" if dry_run else "tagged"
    n_chosen = len(choice.chosen)
    if only is not None:
        _print_refused(console, choice.frame, only=only)
    elif choice.selection is not None and n_chosen:
        for reason in choice.selection.reasons:
            console.print(f"[yellow]not covered[/]: {plain(reason)}", highlight=False)
    if not n_chosen:
        console.print("no item meets the criteria; items by the first criterion that failed:")
        failed = choice.frame["reason"].dropna().astype(str).str.split(":").str[0].value_counts()
        for criterion, n_items in failed.items():
            console.print(f"  {plain(str(criterion))}: {n_items}", highlight=False)
        return False
    if fresh.empty:
        console.print(f"nothing to tag: all {n_chosen} chosen items are already anchors")
        return True
    table = Table("item", "topic", "a", "b", "answers", title=f"{verb}: {len(fresh)} of {n_chosen} chosen items")
    for row in fresh.itertuples():
        table.add_row(*_cells(row))
    console.print(table)
    return True


def _print_refused(console: Console, frame: pd.DataFrame, *, only: list[int]) -> None:
    from seedtest_analytics.assets.psychometrics.anchors.choice import NOT_CALIBRATED

    reasons = dict(zip(frame["item_id"].astype(int), frame["reason"], strict=True))
    for item in only:
        reason = reasons.get(item, NOT_CALIBRATED)
        if isinstance(reason, str):
            console.print(f"{item}: {plain(reason)}", highlight=False, soft_wrap=True)


def _print_verified(console: Console, found: pd.DataFrame) -> bool:
    if found.empty:
        console.print("no item is tagged as an anchor")
        return False
    meets = found["reason"].isna()
    title = f"anchors that meet the criteria: {int(meets.sum())} of {len(found)}"
    table = Table("item", "topic", "a", "b", "answers", "fails", title=title)
    for row in found.loc[meets.sort_values().index].itertuples():
        table.add_row(*_cells(row), "" if row.reason is None else plain(str(row.reason)))
    console.print(table)
    return bool(meets.any())


def _cells(row: Any) -> tuple[str, ...]:
    numbers = [f"{value:.2f}" if value == value else "–" for value in (row.a, row.b)]
    answers = f"{row.n_responses:,.0f}" if row.n_responses == row.n_responses else "–"
    return str(row.item_id), plain(row.topic_id or "–"), *numbers, answers
