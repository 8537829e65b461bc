"""Anchors of the item bank: choose candidates, tag the chosen items, and verify the tagged ones.

The asset `anchor_candidates` and the command `seedtest tag-anchors` share this choice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.week_run import empty_rows
from seedtest_analytics.assets.psychometrics.scale.current import scale_for
from seedtest_analytics.assets.psychometrics.scale.tagged_anchors import tagged_anchors
from seedtest_analytics.assets.psychometrics.statements import ANCHORS
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, Week
from seedtest_analytics.stats.irt.anchors import (
    AnchorCandidates,
    AnchorCriteria,
    AnchorSelection,
    ParameterHistory,
    select_anchor_items,
)
from seedtest_analytics.tables.drift import anchor_candidates

NOT_CALIBRATED = "not in the calibration: no answers, or too few"
NEVER_USED = "it is never used as an anchor"
NO_PARAMETERS = f"no parameters in question.meta.irt: {NEVER_USED}"


@dataclass(frozen=True, eq=False)
class AnchorChoice:
    """Rows of `anchor_candidates`, one for each calibrated item, and the choice; None without a calibration."""

    frame: pd.DataFrame
    selection: AnchorSelection | None
    week: Week

    @property
    def run_id(self) -> str:
        """The calibration that judges the items; empty without one."""
        return "" if self.frame.empty else str(self.frame["run_id"].iloc[0])

    @property
    def chosen(self) -> pd.DataFrame:
        """The chosen rows, the best first."""
        return self.frame.loc[self.frame["rank"].notna()].sort_values("rank")


def choose(
    connection: Connection, week: Week, *, criteria: AnchorCriteria, item_ids: Collection[int] | None = None
) -> AnchorChoice:
    """Judge the items by the calibration that scores the week; ``item_ids`` limits them."""
    scale = scale_for(connection, week)
    if scale is None:
        return AnchorChoice(empty_rows(anchor_candidates), None, week=week)
    parameters = {"run_id": scale.run_id, "as_of": week.as_of, "week_start": week.start}
    result = connection.execute(statement(ANCHORS, "candidates"), parameters)
    items = pd.DataFrame(result.all(), columns=list(result.keys()))
    if item_ids is not None:
        items = items.loc[items["item_id"].isin(list(item_ids))].reset_index(drop=True)
    past = connection.execute(statement(ANCHORS, "history"), {"week_start": week.start}).all()
    past_ids = np.array([row.item_id for row in past], dtype=np.int64)
    ids = items["item_id"].to_numpy(np.int64)
    selection = select_anchor_items(
        AnchorCandidates(
            ids,
            items["a"].to_numpy(np.float64),
            b=items["b"].to_numpy(np.float64),
            n_responses=items["n_responses"].to_numpy(np.int64),
            topics=items["topic_id"].fillna("").to_numpy(object),
            flag=items["flag"].astype(object).where(items["flag"].notna(), None).to_numpy(object),
            is_proven=items["is_held"].to_numpy(bool),
        ),
        ParameterHistory(past_ids, np.array([row.b for row in past], dtype=np.float64)),
        criteria=criteria,
    )
    counts = pd.Series(past_ids).value_counts()
    items["n_calibrations"] = counts.reindex(ids).fillna(0).astype(int).to_numpy()
    return AnchorChoice(
        _rows(items, selection, criteria=criteria, week=week, run_id=scale.run_id), selection, week=week
    )


def _rows(
    items: pd.DataFrame, selection: AnchorSelection, *, criteria: AnchorCriteria, week: Week, run_id: str
) -> pd.DataFrame:
    rank = pd.Series(np.arange(1, len(selection.item_ids) + 1), index=selection.item_ids, dtype="Int64")
    frame = items.copy()
    frame["sd_b"] = selection.sd_b
    frame["has_responses"] = frame["n_responses"] >= criteria.min_responses
    frame["has_difficulty"] = frame["b"].between(criteria.difficulty_lower, criteria.difficulty_upper)
    frame["has_discrimination"] = frame["a"] >= criteria.discrimination_min
    proven = frame["is_held"] | (frame["n_calibrations"] >= criteria.min_history)
    frame["is_stable"] = proven & ~(frame["sd_b"] > criteria.max_sd_b)
    frame["is_flagged"] = frame["flag"].notna()
    frame["rank"] = rank.reindex(frame["item_id"]).to_numpy()
    frame["reason"] = frame["item_id"].map(selection.rejected)
    frame["item_id"] = frame["item_id"].astype(str)
    frame["week_start"], frame["run_id"] = week.start, run_id
    return frame[[c.name for c in anchor_candidates.columns]]


def newest_week(connection: Connection) -> Week | None:
    """The week of the newest usable calibration as of its instant; None without one."""
    row = connection.execute(statement(ANCHORS, "newest_calibration")).one_or_none()
    return None if row is None else Week(row.week_start, row.fitted_at, timezone=PLATFORM.timezone)


def tag_anchors(connection: Connection, choice: AnchorChoice) -> pd.DataFrame:
    """Tag the chosen items that are not tagged yet, and return their rows."""
    fresh = choice.chosen.loc[~choice.chosen["is_tagged"].astype(bool)]
    if len(fresh):
        parameters = {"run_id": choice.run_id, "item_ids": fresh["item_id"].tolist()}
        connection.execute(statement(ANCHORS, "tag"), parameters)
    return fresh


def verify_anchors(
    connection: Connection, week: Week, *, criteria: AnchorCriteria, item_ids: Collection[int] | None = None
) -> pd.DataFrame:
    """Every tagged item, with the first criterion that it fails in ``reason``; None if it fails none.

    Columns item_id, topic_id, a, b (on the platform scale), n_responses, reason. The limit on the number of anchors does
    not count.
    """
    result = connection.execute(statement(ANCHORS, "tagged"))
    tagged = pd.DataFrame(result.all(), columns=list(result.keys()))
    if item_ids is not None:
        tagged = tagged.loc[tagged["item_id"].isin(list(item_ids))]
    ids = tagged["item_id"].tolist()
    judged = choose(connection, week, criteria=replace(criteria, max_anchors=max(len(ids), 1)), item_ids=ids).frame
    judged = judged.assign(item_id=judged["item_id"].astype("int64"))
    found = tagged.merge(judged[["item_id", "a", "b", "n_responses", "reason"]], on="item_id", how="left")
    reason: list[Any] = found["reason"].astype(object).where(found["reason"].notna(), None).tolist()
    is_missing = ~found["item_id"].isin(judged["item_id"])
    faults = {anchor.item_id: f"{anchor.reason}: {NEVER_USED}" for anchor in tagged_anchors(connection).unusable}
    found["reason"] = [
        NO_PARAMETERS if not has else faults.get(item) or (NOT_CALIBRATED if missing else why)
        for item, has, missing, why in zip(found["item_id"], found["has_parameters"], is_missing, reason, strict=True)
    ]
    return found.drop(columns="has_parameters").reset_index(drop=True)
