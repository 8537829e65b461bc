"""Stage `psychometrics`: which items could be anchors, measured against criteria that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.psychometrics.anchors.choice import SQL, choose
from seedtest_analytics.database.publish import publish, staged_from_frame
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables.drift import anchor_candidates

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.stats.irt.anchors import AnchorSelection


@table_assets(
    TableSpec(
        anchor_candidates,
        grain="item_week",
        description="Items against the criteria of anchors: answers, difficulty, discrimination, stability over "
        "calibrations, no flag (odd estimate, drift, DIF); and the choice that covers topics and difficulties. "
        "`seedtest tag-anchors` tags it.",
        checks=(
            CheckDeclaration(
                "anchors_cover", "The chosen items are enough, and cover every topic and range of difficulty."
            ),
        ),
    ),
    group="psychometrics",
    domain="psychometrics",
    kinds=("postgres", "python"),
    deps=["attempt", "question", "mirt_item_params", "mirt_fit_meta", "drift_alerts"],
    sql=[SQL, "psychometrics/scale.sql"],
    partitions_def=WEEKLY,
)
def irt_anchor_candidates(
    context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Judge the items as of each week of the run by the calibration that the week is scored with."""
    for week in weeks(context, config):
        yield judge_candidates(postgres, week, dry=is_dry_run(config))


def judge_candidates(postgres: PostgresResource, week: Week, *, dry: bool) -> Outcome:
    """Measure every calibrated item and publish the week's rows."""
    from seedtest_analytics.stats.irt.anchors import AnchorCriteria

    with postgres.transaction(f"irt_anchor_candidates:{week.key}", is_dry_run=dry) as connection:
        choice = choose(connection, week, criteria=AnchorCriteria())
        staged_from_frame(connection, "staged_candidates", table=anchor_candidates, frame=choice.frame)
        published = publish(
            connection,
            anchor_candidates,
            staged="staged_candidates",
            partition="t.week_start = :week_start",
            parameters={"week_start": week.start},
        )
    frame, selection = choice.frame, choice.selection
    if selection is None:
        none = CheckOutcome("anchors_cover", True, description="no usable calibration at or before the week")  # noqa: FBT003
        return Outcome(published, {}, checks=[none], partition=week.key, is_dry_run=dry)
    text = f"{len(selection.item_ids)} of {len(frame)} items chosen; " + (
        "; ".join(selection.reasons) or "topics and difficulties are covered"
    )
    check = CheckOutcome("anchors_cover", selection.is_adequate, description=text)
    return Outcome(published, _metadata(frame, selection), checks=[check], partition=week.key, is_dry_run=dry)


def _metadata(frame: pd.DataFrame, selection: AnchorSelection) -> dict[str, Any]:
    # What follows the colon is the item's own.
    rejected = frame["reason"].dropna().astype(str).str.split(":").str[0].value_counts()
    topics = [[str(topic or "none"), taken, n] for topic, (taken, n) in selection.per_topic.items()]
    ranges = [[f"{low:g} to {high:g}", taken, n] for (low, high), (taken, n) in selection.per_bin.items()]
    return {
        "items": len(frame),
        "chosen": len(selection.item_ids),
        "already_tagged": int(frame["is_tagged"].sum()),
        "coverage": markdown_table(["topic or difficulty", "chosen", "eligible"], [*topics[:30], *ranges]),
        "not_eligible": markdown_table(
            ["first criterion that failed", "items"], [[str(k), int(n)] for k, n in rejected.items()]
        ),
    }
