"""Daily features of each student and topic."""

from sqlalchemy import Date, Index, Integer, Numeric, Table, Text

from seedtest_analytics.tables.declare import Instant, column, computed_by, computed_column, metadata, student_column

features_topic_daily = Table(
    "features_topic_daily",
    metadata,
    student_column(primary_key=True),
    column("topic_id", Text, comment="Topic.", primary_key=True, derived_from=("attempt.topic_id",)),
    column(
        "date",
        Date,
        comment="Day in the platform's time zone.",
        primary_key=True,
        derived_from=("attempt.completed_at",),
    ),
    column(
        "attempts",
        Integer,
        comment="Answered attempts of the day.",
        nullable=False,
        server_default="0",
        minimum=0,
        derived_from=("attempt.is_answered",),
    ),
    column(
        "correct",
        Integer,
        comment="Of these, right.",
        nullable=False,
        server_default="0",
        minimum=0,
        derived_from=("attempt.correct",),
    ),
    column(
        "avg_time_ms",
        Integer,
        comment="Mean of the recorded times of answered attempts.",
        unit="ms",
        minimum=0,
        derived_from=("attempt.recorded_time_ms",),
    ),
    column(
        "theta_estimate",
        Numeric(6, 3),
        comment="Newest ability at the end of the day: in the topic where known, else overall.",
        unit="logit",
        derived_from=("mirt_ability.theta",),
    ),
    column("last_seen_at", Instant, comment="Last attempt of the day.", derived_from=("attempt.completed_at",)),
    computed_column("computed_at", "When the row was computed."),
    column(
        "hints",
        Integer,
        comment="Attempts with at least one hint.",
        nullable=False,
        server_default="0",
        minimum=0,
        derived_from=("attempt.hint_used",),
    ),
    column(
        "theta_sd",
        Numeric(6, 3),
        comment="Posterior SD of theta_estimate.",
        unit="logit",
        minimum=0,
        derived_from=("mirt_ability.se",),
    ),
    column(
        "rt_median",
        Integer,
        comment="Median of the recorded times of answered attempts.",
        unit="ms",
        minimum=0,
        derived_from=("attempt.recorded_time_ms",),
    ),
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
        comment="Same as theta_estimate, under the name that two readers ask for.",
        unit="logit",
        derived_from=("mirt_ability.theta",),
    ),
    Index("ix_features_topic_daily_topic_date", "topic_id", "date"),
    Index("ix_features_topic_daily_user_date", "user_id", "date"),
    Index("ix_features_topic_daily_date", "date"),
    comment="What a student did in a topic on a day.",
)
computed_by(
    features_topic_daily,
    "sql/features/features_topic_daily.sql",
    ("theta_estimate theta_sd theta_mean", "stats.irt.scoring.score", "sql/features/features_topic_daily.sql"),
)
