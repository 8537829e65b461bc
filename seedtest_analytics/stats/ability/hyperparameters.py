"""The few numbers that all students share: how much levels, topics and items differ, and how fast they move."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.checks import number

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hyperparameters:
    """Variances in logits², rates per day, effects in logits.

    Attributes:
        level_mean, level_variance: of a student's level at the first answer.
        level_walk: variance that a level gains per day.
        form_variance: of a student's form, which passes while the level lasts. form_days: time in which it fades by a factor
            of e.
        slope_mean, slope_variance: of a student's growth per day. slope_walk: variance that a slope gains per day.
        slope_mean_variance: how uncertain the fit is about slope_mean. Projections hold it; the model does not use it.
        topic_spread: variance of a student's deviations between topics. topic_walk: variance that one gains per day.
        item_mean: mean difficulty of topics. item_topic_spread: variance of difficulty between topics.
        item_spread: variance of item difficulties within a topic.
        item_walk: variance that the difficulty of an item gains per day, unless a calibration holds it.
        practice: gain of the level per unit of log(1 + answers of the student).
        repetition: effect of log(1 + earlier answers of the student to the item); no part of ability.
        growth_days: growth by slope stops this many days after an answer, until the next answer.

    Raises:
        AbilityDataError: for a number that is not finite, a negative variance, walk, spread or time.
    """

    level_mean: float = 0.0
    level_variance: float = 1.0
    level_walk: float = 0.005
    slope_mean: float = 0.0
    slope_variance: float = 0.0
    slope_walk: float = 0.0
    topic_spread: float = 0.2
    topic_walk: float = 0.0005
    item_mean: float = 0.0
    item_spread: float = 1.0
    item_topic_spread: float = 0.3
    practice: float = 0.0
    repetition: float = 0.0
    growth_days: float = 14.0
    item_walk: float = 0.0002
    form_variance: float = 0.0
    form_days: float = 4.0
    slope_mean_variance: float = 0.0

    def __post_init__(self) -> None:
        values = asdict(self)
        for name, value in values.items():
            number(value, f"hyperparameter {name}", error=AbilityDataError)
            if value < 0 and name.endswith(("variance", "walk", "spread", "days")):
                raise AbilityDataError(f"hyperparameter {name} is {value}; it must not be negative")
        for name in ("level_variance", "form_days"):
            if values[name] <= 0:
                raise AbilityDataError(f"hyperparameter {name} must be above 0")

    def as_array(self) -> Floats:
        """(17,) values in the order that the kernels expect."""
        return np.array([getattr(self, name) for name in _KERNEL_ORDER], dtype=np.float64)


_KERNEL_ORDER = (
    "level_mean",
    "level_variance",
    "level_walk",
    "slope_mean",
    "slope_variance",
    "slope_walk",
    "topic_spread",
    "topic_walk",
    "item_mean",
    "item_spread",
    "item_topic_spread",
    "practice",
    "repetition",
    "growth_days",
    "item_walk",
    "form_variance",
    "form_days",
)
assert {*_KERNEL_ORDER, "slope_mean_variance"} == {field.name for field in fields(Hyperparameters)}
