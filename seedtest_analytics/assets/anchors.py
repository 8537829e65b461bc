"""Stage `psychometrics`: which items could be anchors, measured against criteria that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.preview import markdown_table
from seedtest_analytics.assets.scoring import scale_for
from seedtest_analytics.assets.time import is_dry_run, weeks
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.publish import publish, staged_from_frame
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.tables.drift import anchor_candidates

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.stats.irt.anchors import AnchorCriteria, AnchorSelection

SQL = "psychometrics/anchors.sql"


@table_assets(
    TableSpec(
        anchor_candidates,
        grain="item_week",
        description="Items against the criteria of anchors: answers, difficulty, discrimination, stability over "
        "calibrations, no flag; and the choice that covers topics and difficulties. `seedtest tag-anchors` tags it.",
        checks=(
            CheckDeclaration(
                "anchors_cover", "The chosen items are enough, and cover every topic and range of difficulty."
            ),
        ),
    ),
    group="psychometrics",
    domain="psychometrics",
    kinds=("postgres", "python"),
    deps=["attempt", "question", "mirt_item_params", "mirt_fit_meta"],
    sql=[SQL, "psychometrics/scale.sql"],
    partitions_def=WEEKLY,
)
def irt_anchor_candidates(
    context: dg.AssetExecutionContext, config: RunOptions, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Judge the items as of each week of the run by the calibration that the week is scored with."""
    for week in weeks(context, config):
        yield judge_candidates(postgres, week, is_dry_run(config))


def judge_candidates(postgres: PostgresResource, week: Week, dry: bool) -> Outcome:
    """Measure every calibrated item and publish the week's rows."""
    with postgres.transaction(f"irt_anchor_candidates:{week.key}", is_dry_run=dry) as connection:
        frame, selection = candidates_of(connection, week)
        staged_from_frame(connection, "staged_candidates", anchor_candidates, frame)
        published = publish(
            connection,
            anchor_candidates,
            "staged_candidates",
            partition="t.week_start = :week_start",
            parameters={"week_start": week.start},
        )
    if selection is None:
        none = CheckOutcome("anchors_cover", True, "no usable calibration at or before the week")
        return Outcome(published, {}, [none], week.key, dry)
    text = f"{len(selection.item_ids)} of {len(frame)} items chosen; " + (
        "; ".join(selection.reasons) or "topics and difficulties are covered"
    )
    check = CheckOutcome("anchors_cover", selection.is_adequate, text)
    return Outcome(published, _metadata(frame, selection), [check], week.key, dry)


def candidates_of(connection: Connection, week: Week) -> tuple[pd.DataFrame, AnchorSelection | None]:
    """Rows of anchor_candidates and the choice; none without a usable calibration."""
    import pandas as pd

    from seedtest_analytics.stats.irt.anchors import (
        AnchorCandidates,
        AnchorCriteria,
        ParameterHistory,
        select_anchor_items,
    )

    scale = scale_for(connection, week)
    if scale is None:
        return pd.DataFrame(columns=[c.name for c in anchor_candidates.columns]), None
    result = connection.execute(statement(SQL, "candidates"), {"run_id": scale.run_id, "as_of": week.as_of})
    items = pd.DataFrame(result.all(), columns=list(result.keys()))
    past = connection.execute(statement(SQL, "history"), {"week_start": week.start}).all()
    past_ids = np.array([row.item_id for row in past], dtype=np.int64)
    past_b = np.array([row.b for row in past], dtype=np.float64)
    ids = items["item_id"].to_numpy(np.int64)
    criteria = AnchorCriteria()
    selection = select_anchor_items(
        AnchorCandidates(
            ids,
            items["a"].to_numpy(np.float64),
            items["b"].to_numpy(np.float64),
            items["n_responses"].to_numpy(np.int64),
            items["topic_id"].fillna("").to_numpy(object),
            items["is_flagged"].to_numpy(bool),
        ),
        ParameterHistory(past_ids, past_b),
        criteria,
    )
    counts = pd.Series(past_ids).value_counts()
    items["n_calibrations"] = counts.reindex(ids).fillna(0).astype(int).to_numpy()
    return _rows(items, selection, criteria, week, scale.run_id), selection


def _rows(
    items: pd.DataFrame, selection: AnchorSelection, criteria: AnchorCriteria, week: Week, run_id: str
) -> pd.DataFrame:
    import pandas as pd

    rank = pd.Series(np.arange(1, len(selection.item_ids) + 1), index=selection.item_ids, dtype="Int64")
    frame = items.copy()
    frame["sd_b"] = selection.sd_b
    frame["has_responses"] = frame["n_responses"] >= criteria.min_responses
    frame["has_difficulty"] = frame["b"].between(criteria.difficulty_lower, criteria.difficulty_upper)
    frame["has_discrimination"] = frame["a"] >= criteria.discrimination_min
    proven = frame["n_calibrations"] >= criteria.min_history
    frame["is_stable"] = proven & (frame["sd_b"] <= criteria.max_sd_b)
    frame["rank"] = rank.reindex(frame["item_id"]).to_numpy()
    frame["reason"] = frame["item_id"].map(selection.rejected)
    frame["item_id"] = frame["item_id"].astype(str)
    frame["week_start"], frame["run_id"] = week.start, run_id
    return frame[[c.name for c in anchor_candidates.columns]]


def _metadata(frame: pd.DataFrame, selection: AnchorSelection) -> dict[str, Any]:
    rejected = frame["reason"].value_counts()
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


def tag_anchors(connection: Connection) -> list[dict[str, Any]]:
    """Tag the newest week's choice; rows item_id, week_start, topic_id, a, b of what was tagged."""
    rows = [dict(row) for row in connection.execute(statement(SQL, "chosen")).mappings()]
    if rows:
        connection.execute(
            statement(SQL, "tag"),
            {"week_start": rows[0]["week_start"], "item_ids": [row["item_id"] for row in rows]},
        )
    return rows
