"""Segmentation: runs, their segments, and the segment of each student."""

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, Table, Text

from seedtest_analytics.tables.declare import (
    JSONB,
    Float,
    Instant,
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
    student_column,
    week_column,
)

_FEATURES = (
    "weekly_kpi.kpis",
    "features_topic_daily.rt_median",
    "features_topic_daily.hints",
    "features_topic_daily.attempts",
)

segment_meta = Table(
    "segment_meta",
    metadata,
    column("run_id", Text, comment="Run; derived from its week, settings and data.", primary_key=True),
    column("week_start", Date, comment="Partition: Monday of the last week that the features reach."),
    column(
        "method", Text, comment="kmeans, minibatch_kmeans, gaussian_mixture or single (one segment).", nullable=False
    ),
    column("n_clusters", Integer, comment="Segments.", nullable=False, minimum=1),
    column(
        "centers",
        JSONB,
        comment="{segment id: {feature: median of the members}}.",
        nullable=False,
        derived_from=_FEATURES,
    ),
    object_column("metrics", "{withinss, tot_withinss, betweenss, silhouette, gap, reason, jaccard, explained, …}."),
    column("n_users", Integer, comment="Students in the run.", minimum=0),
    column("fitted_at", Instant, comment="As-of instant: nothing at or after it was used.", nullable=False),
    computed_column(),
    Index("ix_segment_meta_week", "week_start", unique=True),
    comment="One row for each segmentation: the number of segments, the reason for it, and their quality.",
)
computed_by(
    segment_meta,
    "assets.segments.week.segment_week",
    ("method", "stats.segments.clustering.cluster", "stats.segments.segments.segment_students"),
    ("n_clusters metrics", "stats.segments.choice.choose_count", "stats.segments.segments.segment_students"),
    ("centers", "stats.segments.segments.segment_students"),
)

segment_profile = Table(
    "segment_profile",
    metadata,
    column(
        "run_id", Text, comment="Run; segment_meta.run_id.", primary_key=True, derived_from=("segment_meta.run_id",)
    ),
    column(
        "segment_id",
        BigInteger,
        comment="Identity of the segment, kept from run to run.",
        primary_key=True,
        autoincrement=False,
        minimum=0,
    ),
    week_column(nullable=False),
    column("segment_label", Text, comment="Name by the segment's own centre.", nullable=False),
    column("segment_description", Text, comment="One sentence that distinguishes the segment.", nullable=False),
    column("centre", JSONB, comment="{feature: median of the members}.", nullable=False, derived_from=_FEATURES),
    column("scaled_centre", JSONB, comment="The same in robust standard deviations from the middle.", nullable=False),
    column("n", Integer, comment="Members.", nullable=False, minimum=0),
    column("share", Float, comment="Share of the students.", nullable=False, minimum=0, maximum=1),
    column("jaccard", Float, comment="Stability: mean Jaccard similarity over bootstraps.", minimum=0, maximum=1),
    column("is_new", Boolean, comment="No segment of the previous run matches.", nullable=False),
    column("moved", Float, comment="Scaled distance from its centre in the previous run.", minimum=0),
    Index("ix_segment_profile_week", "week_start"),
    comment="The segments of each run: name, description, centre, stability.",
)
computed_by(
    segment_profile,
    "assets.segments.week.segment_week",
    ("segment_id centre scaled_centre n share", "stats.segments.segments.segment_students"),
    ("segment_label", "stats.segments.labels.own_label"),
    ("segment_description", "stats.segments.labels.describe"),
    ("jaccard", "stats.segments.stability.bootstrap_jaccard"),
    ("is_new moved", "stats.segments.identity.match_segments"),
)

user_segment = Table(
    "user_segment",
    metadata,
    student_column("weekly_kpi.user_id", primary_key=True),
    column(
        "segment_label", Text, comment="Name of the segment.", nullable=False, derived_from=("segment_meta.centers",)
    ),
    column(
        "features_snapshot",
        JSONB,
        comment="{user_id, engagement, improvement, efficiency, recovery, sessions, gap, avg_rt, avg_hints, …}.",
        nullable=False,
        pii="pseudonymous",
        derived_from=_FEATURES,
    ),
    column("assigned_at", Instant, comment="As-of instant of the run.", nullable=False),
    column("run_id", Text, comment="Run; segment_meta.run_id.", derived_from=("segment_meta.run_id",)),
    column("week_start", Date, comment="Week of the run."),
    column("segment_id", BigInteger, comment="Identity of the segment.", minimum=0),
    column("confidence", Float, comment="Confidence of the assignment, 0 to 1.", minimum=0, maximum=1),
    column("map_x", Float, comment="First coordinate on the segment map."),
    column("map_y", Float, comment="Second coordinate on the segment map."),
    comment="Segment of each student by the newest run.",
)
computed_by(
    user_segment,
    "assets.segments.week.segment_week",
    ("segment_label", "stats.segments.labels.own_label"),
    ("features_snapshot", "sql/segments/segments.sql:features"),
    ("segment_id map_x map_y", "stats.segments.segments.segment_students"),
    ("confidence", "stats.segments.clustering.cluster"),
)
