"""The filter with one matrix of covariances for each student: no topic is taken for independent of another one."""

from __future__ import annotations

import numpy as np

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
LEVEL, SLOPE, FORM, TOPICS = 0, 1, 2, 3


def matrix_filter(answers: Answers, items: KnownItems, h: Hyperparameters) -> tuple[Floats, Floats]:
    """(n,) mean and variance of the logit of each answer, known before it. Items are exact; nobody repeats or practises."""
    logit, variance = np.empty(len(answers)), np.empty(len(answers))
    for student in np.unique(answers.student):
        rows = np.flatnonzero(answers.student == student)
        logit[rows], variance[rows] = _of_student(answers.take(rows), items, h)
    return logit, variance


def _of_student(answers: Answers, items: KnownItems, h: Hyperparameters) -> tuple[Floats, Floats]:
    n_topics = int(answers.topic.max()) + 1
    mean = np.r_[h.level_mean, h.slope_mean, np.zeros(1 + n_topics)]
    spread = np.r_[h.level_variance, h.slope_variance, h.form_variance, np.full(n_topics, h.topic_spread)]
    covariance, logit, variance = np.diag(spread), np.empty(len(answers)), np.empty(len(answers))
    for n in range(len(answers)):
        days = answers.day[n] - answers.day[n - 1] if n else 0.0
        step = np.eye(len(mean))
        step[LEVEL, SLOPE], step[FORM, FORM] = min(days, h.growth_days), np.exp(-days / h.form_days)
        noise = np.r_[h.level_walk * days, h.slope_walk * days, h.form_variance * (1 - step[FORM, FORM] ** 2)]
        mean = step @ mean
        covariance = step @ covariance @ step.T + np.diag(np.r_[noise, np.full(n_topics, h.topic_walk * days)])
        item, a = answers.item[n], items.a[answers.item[n]]
        seen = np.zeros(len(mean))
        seen[[LEVEL, FORM, TOPICS + answers.topic[n]]] = a
        across = covariance @ seen
        logit[n], variance[n] = seen @ mean - a * items.b[item], seen @ across
        eta = logit[n] + np.sqrt(variance[n]) * NODES
        mass = WEIGHTS / (1 + np.exp(-eta if answers.correct[n] else eta))
        mass /= mass.sum()
        moved = mass @ eta
        narrowed = mass @ (eta - moved) ** 2
        mean = mean + across * (moved - logit[n]) / variance[n]
        covariance = covariance - np.outer(across, across) * (variance[n] - narrowed) / variance[n] ** 2
    return logit, variance
