"""Cohorts whose levels, topics and items are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Cohort:
    """``level`` (students, days + 1), ``deviation`` (students, topics), ``difficulty`` (items,); day 0 is the first."""

    answers: Answers
    level: Floats
    deviation: Floats
    difficulty: Floats
    item_topic: np.ndarray
    truth: Hyperparameters

    @property
    def known_items(self) -> KnownItems:
        n = len(self.difficulty)
        return KnownItems.of(np.ones(n), self.difficulty, se_b=np.zeros(n))


def simulate(
    truth: Hyperparameters,
    *,
    seed: int,
    n_students: int = 200,
    n_items: int = 300,
    n_topics: int = 6,
    weeks: int = 12,
    per_week: float = 8.0,
    active: float = 0.7,
) -> Cohort:
    """Students answer in a share ``active`` of the weeks; growth and walk go on by calendar time. Levels hold the day's form."""
    random = np.random.default_rng(seed)
    days = 7 * weeks
    item_topic = np.arange(n_items) % n_topics
    topic_mean = random.normal(truth.item_mean, truth.item_topic_spread**0.5, n_topics)
    difficulty = topic_mean[item_topic] + random.normal(0, truth.item_spread**0.5, n_items)
    slope = random.normal(truth.slope_mean, truth.slope_variance**0.5, n_students)
    steps = slope[:, None] + random.normal(0, truth.level_walk**0.5, (n_students, days))
    first = random.normal(truth.level_mean, truth.level_variance**0.5, (n_students, 1))
    level = np.cumsum(np.hstack([first, steps]), axis=1)
    if truth.form_variance:
        kept, form = np.exp(-1 / truth.form_days), random.standard_normal((n_students, days + 1))
        for day in range(1, days + 1):
            form[:, day] = kept * form[:, day - 1] + np.sqrt(1 - kept**2) * form[:, day]
        level += np.sqrt(truth.form_variance) * form
    deviation = random.normal(0, truth.topic_spread**0.5, (n_students, n_topics))
    counts = random.poisson(per_week, (n_students, weeks)) * (random.random((n_students, weeks)) < active)
    student, week = (np.repeat(codes.ravel(), counts.ravel()) for codes in np.indices(counts.shape))
    day = 7 * week + random.uniform(0, 7, len(week))
    item = random.integers(0, n_items, len(day))
    logit = level[student, day.astype(int)] + deviation[student, item_topic[item]] - difficulty[item]
    correct = (random.random(len(day)) < 1 / (1 + np.exp(-logit))).astype(int)
    answers = Answers.of(student, item, topic=item_topic[item], day=day, correct=correct)
    return Cohort(answers, level, deviation=deviation, difficulty=difficulty, item_topic=item_topic, truth=truth)
