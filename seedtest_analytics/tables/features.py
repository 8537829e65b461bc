"""Daily features by student and topic."""

from sqlalchemy import Date, Index, Integer, Numeric, Table, Text

from seedtest_analytics.tables.declare import NOW, Instant, column, metadata

features_topic_daily = Table(
    "features_topic_daily",
    metadata,
    column("user_id", Text, "Raw id of the student.", primary_key=True, pii="pseudonymous", derived_from=("attempt.user_id",)),
    column("topic_id", Text, "Topic.", primary_key=True, derived_from=("attempt.topic_id",)),
    column("date", Date, "Day in the platform's time zone.", primary_key=True, derived_from=("attempt.completed_at",)),
    column("attempts", Integer, "Answered attempts of the day.", nullable=False, server_default="0", minimum=0, derived_from=("attempt.is_answered",)),
    column("correct", Integer, "Of these, right.", nullable=False, server_default="0", minimum=0, derived_from=("attempt.correct",)),
    column("avg_time_ms", Integer, "Mean of the recorded times of answered attempts.", unit="ms", minimum=0, derived_from=("attempt.recorded_time_ms",)),
    column("theta_estimate", Numeric(6, 3), "Newest ability at the end of the day: in the topic where known, else overall.", unit="logit", derived_from=("mirt_ability.theta",)),
    column("last_seen_at", Instant, "Last attempt of the day.", derived_from=("attempt.completed_at",)),
    column("computed_at", Instant, "When the row was computed.", nullable=False, server_default=NOW, is_volatile=True),
    column("hints", Integer, "Attempts with at least one hint.", nullable=False, server_default="0", minimum=0, derived_from=("attempt.hint_used",)),
    column("theta_sd", Numeric(6, 3), "Posterior SD of theta_estimate.", unit="logit", minimum=0, derived_from=("mirt_ability.se",)),
    column("rt_median", Integer, "Median of the recorded times of answered attempts.", unit="ms", minimum=0, derived_from=("attempt.recorded_time_ms",)),
    column("improvement", Numeric(6, 3), "I_t by accuracy within the topic, at the end of the day.", minimum=-1, maximum=1, derived_from=("attempt.correct", "attempt.is_answered")),
    column("theta_mean", Numeric(6, 3), "Same as theta_estimate, under the name that two readers ask for.", unit="logit", derived_from=("mirt_ability.theta",)),
    Index("ix_features_topic_daily_topic_date", "topic_id", "date"),
    Index("ix_features_topic_daily_user_date", "user_id", "date"),
    Index("ix_features_topic_daily_date", "date"),
    comment="What a student did in a topic on a day.",
)
