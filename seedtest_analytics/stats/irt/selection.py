"""Do students who practise a topic more than is usual answer its items better than their ability says?

A log does not say who chose a question, the student or a plan. What shows is how much of a student's practice a topic is.

r = y - P(y | ability),   gap = mean r of frequent students - mean r of the others

An item's difficulty is right on average over those who answer it. With a gap above 0 it looks easier than it is for the
others. The ability contains the topic's own answers, so the gap is too small rather than too large. Choice, a plan that
assigns strong topics, and learning by practice leave the same trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.scoring import answers_to, score

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SelectionGaps:
    """Residual accuracy of frequent students less that of the others; arrays are (n_items,), NaN without both kinds.

    ``overall`` is the mean over the answers of frequent students, with an error by student; ``topic_gap`` is the same over
    the items of the item's topic.
    """

    item_ids: NDArray[Any]
    gap: Floats
    se: Floats
    n_frequent: NDArray[np.int64]
    n_others: NDArray[np.int64]
    topic_gap: Floats
    topic_gap_se: Floats
    overall: float
    overall_se: float


def selection_gaps(
    data: ResponseData, items: ItemParameters, *, prior_mean: float = 0.0, prior_sd: float = 1.0
) -> SelectionGaps:
    """Compare the residuals of students for whom an item's topic is more of their practice than of everybody's.

    ``data`` has the topics of its items; ``items`` are on the scale of the prior. Raises IrtDataError without topics, or
    with one topic only.
    """
    known, parameters = answers_to(data, items)
    topic = known.topics()
    n_topics = int(topic.max()) + 1 if len(topic) else 0
    if known.item_topic is None or len(np.unique(topic)) < 2:
        raise IrtDataError("the items have fewer than two topics: give the topic of each item")
    row = np.repeat(np.arange(known.n_rows), known.n_answers_by_row)
    item, correct = known.answer_code >> 1, known.answer_code & 1
    ability = score(known, parameters, prior_mean=prior_mean, prior_sd=prior_sd)
    residual = correct - _expected(parameters, item, theta=ability.theta[row], se=ability.se[row])
    pair = row * n_topics + topic[item]
    own = np.bincount(pair, minlength=known.n_rows * n_topics)[pair] / known.n_answers_by_row[row]
    usual = (np.bincount(topic[item], minlength=n_topics) / len(item))[topic[item]]
    is_frequent = own > usual
    (n_frequent, frequent, error), (n_others, others, error_others) = (
        _means(item[rows], residual[rows], n=known.n_items) for rows in (is_frequent, ~is_frequent)
    )
    gap = frequent - others

    def together(group: NDArray[np.int64]) -> tuple[Floats, Floats]:
        return _together(gap, group, item=item, row=row, residual=residual, is_frequent=is_frequent)

    (by_topic, by_topic_se), (overall, overall_se) = together(topic), together(np.zeros_like(topic))
    return SelectionGaps(
        known.item_ids,
        gap,
        np.hypot(error, error_others),
        n_frequent=n_frequent,
        n_others=n_others,
        topic_gap=by_topic[topic],
        topic_gap_se=by_topic_se[topic],
        overall=float(overall[0]),
        overall_se=float(overall_se[0]),
    )


def _expected(items: ItemParameters, item: NDArray[Any], *, theta: Floats, se: Floats) -> Floats:
    """P(right), flattened by the error of the ability (MacKay 1992)."""
    a, b, c = items.a[item], items.b[item], items.c[item]
    c = np.nan_to_num(c)
    return np.asarray(c + (1 - c) / (1 + np.exp(-a * (theta - b) / np.sqrt(1 + np.pi * a**2 * se**2 / 8))))


def _means(item: NDArray[Any], residual: Floats, *, n: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """(n_items,) count, mean and its standard error; NaN below two answers."""
    count = np.bincount(item, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(item, weights=residual, minlength=n) / count
        square = np.bincount(item, weights=residual**2, minlength=n) / count
        error = np.sqrt((square - mean**2) / (count - 1))
    is_known = count >= 2
    return count, np.where(is_known, mean, np.nan), np.where(is_known, error, np.nan)


def _together(
    gap: Floats,
    group: NDArray[np.int64],
    *,
    item: NDArray[Any],
    row: NDArray[Any],
    residual: Floats,
    is_frequent: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """(n_groups,) mean gap of each group of items, weighted by the answers of frequent students, and its error over students.

    ``group`` is (n_items,); a group without a gap is NaN.
    """
    n_items, n_groups = len(gap), int(group.max()) + 1
    weight = np.where(np.isfinite(gap), np.bincount(item[is_frequent], minlength=n_items), 0.0)
    total = np.bincount(group, weights=weight)
    weight = np.divide(weight, total[group], out=np.zeros(n_items), where=total[group] > 0)
    side = np.where(is_frequent, 0, 1)
    cell = item * 2 + side
    count = np.maximum(np.bincount(cell, minlength=2 * n_items), 1)
    mean = np.bincount(cell, weights=residual, minlength=2 * n_items) / count
    signed = np.where(is_frequent, 1.0, -1.0) * weight[item] / count[cell] * (residual - mean[cell])
    by_student = np.bincount(row * n_groups + group[item], weights=signed)
    padded = np.pad(by_student, (0, -len(by_student) % n_groups)).reshape(-1, n_groups)
    value = np.bincount(group, weights=weight * np.nan_to_num(gap), minlength=n_groups)
    is_known = total > 0
    return np.where(is_known, value, np.nan), np.where(is_known, np.sqrt((padded**2).sum(axis=0)), np.nan)
