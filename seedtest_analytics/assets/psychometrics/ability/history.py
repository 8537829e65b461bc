"""All answers up to a week, coded as the model of ability over time reads them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.scale.current import Scale
from seedtest_analytics.assets.psychometrics.statements import ABILITY
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.settings.psychometrics import RESPONSES_TO_LINK
from seedtest_analytics.stats.ability.data import Answers, KnownItems


@dataclass(frozen=True, eq=False)
class History:
    """Answers with the names behind their codes.

    ``users`` and ``topics`` are the ids by code; the last topic code, without a name, holds the answers without a topic.
    ``items`` are the item ids by code.
    """

    answers: Answers
    users: NDArray[np.object_]
    topics: NDArray[np.object_]
    items: NDArray[np.int64]

    @cached_property
    def newest(self) -> NDArray[np.float64]:
        """(n_students,) day of each student's newest answer."""
        return newest_day(self.answers, self.answers.student, n=len(self.users))

    def known_items(self, scale: Scale | None) -> KnownItems | None:
        """What is known of each item, by code, before the history is read; None without a calibration that knows any.

        A parameter without a standard error, such as that of an anchor, counts as exact. The parameters of a rare item
        come from the answers that the history holds. So the model learns it in the pass, from where the calibration
        puts its topic, or, without a pool, from where the pass itself does.
        """
        if scale is None:
            return None
        rows = scale.items.assign(item_id=scale.items["item_id"].astype("int64")).set_index("item_id")
        found = rows.reindex(self.items)
        a, b = found["a"].to_numpy(np.float64), found["b"].to_numpy(np.float64)
        error = found["se_b"].astype(np.float64).fillna(0.0).to_numpy()
        is_open = np.isnan(b) | (found["n_responses"].lt(RESPONSES_TO_LINK) & found["method"].ne("anchor")).to_numpy()
        if scale.pool is not None:
            mean, sd = scale.pool.of([*self.topics, None])
            topic = self.answers.topic[np.unique(self.answers.item, return_index=True)[1]]
            return KnownItems.of(
                np.where(is_open, scale.pool.slope, a),
                np.where(is_open, mean[topic], b),
                se_b=np.where(is_open, sd[topic], error),
            )
        if bool(is_open.all()):
            return None
        typical = float(np.exp(np.log(a[~is_open]).mean()))
        return KnownItems.of(np.where(is_open, typical, a), np.where(is_open, np.nan, b), se_b=error)


def newest_day(answers: Answers, group: NDArray[np.integer[Any]], *, n: int) -> NDArray[np.float64]:
    """(n,) day of the newest answer of each group; ``group`` (n_answers,) has its code."""
    newest = np.full(n, -np.inf)
    np.maximum.at(newest, group, answers.day)
    return newest


def day_of(instant: dt.datetime) -> float:
    """An instant as the model's time: days since 1970."""
    return instant.timestamp() / 86400.0


def load_history(connection: Connection, as_of: dt.datetime) -> History | None:
    """Every answer before the instant, in the order of time; None if there is none."""
    connection.execute(statement(ABILITY, "answers"), {"as_of": as_of})
    rows = copy_to_arrow(connection, statement(ABILITY, "answer_rows"), dictionaries=("user_id", "topic_id"))
    connection.execute(statement(ABILITY, "drop_answers"))
    if rows.num_rows == 0:
        return None
    users, topics = rows["user_id"].combine_chunks(), rows["topic_id"].combine_chunks()
    items, item_code = np.unique(rows["item_id"].to_numpy(), return_inverse=True)
    topic_names = np.asarray(topics.dictionary.to_pylist(), dtype=object)
    answers = Answers.of(
        users.indices.to_numpy(),
        item_code,
        topic=topics.indices.fill_null(len(topic_names)).to_numpy(),
        day=rows["day"].to_numpy(),
        correct=rows["correct"].to_numpy(),
    )
    return History(answers, np.asarray(users.dictionary.to_pylist(), dtype=object), topics=topic_names, items=items)
