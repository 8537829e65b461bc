"""Anchor candidates of one week: judge every calibrated item by the criteria of anchors, and publish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.psychometrics.anchors.choice import choose
from seedtest_analytics.assets.psychometrics.checks import ANCHORS_COVER
from seedtest_analytics.stats.irt.anchors import AnchorCriteria, AnchorSelection
from seedtest_analytics.tables.drift import anchor_candidates


def judge_candidates(run: WeekRun) -> Sequence[Outcome]:
    """Measure every calibrated item and publish the rows of the week."""
    choice = choose(run.connection, run.week, criteria=AnchorCriteria())
    frame, selection = choice.frame, choice.selection
    published = publish_week(run, anchor_candidates, rows=frame)
    if selection is None:
        return [run.outcome(published, checks=[ANCHORS_COVER.passed("no usable calibration at or before the week")])]
    text = f"{len(selection.item_ids)} of {len(frame)} items chosen; " + (
        "; ".join(selection.reasons) or "topics and difficulties are covered"
    )
    check = ANCHORS_COVER.judged(text, is_passed=selection.is_adequate, metadata={"chosen": len(selection.item_ids)})
    return [run.outcome(published, _metadata(frame, selection), checks=[check])]


def _metadata(frame: pd.DataFrame, selection: AnchorSelection) -> dict[str, Any]:
    # The text after the colon differs from item to item.
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
