"""Ability over time: the state of every student and topic week by week, and the hyperparameters behind it."""

from typing import Any

from sqlalchemy import Boolean, Column, Date, Index, Integer, Table, Text

from seedtest_analytics.tables.declare import (
    Float,
    Instant,
    array_column,
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
    student_column,
    week_column,
)

_ANSWERS = ("attempt.user_id", "attempt.item_id", "attempt.topic_id", "attempt.correct", "attempt.completed_at")
_INPUTS = (*_ANSWERS, "mirt_item_params.params")


def _logit(name: str, meaning: str, **arguments: Any) -> Column[Any]:
    arguments.setdefault("nullable", False)
    return column(name, Float, comment=meaning, unit="logit", derived_from=_INPUTS, **arguments)


def _error(name: str, of: str, **arguments: Any) -> Column[Any]:
    return _logit(name, f"Standard error of {of}.", minimum=0, **arguments)


def _answers() -> tuple[Column[Any], ...]:
    return (
        column("n_answers", Integer, comment="Answers behind it.", nullable=False, minimum=1, derived_from=_ANSWERS),
        column(
            "answered_at",
            Instant,
            comment="The newest of these answers: the age of the evidence.",
            nullable=False,
            derived_from=("attempt.completed_at",),
        ),
    )


def _calibration() -> Column[Any]:
    return column(
        "run_id",
        Text,
        comment="Calibration that gives the scale; NULL without one: 0 is the mean level in the first week.",
        derived_from=("mirt_fit_meta.run_id",),
    )


ability_hyperparameters = Table(
    "ability_hyperparameters",
    metadata,
    week_column(primary_key=True),
    column("fit_week", Date, comment="Week whose answers they were fitted to; earlier weeks' fits serve for a while."),
    object_column("hyperparameters", "Variances (logit²), rates a day, effects (logit).", derived_from=_ANSWERS),
    column(
        "log_likelihood", Float, comment="Mean log-likelihood of an answer given the answers before it.", unit="nat"
    ),
    column(
        "baseline_log_likelihood", Float, comment="The same by the item's share of right answers so far.", unit="nat"
    ),
    column("n_answers", Integer, comment="Answers that were fitted.", nullable=False, minimum=0, derived_from=_ANSWERS),
    column("n_students", Integer, comment="Students that were fitted.", nullable=False, minimum=0),
    column("is_calibrated", Boolean, comment="Items had the parameters of a calibration.", nullable=False),
    column("is_usable", Boolean, comment="Abilities over time may be computed with them.", nullable=False),
    array_column("reasons", "What forbids the use."),
    array_column("warnings", "What does not forbid it but is worth knowing."),
    computed_column(),
    comment="Hyperparameters of ability over time, week by week.",
)
computed_by(ability_hyperparameters, "stats.ability.fitting.fit_hyperparameters")

ability_state = Table(
    "ability_state",
    metadata,
    student_column(primary_key=True),
    week_column(primary_key=True),
    _logit("level", "Level as of the week's as-of instant; it stays without new answers.", minimum=-12, maximum=12),
    _error("se", "level; it grows with time"),
    _logit("slope", "Gain of the level a week by the student's own pace."),
    _error("slope_se", "slope"),
    column("level_slope_covariance", Float, comment="Covariance of level and slope.", unit="logit²", nullable=False),
    _logit("change", "Mean level of the recent 14 days less that of the 14 days before, by all answers."),
    _error("change_se", "change, with the covariance of the two"),
    column("earlier_at", Instant, comment="Instant of earlier_level: ABILITY_GROWTH_WEEKS before the as-of instant."),
    _logit(
        "earlier_level",
        "Level at earlier_at, given all answers up to now; NULL without an answer before.",
        minimum=-12,
        maximum=12,
        nullable=True,
    ),
    _error("earlier_se", "earlier_level", nullable=True),
    _error("gain_se", "level less earlier_level, with the covariance of the two", nullable=True),
    *_answers(),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used.", nullable=False),
    _calibration(),
    Index("ix_ability_state_week", "week_start"),
    comment="Level, pace and change of each student, week by week, by the model of ability over time.",
)
computed_by(
    ability_state,
    "assets.psychometrics.ability.rows.level_rows",
    ("level se slope slope_se level_slope_covariance", "stats.ability.smoothing.smooth"),
    ("earlier_level earlier_se", "stats.ability.smoothing.smooth"),
    ("change change_se gain_se", "stats.ability.smoothing.change_between"),
)

ability_topic_state = Table(
    "ability_topic_state",
    metadata,
    student_column(primary_key=True),
    column("topic_id", Text, comment="Topic.", primary_key=True, derived_from=("attempt.topic_id",)),
    week_column(primary_key=True),
    _logit("deviation", "Ability in the topic less the level."),
    _error("deviation_se", "deviation"),
    _logit("ability", "Ability in the topic: level + deviation.", minimum=-12, maximum=12),
    _error("se", "ability, with the covariance of level and deviation"),
    column(
        "next_right",
        Float,
        comment="Probability that the next answer in the topic is right, on the questions that the topic has asked in the "
        "last 28 days; NULL without any.",
        minimum=0,
        maximum=1,
        derived_from=_INPUTS,
    ),
    *_answers(),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used.", nullable=False),
    _calibration(),
    Index("ix_ability_topic_state_week", "week_start"),
    comment="Ability of each student in each topic, week by week, by the model of ability over time.",
)
computed_by(
    ability_topic_state,
    "assets.psychometrics.ability.rows.topic_rows",
    ("deviation deviation_se ability se", "stats.ability.smoothing.smooth"),
    ("next_right", "stats.ability.topic_success.next_in_topic"),
)
