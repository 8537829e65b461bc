"""The answers of a calibration, in the engine's layout."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.answer_filter import filter_of
from seedtest_analytics.assets.psychometrics.statements import RESPONSES
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.occasions import MOST_EXPLAINED, explained_by_items, occasions


@dataclass(frozen=True)
class Answers:
    """Answers with the fingerprint that names them (hexadecimal, 128 bits).

    ``data``: rows by student, number of the answer to the item, and occasion. ``users``: student ids (Arrow text); the first
    row key of ``data`` is the position in it. ``filter``: the topic or subject that the answers are limited to; None for
    all. ``occasion_days``: the length of an occasion; None where a student has one ability for all answers. ``topics``: ids
    by the topic codes of ``data``; items without a topic have the code after the last one. Empty where no item borrows from
    its topic.
    """

    data: ResponseData
    fingerprint: str
    users: pa.Array
    filter: dict[str, Any] | None
    occasion_days: int | None = None
    topics: tuple[str, ...] = ()

    @property
    def by_student(self) -> ResponseData:
        """The same answers with one ability for each student: for comparisons that need a student's whole record."""
        return self.data.joined(2)


def load_answers(connection: Connection, week: Week, *, settings: CalibrationSettings) -> Answers | None:
    """The answers of the look-back, or of the whole history; None if there are none."""
    return load_between(connection, look_back_from(week, settings), as_of=week.as_of, settings=settings)


def look_back_from(week: Week, settings: CalibrationSettings) -> dt.datetime | None:
    """The first instant of the answers that a calibration of the week uses; None for the whole history."""
    return None if settings.lookback_days is None else week.days_before(settings.lookback_days)


def load_between(
    connection: Connection, from_at: dt.datetime | None, *, as_of: dt.datetime, settings: CalibrationSettings
) -> Answers | None:
    """The answers with from_at <= completed_at < as_of that the settings select; None if there are none.

    ``from_at``: None for the whole history.
    """
    connection.execute(
        statement(RESPONSES, "calibration"),
        {
            "from_at": from_at,
            "as_of": as_of,
            "first_only": settings.attempts == "first",
            "topic_id": settings.topic_id,
            "subject_id": settings.subject_id,
            "max_observations": settings.max_observations or None,
        },
    )
    rows = copy_to_arrow(connection, statement(RESPONSES, "calibration_rows"), dictionaries=("user_id",))
    topics = _item_topics(connection) if settings.pool_below else None
    connection.execute(statement(RESPONSES, "drop_calibration"))
    if rows.num_rows == 0:
        return None
    users = rows["user_id"].combine_chunks()
    code = users.indices.to_numpy()
    item, correct, answer_no, day = (rows[name].to_numpy() for name in ("item_id", "correct", "answer_no", "day"))
    days = _occasion_days(item, day, settings=settings)
    occasion = occasions(code, day, days=days) if days else np.zeros(len(code), dtype=np.int64)
    # If all attempts count, each later answer of a student to an item gets its own row: the model has no memory, and
    # one ability cannot have two answers to one item.
    data = ResponseData.from_long((code, answer_no, occasion), item, correct=correct)
    names = users.dictionary
    if topics is None:
        fingerprint = _fingerprint(names.to_pylist(), code, item, correct, occasion)
        return Answers(data, fingerprint, users=names, filter=filter_of(settings), occasion_days=days)
    fingerprint = _fingerprint([*names.to_pylist(), *topics.names], code, item, correct, occasion, topics.code)
    data = data.with_topics(topics.item_ids, topics.code)
    return Answers(data, fingerprint, users=names, filter=filter_of(settings), occasion_days=days, topics=topics.names)


def _occasion_days(item: np.ndarray, day: np.ndarray, *, settings: CalibrationSettings) -> int | None:
    """The length of an occasion; None for one ability for all answers of a student."""
    days = settings.occasion_days
    if not days or np.ptp(day) < 2 * days or explained_by_items(item, day) > MOST_EXPLAINED:
        return None
    return days


@dataclass(frozen=True, eq=False)
class _ItemTopics:
    """(n_items,) item ids and codes of their topics; ``names`` are the topics by code, and the code after them is none."""

    item_ids: np.ndarray
    code: np.ndarray
    names: tuple[str, ...]


def _item_topics(connection: Connection) -> _ItemTopics:
    rows = copy_to_arrow(connection, statement(RESPONSES, "calibration_topics"), dictionaries=("topic_id",))
    topics = rows["topic_id"].combine_chunks()
    names = topics.dictionary.to_pylist()
    code = topics.indices.fill_null(len(names)).to_numpy().astype(np.int64)
    return _ItemTopics(rows["item_id"].to_numpy(), code, names=tuple(names))


def _fingerprint(users: list[str], *columns: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        digest.update(np.ascontiguousarray(column).data)
    digest.update("\0".join(users).encode())
    return digest.hexdigest()
