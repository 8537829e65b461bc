"""Published logs, their splits, and the peers that predict the next answer: item mean, Elo, PFA, Best-LR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers

Floats = NDArray[np.float64]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {"ASSISTments": "attempts_assist17_small.parquet", "EdNet": "attempts_ednet_main.parquet"}
EDNET_MOST = 2000
"""EdNet's ten busiest users have half of the answers; each user's first answers up to this number count."""
TRAINING_SHARE = 0.7


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
    """The published split by student. Only the order is known: one position is one minute, test students come last."""
    parts = [pd.read_parquet(folder / f"statics_{part}.parquet") for part in ("train", "test")]
    n_train = len(parts[0])
    longest = max(int(part["position"].max()) for part in parts) + 1
    for later, part in enumerate(parts):
        part["day"] = (part["position"] + later * longest) / 1440.0
    answers = _answers(pd.concat(parts, ignore_index=True), topic="skill_id")
    return Log("Statics", answers, answers.position >= n_train)


def _answers(frame: pd.DataFrame, *, topic: str) -> Answers:
    codes = [pd.factorize(frame[name])[0] for name in ("user_id", "item_id", topic)]
    return Answers.of(
        codes[0], codes[1], topic=codes[2], day=frame["day"].to_numpy(), correct=frame["correct"].to_numpy().astype(int)
    )


def item_mean(log: Log) -> Floats:
    """Share of right answers of the item in the training rows, with two answers' worth of the share of all."""
    train, a = ~log.is_test, log.answers
    n_items = int(a.item.max()) + 1
    right = np.bincount(a.item[train], weights=a.correct[train], minlength=n_items)
    count = np.bincount(a.item[train], minlength=n_items)
    return np.asarray(((right + 2 * a.correct[train].mean()) / (count + 2))[a.item])


def elo(log: Log) -> Floats:
    """Elo of student and item with steps 1.8 / (1 + 0.05 n) (Pelánek 2016), both updated after every answer."""
    a = log.answers
    student, item = np.zeros(int(a.student.max()) + 1), np.zeros(int(a.item.max()) + 1)
    n_student, n_item = np.zeros_like(student), np.zeros_like(item)
    p = np.empty(len(a))
    for n, (s, i, y) in enumerate(zip(a.student, a.item, a.correct, strict=True)):
        p[n] = 1.0 / (1.0 + np.exp(item[i] - student[s]))
        student[s] += 1.8 / (1 + 0.05 * n_student[s]) * (y - p[n])
        item[i] -= 1.8 / (1 + 0.05 * n_item[i]) * (y - p[n])
        n_student[s] += 1
        n_item[i] += 1
    return p


def pfa(log: Log) -> Floats:
    """Topics with counts of right and wrong answers of the student in the topic (Pavlik et al. 2009)."""
    a = log.answers
    return _regression(log, codes=[a.topic], columns=_counts(log, [("student", "topic")], by_topic=True))


def best_lr(log: Log) -> Floats:
    """Items, topics and log counts of right and wrong answers overall, by topic and by item (Gervet et al. 2020)."""
    a = log.answers
    keys = [("student",), ("student", "topic"), ("student", "item")]
    return _regression(log, codes=[a.item, a.topic], columns=_counts(log, keys, by_topic=False))


def _counts(log: Log, keys: list[tuple[str, ...]], *, by_topic: bool) -> list[Any]:
    from scipy import sparse

    a = log.answers
    frame = pd.DataFrame(
        {"student": a.student, "topic": a.topic, "item": a.item, "right": a.correct, "wrong": 1 - a.correct}
    )
    columns: list[Any] = []
    for key in keys:
        for outcome in ("right", "wrong"):
            before = frame.groupby(list(key))[outcome].cumsum() - frame[outcome]
            values = np.log1p(before.to_numpy(float))
            if by_topic:
                columns.append(sparse.csr_matrix((values, (np.arange(len(a)), a.topic))))
            else:
                columns.append(sparse.csr_matrix(values[:, None]))
    return columns


def _regression(log: Log, *, codes: list[NDArray[np.int32]], columns: list[Any]) -> Floats:
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    n = len(log.answers)
    blocks = [sparse.csr_matrix((np.ones(n), (np.arange(n), code))) for code in codes]
    matrix = sparse.hstack([*blocks, *columns]).tocsr()
    train = ~log.is_test
    model = LogisticRegression(C=1.0, max_iter=300, solver="lbfgs").fit(matrix[train], log.answers.correct[train])
    return np.asarray(model.predict_proba(matrix)[:, 1])


PEERS = {"item mean": item_mean, "Elo": elo, "PFA": pfa, "Best-LR": best_lr}
