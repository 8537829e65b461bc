"""Share of the answered items of a published log that have parameters, with the old window and with the history.

    python -m benchmarks.item_bank [--quick] [--data FILE.parquet]

The log has columns user_id, item_id, correct and completed_at. It is read as of the end of its fullest week (most
first answers) and of its last one. First answers are calibrated by the platform's engine with the platform's defaults; an item
counts if it has parameters to score with. "Kept" calibrates every week and lets each item keep its last parameters.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from seedtest_analytics.assets.psychometrics.engine import calibrate_natively
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "attempts_assist17_small.parquet"
WEEK = pd.Timedelta(days=7)
DEFAULTS = CalibrationSettings()
OLD = CalibrationSettings(lookback_days=30, min_responses=10)
WEAK = CalibrationSettings(priors="weak")


def first_answers(path: Path) -> pd.DataFrame:
    """The first answer of each student to each item, with the Monday (UTC) of its week."""
    frame = pd.read_parquet(path).sort_values(["user_id", "completed_at"], kind="stable")
    frame = frame.drop_duplicates(["user_id", "item_id"]).reset_index(drop=True)
    midnight = frame["completed_at"].dt.tz_convert("UTC").dt.normalize()
    frame["monday"] = midnight - pd.to_timedelta(midnight.dt.dayofweek, unit="D")
    return frame


def items_with_parameters(answers: pd.DataFrame, end: pd.Timestamp, settings: CalibrationSettings) -> set[int]:
    """Items that a calibration as of ``end`` gives parameters to score with; none if nothing can be calibrated."""
    past = answers[answers["completed_at"] < end]
    if settings.lookback_days is not None:
        past = past[past["completed_at"] >= end - pd.Timedelta(days=settings.lookback_days)]
    if past.empty:
        return set()
    codes, _ = pd.factorize(past["user_id"])
    data = ResponseData.from_long(codes, past["item_id"].to_numpy(), correct=past["correct"].to_numpy())
    if "topic_id" in past:
        topic = past.groupby("item_id")["topic_id"].min()
        data = data.with_topics(topic.index.to_numpy(), pd.factorize(topic, use_na_sentinel=False)[0])
    try:
        return set(calibrate_natively(data, None, settings=settings).parameters.item_ids.tolist())
    except IrtDataError:
        return set()


def kept_items(answers: pd.DataFrame, end: pd.Timestamp, settings: CalibrationSettings) -> set[int]:
    """Items with parameters as of ``end`` if every week is calibrated and items keep their last parameters."""
    weeks = pd.date_range(answers["monday"].min() + WEEK, end, freq=WEEK)
    return set[int]().union(*(items_with_parameters(answers, week, settings) for week in weeks))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", type=Path, default=DATA, help="a log (parquet); the ASSISTments log of the shared data"
    )
    parser.add_argument("--quick", action="store_true", help="without the weekly calibrations")
    options = parser.parse_args()
    if not options.data.exists():
        print(f"{options.data} is not there; name a log: --data FILE.parquet")
        return 0
    logging.disable(logging.WARNING)
    answers = first_answers(options.data)
    in_week = answers["monday"].value_counts()
    ends = {"fullest week": pd.Timestamp(str(in_week.idxmax())) + WEEK, "last week": in_week.index.max() + WEEK}
    cases = {
        "before: 30 days, items with 10 answers": (items_with_parameters, OLD),
        "before: 60 days": (items_with_parameters, OLD.overridden_by({"lookback_days": 60})),
        "history, items with 5 answers": (items_with_parameters, WEAK.overridden_by({"min_responses": 5})),
        "history, items with 10 answers": (items_with_parameters, WEAK.overridden_by({"min_responses": 10})),
        "history, items with 2 answers": (items_with_parameters, WEAK),
        "defaults: history, rare items by topic": (items_with_parameters, DEFAULTS),
    }
    if not options.quick:
        cases["30 days every week, parameters kept"] = (kept_items, DEFAULTS.overridden_by({"lookback_days": 30}))
    print(f"{options.data.name}: {len(answers):,} first answers, {answers['item_id'].nunique():,} items")
    for name, end in ends.items():
        past = answers[answers["completed_at"] < end]
        n_items = past["item_id"].nunique()
        print(f"\nas of the end of the {name} ({end.date()}): {n_items:,} items answered so far")
        for case, (calibrated, settings) in cases.items():
            found = calibrated(answers, end, settings)
            share = np.isin(past["item_id"], list(found)).mean()
            print(
                f"  {case:42s} {len(found):6,} items, {len(found) / n_items:6.1%} of the items, {share:6.1%} of the answers"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
