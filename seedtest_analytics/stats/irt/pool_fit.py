"""The pool of a calibration's rare items, from the abilities of a first fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import Quadrature
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import ItemParameters, ModelName, logistic
from seedtest_analytics.stats.irt.objective import Parameters
from seedtest_analytics.stats.irt.pooling import ItemPool, fit_pool
from seedtest_analytics.stats.irt.scoring import score

Floats = NDArray[np.float64]

ROUGH_SLOPE = 1.0
_SMALLEST_REST = 0.1
"""The other answers and the population keep at least this share of the information on an ability."""
_TYPICAL_ASYMPTOTE = 0.2
"""The mode of the prior Beta(5, 17) of the 3PL."""


def pool_of(
    data: ResponseData, at: Parameters, *, is_rare: NDArray[np.bool_], model: ModelName, is_standard: bool
) -> ItemPool:
    """The pool of the rare items of ``data`` (n_items,), with abilities under the parameters ``at``.

    Each answer meets the ability that the student's *other* answers give: its own part of the posterior is taken out.
    ``is_standard``: the population has mean 0 and SD 1. Abilities under a wrong slope have another spread, so they are
    brought to that one; otherwise the pool would confirm the slope that it began with.
    """
    items = ItemParameters.of(data.item_ids, at.a, b=-at.d / at.a, c=at.c)
    group = data.groups()
    # The grid of the first fit may be wider than the default; abilities at its ends get another grid.
    ability = score(data, items, prior_mean=at.mean[group], prior_sd=np.exp(at.log_sd)[group], quadrature=Quadrature())
    mean, sd = _moments(ability.theta, ability.se, weight=data.weights() * (data.n_answers_by_row > 0) * (group == 0))
    row = np.repeat(np.arange(data.n_rows), data.n_answers_by_row)
    item, correct = data.answer_code >> 1, data.answer_code & 1
    rows = is_rare[item]
    row, item, correct = row[rows], item[rows], correct[rows].astype(np.float64)
    theta, se = _without_own(ability.theta[row], ability.se[row], a=at.a[item], d=at.d[item], correct=correct)
    if is_standard:
        theta, se = (theta - mean) / sd, se / sd
    code = np.cumsum(is_rare) - 1
    return fit_pool(
        code[item],
        correct,
        topic=data.topics()[is_rare],
        theta=theta,
        theta_se=se,
        slope=1.0 if model == "Rasch" else None,
        asymptote=_TYPICAL_ASYMPTOTE if model == "3PL" else 0.0,
    )


def _moments(theta: Floats, se: Floats, *, weight: Floats) -> tuple[float, float]:
    """Mean and SD of the population behind the posteriors of the rows."""
    mean = float(np.average(theta, weights=weight))
    return mean, float(np.sqrt(np.average((theta - mean) ** 2 + se**2, weights=weight)))


def _without_own(theta: Floats, se: Floats, *, a: Floats, d: Floats, correct: Floats) -> tuple[Floats, Floats]:
    """Mean and SD of each answer's ability without that answer, by its Gaussian approximation."""
    expected = logistic(a * theta + d)
    precision = 1.0 / se**2
    rest = np.maximum(precision - a**2 * expected * (1.0 - expected), _SMALLEST_REST * precision)
    return theta - a * (correct - expected) / rest, 1.0 / np.sqrt(rest)
