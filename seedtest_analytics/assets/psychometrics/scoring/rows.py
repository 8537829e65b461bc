"""Turns answers (Arrow tables) into rows of the ability tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from seedtest_analytics.assets.psychometrics.scale.current import Scale
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.scoring import score


def item_parameters(items: pd.DataFrame) -> ItemParameters:
    """The engine's parameters from rows item_id, a, b, c (missing c: 0)."""
    return ItemParameters(
        items["item_id"].astype("int64").to_numpy(),
        items["a"].to_numpy(np.float64),
        b=items["b"].to_numpy(np.float64),
        c=np.nan_to_num(items["c"].to_numpy(np.float64), nan=0.0),
    )


def _codes(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels of a dictionary-encoded column; code −1 is NULL."""
    chunk = column.combine_chunks()
    codes = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, np.asarray(chunk.dictionary.to_pylist(), dtype=object)


def overall_responses(answers: pa.Table) -> tuple[np.ndarray, ResponseData]:
    """Ids of the students by code, and their answers with the code as the row's key."""
    codes, users = _codes(answers["user_id"])
    return users, ResponseData.from_long(codes, answers["item_id"].to_numpy(), correct=answers["correct"].to_numpy())


def overall_rows(users: np.ndarray, data: ResponseData, *, scale: Scale, week: Week) -> pd.DataFrame:
    """Rows of mirt_ability: EAP and posterior SD of each student, with the population of the calibration as the prior."""
    scores = score(data, item_parameters(scale.items), prior_mean=scale.group_mean, prior_sd=scale.group_sd)
    known = scores.n_answers > 0
    frame = pd.DataFrame(
        {
            "user_id": users[data.row_ids[known]],
            "theta": scores.theta[known],
            "se": scores.se[known],
            "model": scale.model,
            "version": week.iso_label,
            "fitted_at": week.as_of,
            "run_id": scale.run_id,
            "week_start": week.start,
            "n_answers": scores.n_answers[known],
            "method": "EAP",
        }
    )
    return frame


def newest_answers(answers: pa.Table, scale: Scale, *, rows: pd.DataFrame, by: list[str]) -> pd.Series:
    """(n_rows,) instant of the newest answer behind each row of abilities; ``by`` names its columns that are its key.

    Answers to items without parameters count in no ability.
    """
    known = answers.filter(np.isin(answers["item_id"].to_numpy(), item_parameters(scale.items).item_ids))
    newest = known.group_by(by).aggregate([("completed_at", "max")]).to_pandas()
    keys = {name: newest[name].astype(object) for name in by}
    return rows[by].merge(newest.assign(**keys), on=by, how="left")["completed_at_max"]


def window_rows(answers: pa.Table, scale: Scale, *, week: Week, window_days: int) -> pd.DataFrame:
    """Rows of ability_window: EAP of each student in the recent and in the previous window, scored at once."""
    codes, users = _codes(answers["user_id"])
    row = (codes, answers["is_recent"].to_numpy())
    data = ResponseData.from_long(row, answers["item_id"].to_numpy(), correct=answers["correct"].to_numpy())
    scores = score(data, item_parameters(scale.items), prior_mean=scale.group_mean, prior_sd=scale.group_sd)
    known = scores.n_answers > 0
    user_code, is_recent = (key[known] for key in data.row_keys)
    middle, start = week.days_before(window_days), week.days_before(2 * window_days)
    return pd.DataFrame(
        {
            "user_id": users[user_code],
            "week_start": week.start,
            "window_name": np.where(is_recent == 1, "recent", "previous"),
            "window_start_at": [middle if recent else start for recent in is_recent],
            "window_end_at": [week.as_of if recent else middle for recent in is_recent],
            "theta": scores.theta[known],
            "se": scores.se[known],
            "n_answers": scores.n_answers[known],
            "run_id": scale.run_id,
        }
    )


def topic_rows(
    answers: pa.Table, overall: pd.DataFrame, *, scale: Scale, week: Week, topic_spread: float
) -> pd.DataFrame:
    """Rows of student_topic_theta_history: EAP in each topic, with a prior from the student's other topics.

    ``topic_spread`` is the variance of a student's deviations between topics (logit²). The topic's own answers are taken
    out of the overall posterior, so that they do not count twice.
    """
    users, topics, data = _by_topic(answers)
    items = item_parameters(scale.items)
    position = pd.Series(np.arange(len(overall)), index=overall["user_id"].to_numpy())
    user_code, topic_code = data.row_keys
    at = position.reindex(users[user_code]).to_numpy(np.float64)
    has_prior = np.isfinite(at)
    index = np.where(has_prior, at, 0).astype(np.int64)
    theta, se = (
        overall[name].to_numpy(np.float64)[index] if len(overall) else np.zeros(len(at)) for name in ("theta", "se")
    )
    alone = score(data, items, prior_mean=scale.group_mean, prior_sd=scale.group_sd)
    mean, sd = _prior_of_other_topics(
        np.where(has_prior, theta, scale.group_mean),
        np.where(has_prior, se, scale.group_sd),
        alone=(alone.theta, alone.se),
        population=(scale.group_mean, scale.group_sd),
        spread=topic_spread,
        n_topics=np.bincount(user_code, minlength=len(users))[user_code],
    )
    scores = score(data, items, prior_mean=mean, prior_sd=sd)
    known = (scores.n_answers > 0) & has_prior
    return pd.DataFrame(
        {
            "user_id": users[user_code[known]],
            "topic_id": topics[topic_code[known]],
            "week_start": week.start,
            "theta": scores.theta[known],
            "se": scores.se[known],
            "model": scale.model,
            "version": week.iso_label,
            "fitted_at": week.as_of,
            "n_answers": scores.n_answers[known],
            "run_id": scale.run_id,
            "method": "EAP",
        }
    )


def _prior_of_other_topics(
    theta: np.ndarray,
    se: np.ndarray,
    *,
    alone: tuple[np.ndarray, np.ndarray],
    population: tuple[float, float],
    spread: float,
    n_topics: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD of the prior of each (student, topic): the overall posterior without the topic's own information.

    Posteriors are taken as normal. ``alone`` is the posterior of the topic's answers under the population, whose
    information is taken out again. The other topics know the level up to the mean of their own deviations.
    """
    population_precision = 1.0 / population[1] ** 2
    own_precision = np.maximum(1.0 / alone[1] ** 2 - population_precision, 0.0)
    own_shift = alone[0] / alone[1] ** 2 - population[0] * population_precision
    precision = np.maximum(1.0 / se**2 - own_precision, population_precision)
    mean = (theta / se**2 - own_shift) / precision
    others = np.maximum(n_topics - 1, 1)
    return mean, np.sqrt(1.0 / precision + spread * (1.0 + 1.0 / others))


def _by_topic(answers: pa.Table) -> tuple[np.ndarray, np.ndarray, ResponseData]:
    user_code, users = _codes(answers["user_id"])
    topic_code, topics = _codes(answers["topic_id"])
    has_topic = topic_code >= 0
    data = ResponseData.from_long(
        (user_code[has_topic], topic_code[has_topic]),
        answers["item_id"].to_numpy()[has_topic],
        correct=answers["correct"].to_numpy()[has_topic],
    )
    return users, topics, data
