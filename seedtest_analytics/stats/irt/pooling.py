"""Where the items of a topic lie: what a rare item borrows from the others of its topic.

With the ability m ± s that a student's other answers give,

    logit P = κ a (m − b),  κ = 1 / sqrt(1 + a² s² / 2.89),  b = μ_topic + σ z,  z ~ N(0, 1),  μ_topic ~ N(μ, τ²).

The difficulties b are integrated out. μ, μ_topic, σ and the common slope a maximise the marginal likelihood (empirical
Bayes; the explanatory models of De Boeck & Wilson 2004, such as the LLTM, with a random error of the items).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import number, numbers, positive
from seedtest_analytics.stats.irt.config import ItemPriors
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.model import logistic
from seedtest_analytics.stats.irt.priors import LogNormalByItem, NormalByItem, PriorsByItem

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

LOGISTIC_VARIANCE_RATIO = 2.89
"""(1.7)²: a logistic curve averaged over an ability of SD s is flatter by sqrt(1 + a² s² / 2.89) (Camilli 1994)."""
MAX_ANSWERS = 200_000
"""More answers are thinned to whole items. They determine a few means, one spread and one slope well."""
RARE_SLOPE_SD_LOG = 0.25
"""SD of the log slopes of rare items. A few answers say nothing about the slope."""
_Z = np.linspace(-4.5, 4.5, 31)
_LOG_WEIGHT = -0.5 * _Z**2 - np.log(np.exp(-0.5 * _Z**2).sum())
_START_TOPIC_SD = 0.5
_LAST_CODE = 1e8
_ROUNDS = 3
"""Rounds in which the spread between topics follows from the topics."""
_PRIOR_SD_MEAN = 2.0
_PRIOR_SD_LOG = 0.5
"""Weak priors of μ, and of log σ and log a around 0."""


@dataclass(frozen=True, eq=False)
class ItemPool:
    """Difficulties by topic code, in logits.

    ``topic_mean`` and ``topic_se`` (n_topics,). ``mean`` and ``topic_sd``: of the topics. ``spread``: SD of the items
    within a topic. ``slope`` is common to the rare items, with ``slope_se`` the standard error of its logarithm.
    """

    topic_mean: Floats
    topic_se: Floats
    mean: float
    topic_sd: float
    spread: float
    slope: float
    slope_se: float

    def priors_of(self, topic: Codes) -> tuple[Floats, Floats]:
        """Mean and SD of the difficulty of items whose topic codes (n,) are given, before any answer to them."""
        return self.topic_mean[topic], np.sqrt(self.spread**2 + self.topic_se[topic] ** 2)

    def on_scale(self, mean: float, sd: float) -> ItemPool:
        """The pool where the population has this mean and SD, if it was 0 and 1 so far."""
        return ItemPool(
            mean + sd * self.topic_mean,
            sd * self.topic_se,
            mean=mean + sd * self.mean,
            topic_sd=sd * self.topic_sd,
            spread=sd * self.spread,
            slope=self.slope / sd,
            slope_se=self.slope_se,
        )


def rough_pool(item: Codes, correct: Floats, *, topic: Codes, slope: float) -> ItemPool:
    """A start without abilities: the logit of each topic's share of right answers. ``topic`` (n_items,)."""
    n_topics = int(topic.max()) + 1
    of_answer = topic[item]
    n = np.bincount(of_answer, minlength=n_topics)
    overall = float(np.clip(correct.mean(), 0.02, 0.98))
    share = (np.bincount(of_answer, weights=correct, minlength=n_topics) + 10.0 * overall) / (n + 10.0)
    mean = -np.log(share / (1.0 - share)) / slope
    return ItemPool(
        mean,
        np.full(n_topics, 0.3),
        mean=float(mean.mean()),
        topic_sd=_START_TOPIC_SD,
        spread=1.0,
        slope=slope,
        slope_se=0.0,
    )


def pooled_priors(priors: ItemPriors, pool: ItemPool, *, topic: Codes, is_rare: NDArray[np.bool_]) -> PriorsByItem:
    """The priors with those of the rare items replaced by what their topic says. ``topic``, ``is_rare``: (n_items,).

    A rare item's slope lies around the common slope. The other items keep their priors. Raises IrtDataError without a
    prior on b, which the other items need.
    """
    if priors.b is None:
        raise IrtDataError("rare items can borrow from their topic only if b has a prior; give priors")
    mean, sd = np.full(len(topic), float(priors.b.mean)), np.full(len(topic), float(priors.b.sd))
    mean[is_rare], sd[is_rare] = pool.priors_of(topic[is_rare])
    b = NormalByItem(mean, sd=sd)
    if priors.a is None:
        return PriorsByItem(None, b, c=priors.c)
    a = LogNormalByItem(
        np.where(is_rare, np.log(pool.slope), priors.a.mean_log),
        sd_log=np.where(is_rare, RARE_SLOPE_SD_LOG, priors.a.sd_log),
    )
    return PriorsByItem(a, b, c=priors.c)


def fit_pool(
    item: ArrayLike,
    correct: ArrayLike,
    *,
    topic: ArrayLike,
    theta: ArrayLike,
    theta_se: ArrayLike,
    slope: float | None = None,
    asymptote: float = 0.0,
) -> ItemPool:
    """The pool of items from answers (n,) to them.

    Args:
        item: code of the item of each answer, every code from 0 at least once. topic: (n_items,) code of its topic.
        theta, theta_se: (n,) ability of the answer's student by the other answers, and its error.
        slope: fixed for Rasch items; None estimates it. asymptote: lower asymptote of all items.

    Raises:
        IrtDataError: for arrays of other lengths, missing values, codes that are not whole, errors below 0, a slope that
            is not above 0, or an asymptote outside 0 to 0.9.
    """
    if slope is not None:
        positive(slope, "slope", error=IrtDataError)
    number(asymptote, "asymptote", low=0.0, high=0.9, error=IrtDataError)
    answers = _PoolAnswers.of(item, correct, topic=topic, theta=theta, theta_se=theta_se)
    topic_sd = _START_TOPIC_SD
    task = _Task(answers.thinned(), slope=slope, asymptote=asymptote)
    x = task.start(topic_sd)
    for _ in range(_ROUNDS):
        x, pool = task.fitted(x, topic_sd)
        topic_sd = pool.topic_sd
    return pool


@dataclass(frozen=True, eq=False)
class _PoolAnswers:
    """Answers in the order of their items; ``first`` (n_items,) is the first answer of each item."""

    item: Codes
    correct: Floats
    topic: Codes
    theta: Floats
    variance: Floats
    first: Codes
    n_topics: int

    @classmethod
    def of(
        cls, item: ArrayLike, correct: ArrayLike, *, topic: ArrayLike, theta: ArrayLike, theta_se: ArrayLike
    ) -> _PoolAnswers:
        right = numbers(correct, "correct", low=0.0, high=1.0, error=IrtDataError).astype(np.float64)
        ability = numbers(theta, "theta", error=IrtDataError).astype(np.float64)
        error = numbers(theta_se, "theta_se", low=0.0, error=IrtDataError).astype(np.float64)
        whole = numbers(item, "item", low=0.0, high=_LAST_CODE, error=IrtDataError).astype(np.int64)
        of_item = numbers(topic, "topic", low=0.0, high=_LAST_CODE, error=IrtDataError).astype(np.int64)
        lengths = {len(right), len(ability), len(error), len(whole)}
        if len(lengths) > 1 or not len(right):
            raise IrtDataError(
                f"arrays of the lengths {sorted(lengths)}: give one entry for each of at least one answer"
            )
        present = np.unique(whole)
        if len(present) != len(of_item) or present[-1] != len(of_item) - 1:
            raise IrtDataError(
                f"{len(present)} items have answers and {len(of_item)} have a topic: number them from 0 without gaps"
            )
        order = np.argsort(whole, kind="stable")
        whole = whole[order]
        first = np.flatnonzero(np.diff(whole, prepend=-1))
        return cls(
            whole,
            right[order],
            topic=of_item,
            theta=ability[order],
            variance=error[order] ** 2,
            first=first,
            n_topics=int(of_item.max()) + 1,
        )

    def thinned(self) -> _PoolAnswers:
        """Whole items, evenly within topics, with about MAX_ANSWERS answers."""
        n = len(self.item)
        if n <= MAX_ANSWERS:
            return self
        rank = np.empty(len(self.topic), dtype=np.int64)
        rank[np.argsort(self.topic, kind="stable")] = np.arange(len(self.topic))
        keep = rank % int(np.ceil(n / MAX_ANSWERS)) == 0
        code = np.cumsum(keep) - 1
        rows = keep[self.item]
        item = code[self.item[rows]]
        return _PoolAnswers(
            item,
            self.correct[rows],
            topic=self.topic[keep],
            theta=self.theta[rows],
            variance=self.variance[rows],
            first=np.flatnonzero(np.diff(item, prepend=-1)),
            n_topics=self.n_topics,
        )


class _Task:
    """The marginal likelihood of the answers. A point is (μ, μ_topic − μ by topic, log σ, log a)."""

    def __init__(self, answers: _PoolAnswers, *, slope: float | None, asymptote: float) -> None:
        self.answers = answers
        self.fixed_slope = slope
        self.asymptote = asymptote

    def start(self, topic_sd: float) -> Floats:
        answers = self.answers
        slope = self.fixed_slope or 1.0
        rough = rough_pool(answers.item, answers.correct, topic=answers.topic, slope=slope)
        offset = np.clip(rough.topic_mean - rough.mean, -2 * topic_sd, 2 * topic_sd)
        centre = rough.mean + float(answers.theta.mean())
        return np.concatenate([[centre], offset, [0.0, np.log(slope)]])

    def fitted(self, x: Floats, topic_sd: float) -> tuple[Floats, ItemPool]:
        """The maximum for a given SD between topics, and the pool there with the SD that the topics ask for."""
        from scipy.optimize import minimize

        n = len(self.answers.item)
        bounds = [(-8.0, 8.0)] * (len(x) - 2) + [(-3.0, 1.5), (-1.5, 1.5)]
        if self.fixed_slope is not None:
            bounds[-1] = (x[-1], x[-1])

        def loss(point: Floats) -> tuple[float, Floats]:
            value, gradient, _ = self.evaluate(point, topic_sd)
            return -value / n, -gradient / n

        found = minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200, "ftol": 1e-9})
        _, _, (item_information, slope_information) = self.evaluate(found.x, topic_sd)
        answers, spread = self.answers, float(np.exp(found.x[-2]))
        about_topic = np.bincount(
            answers.topic, weights=1.0 / (spread**2 + 1.0 / item_information), minlength=answers.n_topics
        )
        variance = 1.0 / (about_topic + 1.0 / topic_sd**2)
        offset = found.x[1:-2]
        is_seen = np.bincount(answers.topic, minlength=answers.n_topics) > 0
        pool = ItemPool(
            found.x[0] + offset,
            np.sqrt(variance),
            mean=float(found.x[0]),
            topic_sd=max(float(np.sqrt((offset**2 + variance)[is_seen].mean())), 0.05),
            spread=spread,
            slope=float(np.exp(found.x[-1])),
            slope_se=0.0 if self.fixed_slope is not None else float(1.0 / np.sqrt(slope_information + 1e-9)),
        )
        return found.x, pool

    def evaluate(self, x: Floats, topic_sd: float) -> tuple[float, Floats, tuple[Floats, float]]:
        """Log posterior, its gradient, and the information of each item on b and of all answers on log a."""
        answers, c = self.answers, self.asymptote
        spread, slope = np.exp(x[-2]), np.exp(x[-1])
        flat = 1.0 / np.sqrt(1.0 + slope**2 * answers.variance / LOGISTIC_VARIANCE_RATIO)
        b = (x[0] + x[1:-2])[answers.topic][:, None] + spread * _Z
        distance = answers.theta[:, None] - b[answers.item]
        curve = logistic((slope * flat)[:, None] * distance)
        right = np.clip(c + (1.0 - c) * curve, 1e-12, 1.0 - 1e-12)
        is_right = answers.correct[:, None] > 0
        by_item = np.add.reduceat(np.log(np.where(is_right, right, 1.0 - right)), answers.first, axis=0) + _LOG_WEIGHT
        top = by_item.max(axis=1, keepdims=True)
        mass = np.exp(by_item - top)
        total = mass.sum(axis=1, keepdims=True)
        weight = (mass / total)[answers.item]
        by_curve = (1.0 - c) * curve * (1.0 - curve)
        residual = weight * (is_right - right) / (right * (1.0 - right)) * by_curve
        fisher = weight * by_curve**2 / (right * (1.0 - right))
        by_b = -np.add.reduceat((slope * flat)[:, None] * residual, answers.first, axis=0)
        by_topic = np.bincount(answers.topic, weights=by_b.sum(axis=1), minlength=answers.n_topics)
        by_log_slope = (slope * flat**3)[:, None] * distance
        offset = x[1:-2]
        value = float((top + np.log(total)).sum()) - 0.5 * float(
            (x[0] / _PRIOR_SD_MEAN) ** 2 + (offset**2).sum() / topic_sd**2 + (x[-2:] ** 2).sum() / _PRIOR_SD_LOG**2
        )
        gradient = np.concatenate(
            [
                [by_topic.sum() - x[0] / _PRIOR_SD_MEAN**2],
                by_topic - offset / topic_sd**2,
                [spread * (by_b @ _Z).sum() - x[-2] / _PRIOR_SD_LOG**2],
                [(residual * by_log_slope).sum() - x[-1] / _PRIOR_SD_LOG**2],
            ]
        )
        information = np.add.reduceat(((slope * flat)[:, None] ** 2 * fisher).sum(axis=1), answers.first)
        return value, gradient, (np.maximum(information, 1e-9), float((fisher * by_log_slope**2).sum()))
