"""Good calls of ``stats.segments``."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)


@cache
def settings():
    from seedtest_analytics.stats.segments.segments import SegmentSettings

    return SegmentSettings(n_clusters=2, min_users=2, bootstrap_repeats=1)


@cache
def previous():
    from seedtest_analytics.stats.segments.identity import PreviousSegment

    return (PreviousSegment(3, "average", centre={"engagement": 0.5, "gap": np.nan}),)


PROBES = {
    "segments.segments.SegmentSettings": {
        "n_clusters": 3,
        "method": "kmeans",
        "min_users": 10,
        "largest": 8,
        "bootstrap_repeats": 20,
        "seed": 42,
    },
    "segments.identity.PreviousSegment": {"segment_id": 3, "label": lambda: "any name", "centre": {"engagement": 0.5}},
    "segments.segments.segment_students": {
        "features": {"engagement": RNG.random(N), "gap": RNG.exponential(5.0, N)},
        "settings": settings,
        "previous": previous,
        "first_new_id": 7,
    },
}

STUDENTS = "segments.segments.segment_students segments.segments.SegmentSettings"

CHECKED_BY_CALLER = [
    ("segments.segments", "map_coordinates", STUDENTS),
    ("segments.choice", "choose_count", STUDENTS),
    ("segments.clustering", "cluster sample_rows within_sums", STUDENTS),
    ("segments.features", "plan_scale", STUDENTS),
    ("segments.identity", "match_segments", f"{STUDENTS} segments.identity.PreviousSegment"),
    ("segments.labels", "own_label word still_holds describe distinct_labels", STUDENTS),
    ("segments.stability", "bootstrap_jaccard", STUDENTS),
]
