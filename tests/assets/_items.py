"""Answers of simulated students to items of known parameters, as stored attempts."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import Engine, text

from seedtest_analytics.database.publish import copy_frame
from seedtest_analytics.partitions import Week

MONDAY = dt.date(2025, 3, 3)


@dataclass(frozen=True, eq=False)
class Bank:
    """Items 1..n with their true parameters, and a topic each."""

    a: np.ndarray
    b: np.ndarray

    @classmethod
    def drawn(cls, n_items: int, seed: int) -> Bank:
        rng = np.random.default_rng(seed)
        return cls(rng.lognormal(0.0, 0.25, n_items), np.linspace(-1.8, 1.8, n_items)[rng.permutation(n_items)])

    def moved(self, shift_b: dict[int, float]) -> Bank:
        b = self.b.copy()
        for item, shift in shift_b.items():
            b[item - 1] += shift
        return Bank(self.a, b)

    def store(self, engine: Engine, anchors: tuple[int, ...] = ()) -> None:
        """Questions with parameters and tag for the anchors only."""
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO question (id, content, topic_id, meta) SELECT i, 'text', 't' || (i % 3), "
                    "CASE WHEN is_anchor "
                    "THEN jsonb_build_object('tags', '[\"anchor\"]'::jsonb, 'irt', jsonb_build_object('a', a, 'b', b)) "
                    'ELSE \'{"author": "kim"}\'::jsonb END FROM unnest(CAST(:i AS bigint[]), CAST(:a AS float8[]), '
                    "CAST(:b AS float8[]), CAST(:anchor AS boolean[])) AS u(i, a, b, is_anchor)"
                ),
                {
                    "i": list(range(1, len(self.a) + 1)),
                    "a": self.a.tolist(),
                    "b": self.b.tolist(),
                    "anchor": [i in anchors for i in range(1, len(self.a) + 1)],
                },
            )


def week(number: int) -> Week:
    """The closed week ``number``, 0 for the first."""
    start = MONDAY + dt.timedelta(days=7 * number)
    end = dt.datetime.combine(start + dt.timedelta(days=7), dt.time(), dt.UTC)
    return Week(start, end, timezone="UTC")


def store_answers(
    engine: Engine, bank: Bank, at: Week, theta: np.ndarray, seed: int, prefix: str = "u", share: float = 1.0
) -> None:
    """Each student answers each item with probability ``share``, two days before the week's end."""
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-bank.a * (theta[:, None] - bank.b)))
    user, item = np.nonzero(rng.uniform(size=chance.shape) < share)
    n = len(user)
    instant = at.as_of - dt.timedelta(days=2)
    with engine.begin() as connection:
        first = connection.execute(text("SELECT COALESCE(max(id), 0) + 1 FROM attempt_log")).scalar_one()
        frame = pd.DataFrame(
            {
                "id": range(first, first + n),
                "student_id": [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{prefix}{u}")) for u in user],
                "item_id": item + 1,
                "correct": rng.uniform(size=n) < chance[user, item],
                "response_time_ms": 0,
                "hint_used": False,
                "completed_at": instant,
                "started_at": instant,
                "attempt_no": 1,
                "session_id": [f"{prefix}{u}/{at.key}" for u in user],
                "user_id": [f"{prefix}{u}" for u in user],
                "topic_id": [f"t{(i + 1) % 3}" for i in item],
                "exam_result_id": [str(uuid.UUID(int=first + k)) for k in range(n)],
                "question_ordinal": 1,
                "is_answered": True,
                "answer_no": 1,
                "occurrence_no": 1,
            }
        )
        copy_frame(connection, "attempt_log", frame=frame)
