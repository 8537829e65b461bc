"""Published logs and their splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {"ASSISTments": "attempts_assist17_small.parquet", "EdNet": "attempts_ednet_main.parquet"}
EDNET_MOST = 2000
"""EdNet's ten busiest users have half of the answers; each user's first answers up to this number count."""
TRAINING_SHARE = 0.7
POSITION_DAYS = 5.0 / 1440.0
"""Time between two answers of Statics, whose log has none; chosen on 45 training students."""


@dataclass(frozen=True, eq=False)
class Log:
    """Answers in the order of time (training rows first where the split is by student) and which are for testing."""

    name: str
    answers: Answers
    is_test: NDArray[np.bool_]


def forward_in_time(name: str, folder: Path = SHARED) -> Log:
    """The first 70 % of the calendar's answers are for training."""
    frame = pd.read_parquet(folder / FILES[name])
    utc = frame["completed_at"].dt.tz_convert("UTC").dt.tz_localize(None)
    frame["day"] = utc.astype("datetime64[ms]").astype("int64") / 86_400e3
    frame = frame.sort_values(["user_id", "day"], kind="stable")
    if name == "EdNet":
        frame = frame[frame.groupby("user_id").cumcount() < EDNET_MOST]
    answers = _answers(frame.sort_values("day", kind="stable"), topic="topic_id")
    return Log(name, answers, answers.day >= np.quantile(answers.day, TRAINING_SHARE))


def statics(folder: Path = SHARED) -> Log:
    """The published split by student. Only the order is known: one position is five minutes, test students come last."""
    parts = [pd.read_parquet(folder / f"statics_{part}.parquet") for part in ("train", "test")]
    longest = max(int(part["position"].max()) for part in parts) + 1
    for later, part in enumerate(parts):
        part["day"] = (part["position"] + later * longest) * POSITION_DAYS
    answers = _answers(pd.concat(parts, ignore_index=True), topic="skill_id")
    return Log("Statics", answers, answers.day >= longest * POSITION_DAYS)


def _answers(frame: pd.DataFrame, *, topic: str) -> Answers:
    codes = [pd.factorize(frame[name])[0] for name in ("user_id", "item_id", topic)]
    return Answers.of(
        codes[0], codes[1], topic=codes[2], day=frame["day"].to_numpy(), correct=frame["correct"].to_numpy().astype(int)
    )
