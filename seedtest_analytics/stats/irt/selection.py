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

    ``overall`` is the mean over the answers of frequent students, with an error by student.
    """

    item_ids: NDArray[Any]
    gap: Floats
    se: Floats
    n_frequent: NDArray[np.int64]
    n_others: NDArray[np.int64]
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
    overall, overall_se = _overall(gap, item=item, row=row, residual=residual, is_frequent=is_frequent)
    return SelectionGaps(
        known.item_ids,
        gap,
        np.hypot(error, error_others),
        n_frequent=n_frequent,
        n_others=n_others,
        overall=overall,
        overall_se=overall_se,
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


def _overall(
    gap: Floats, *, item: NDArray[Any], row: NDArray[Any], residual: Floats, is_frequent: NDArray[np.bool_]
) -> tuple[float, float]:
    """Mean gap, weighted by the answers of frequent students, and its error over students."""
    is_known = np.isfinite(gap)
    weight = np.where(is_known, np.bincount(item[is_frequent], minlength=len(gap)), 0.0)
    if not weight.sum():
        return float("nan"), float("nan")
    weight /= weight.sum()
    count = [np.bincount(item[rows], minlength=len(gap)) for rows in (is_frequent, ~is_frequent)]
    share = [np.divide(weight, c, out=np.zeros(len(gap)), where=c > 0) for c in count]
    signed = np.where(is_frequent, share[0][item], -share[1][item])
    means = [
        np.divide(
            np.bincount(item[rows], weights=residual[rows], minlength=len(gap)), c, out=np.zeros(len(gap)), where=c > 0
        )
        for rows, c in zip((is_frequent, ~is_frequent), count, strict=True)
    ]
    centred = residual - np.where(is_frequent, means[0][item], means[1][item])
    by_student = np.bincount(row, weights=signed * centred)
    return float(weight[is_known] @ gap[is_known]), float(np.sqrt((by_student**2).sum()))
