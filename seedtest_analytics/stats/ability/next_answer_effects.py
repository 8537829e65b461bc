"""Kinds of effects of the second layer: whose they are, what multiplies them, and how they move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.checks import number, one_of

Owner = Literal[
    "all",
    "item",
    "topic",
    "student",
    "repeat",
    "sequence",
    "sequence 2",
    "sequence 3",
    "sequence 4",
    "topic sequence",
    "topic sequence 2",
    "topic sequence 3",
    "topic sequence 4",
    "item and results",
    "item and counts",
    "results",
    "pause in topic",
    "pause of item",
    "pause of student",
    "repeated result of student",
]
Loading = Literal[
    "one",
    "logit",
    "last",
    "last in topic",
    "right in topic",
    "wrong in topic",
    "same topic",
    "last of same topic",
    "form",
    "slowness",
]


@dataclass(frozen=True)
class Effect:
    """Effects with one prior: one per ``owner``, times ``loading``.

    ``variance`` is the prior's, in logits²; ``walk`` is added per day. With ``fade`` > 0 the effect returns to 0 at this
    rate a day instead.

    A repeat is a student's item. A sequence is an item after a given item, answered right or wrong, that was met one, two,
    three or four answers before; a topic sequence is the same with topics. Results are the last five of the student, with an
    item the last three. Counts are the student's right and wrong answers in the topic, up to nine of each. A pause is the
    time since the last answer in the topic, to the item or of the student, by factors of e; in the first two with its result.

    Raises AbilityDataError for another owner or loading, or a negative number.
    """

    owner: Owner
    loading: Loading = "one"
    variance: float = 0.05
    walk: float = 0.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.owner, "owner", choices=get_args(Owner), error=AbilityDataError)
        one_of(self.loading, "loading", choices=get_args(Loading), error=AbilityDataError)
        for name in ("variance", "walk", "fade"):
            number(getattr(self, name), name, low=0.0, error=AbilityDataError)


EFFECTS: dict[str, Effect] = {
    "everybody lately": Effect("all", variance=0.01, fade=50.0),
    "ability of everybody": Effect("all", "logit", variance=0.02, walk=0.001),
    "topic lately": Effect("topic", variance=0.03, fade=5.0),
    "topic, ability": Effect("topic", "logit", variance=0.05),
    "topic after right answers": Effect("topic", "right in topic", variance=0.003),
    "topic after wrong answers": Effect("topic", "wrong in topic", variance=0.003),
    "topic after a right answer in it": Effect("topic", "last of same topic", variance=0.01),
    "topic after slow answers": Effect("topic", "slowness", variance=0.01),
    "topic after a topic": Effect("topic sequence", variance=0.005),
    "topic two after a topic": Effect("topic sequence 2", variance=0.005),
    "topic three after a topic": Effect("topic sequence 3", variance=0.005),
    "topic four after a topic": Effect("topic sequence 4", variance=0.005),
    "pause in the topic": Effect("pause in topic", variance=0.002),
    "discrimination": Effect("item", "logit", variance=0.05),
    "item of these weeks": Effect("item", variance=0.05, fade=0.02),
    "item after a right answer": Effect("item", "last", variance=0.05),
    "item after a right answer in the topic": Effect("item", "last in topic", variance=0.05),
    "item after results": Effect("item and results", variance=0.05),
    "item after answers in the topic": Effect("item and counts", variance=0.05),
    "pause of the item": Effect("pause of item", variance=0.02),
    "item after an item": Effect("sequence", variance=0.1),
    "item two after an item": Effect("sequence 2", variance=0.1),
    "item three after an item": Effect("sequence 3", variance=0.1),
    "item four after an item": Effect("sequence 4", variance=0.1),
    "results": Effect("results", variance=0.005),
    "form of the day": Effect("student", variance=0.05, fade=8.0),
    "form of a quarter of an hour": Effect("student", variance=0.05, fade=100.0),
    "form of a minute": Effect("student", variance=0.03, fade=1000.0),
    "student, ability": Effect("student", "logit", variance=0.05, fade=0.1),
    "student in the same topic": Effect("student", "same topic", variance=0.01),
    "student after a right answer": Effect("student", "last", variance=0.05),
    "student after surprises": Effect("student", "form", variance=0.05),
    "student after slow answers": Effect("student", "slowness", variance=0.05, fade=1.0),
    "pause of the student": Effect("pause of student", variance=0.006),
    "item of a student": Effect("repeat", variance=0.3),
    "repeated result of the student": Effect("repeated result of student", variance=0.1),
}
"""The default effects by name, chosen on the training parts of the published logs. ``fit_effects`` scales them to a log."""
