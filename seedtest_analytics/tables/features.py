"""Daily features of each student and topic."""

from typing import Any

from sqlalchemy import Column, Date, Index, Integer, Numeric, Table, Text

from seedtest_analytics.tables.declare import Instant, column, computed_by, computed_column, metadata, student_column
from seedtest_analytics.tables.psychometrics import SCORED_BY

_TIMES = ("attempt.recorded_time_ms", "attempt.is_answered")
_FIRST_TOPIC = ("attempt.topic_id", "attempt.topic_ids")


def _count(name: str, comment: str, *origins: str) -> Column[Any]:
    return column(name, Integer, comment=comment, nullable=False, server_default="0", minimum=0, derived_from=origins)


def _count_once(name: str, comment: str, *origins: str) -> Column[Any]:
    return column(name, Integer, comment=comment, minimum=0, derived_from=origins)


def _time(name: str, comment: str) -> Column[Any]:
    return column(name, Integer, comment=comment, unit="ms", minimum=0, derived_from=_TIMES)


features_topic_daily = Table(
    "features_topic_daily",
    metadata,
    student_column(primary_key=True),
    column("topic_id", Text, comment="Topic.", primary_key=True, derived_from=("attempt.topic_ids",)),
    column(
        "date",
        Date,
        comment="Day in the platform's time zone.",
        primary_key=True,
        derived_from=("attempt.completed_at",),
    ),
    _count("attempts", "Answered attempts of the day; one with several topics counts in each.", "attempt.is_answered"),
    _count("correct", "Of these, right.", "attempt.correct", "attempt.is_answered"),
    _time("avg_time_ms", "Mean of the recorded times of answered attempts."),
    column(
        "theta_estimate",
        Numeric(6, 3),
        comment="Newest ability at the end of the day: in the topic if known, else overall.",
        unit="logit",
        derived_from=("student_topic_theta.theta", "mirt_ability.theta"),
    ),
    column("last_seen_at", Instant, comment="Last attempt of the day.", derived_from=("attempt.completed_at",)),
    computed_column("computed_at", "When the row was computed."),
    _count("hints", "Attempts with at least one hint.", "attempt.hint_used"),
    column(
        "theta_sd",
        Numeric(6, 3),
        comment="Posterior SD of theta_estimate.",
        unit="logit",
        minimum=0,
        derived_from=("student_topic_theta.theta", "student_topic_theta.se", "mirt_ability.se"),
    ),
    _time("rt_median", "Median of the recorded times of answered attempts."),
    column(
        "improvement",
        Numeric(6, 3),
        comment="I_t by accuracy within the topic, at the end of the day.",
        minimum=-1,
        maximum=1,
        derived_from=("attempt.correct", "attempt.is_answered"),
    ),
    column(
        "theta_mean",
        Numeric(6, 3),
        comment="Same as theta_estimate, under the name that two other readers use.",
        unit="logit",
        derived_from=("student_topic_theta.theta", "mirt_ability.theta"),
    ),
    _count_once(
        "attempts_once",
        "Attempts whose first topic this is: adds up over topics.",
        "attempt.is_answered",
        *_FIRST_TOPIC,
    ),
    _count_once("correct_once", "Of these, right.", "attempt.correct", "attempt.is_answered", *_FIRST_TOPIC),
    _count_once("hints_once", "Attempts with a hint whose first topic this is.", "attempt.hint_used", *_FIRST_TOPIC),
    column(
        "theta_method",
        Text,
        comment="Estimator of theta_estimate: EAP of the look-back, or dynamic (ability over time, from all answers).",
        allowed=("EAP", "MAP", "WLE", "dynamic"),
        derived_from=("student_topic_theta.theta", "student_topic_theta.method", "mirt_ability.method"),
    ),
    column(
        "theta_answered_at",
        Instant,
        comment="The newest answer behind theta_estimate: the age of the evidence.",
        derived_from=("student_topic_theta.theta", "student_topic_theta.answered_at", "mirt_ability.answered_at"),
    ),
    Index("ix_features_topic_daily_topic_date", "topic_id", "date"),
    Index("ix_features_topic_daily_user_date", "user_id", "date"),
    Index("ix_features_topic_daily_date", "date"),
    comment="What a student did in a topic on a day.",
)
computed_by(
    features_topic_daily,
    "sql/features/features_topic_daily.sql",
    ("theta_estimate theta_sd theta_mean", *SCORED_BY, "sql/features/features_topic_daily.sql"),
)
