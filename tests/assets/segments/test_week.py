"""A segmentation as rows: the run, its segments and their members."""

import datetime as dt
import json

import numpy as np

from seedtest_analytics.assets.segments import week as module
from seedtest_analytics.assets.segments.week import Features
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.segments.choice import ClusterCount
from seedtest_analytics.stats.segments.features import FeatureScale
from seedtest_analytics.stats.segments.segments import Segment, Segmentation
from seedtest_analytics.tables.segments import segment_profile, user_segment

WEEK = Week(dt.date(2026, 3, 2), dt.datetime(2026, 3, 9, tzinfo=dt.UTC), timezone="UTC")
FEATURES = Features(["kim", "lee", "max"], {"A_t": np.array([0.5, np.nan, 0.1])})


def segment(number: int, label: str, n: int) -> Segment:
    return Segment(
        number,
        label,
        description=f"They are {label}.",
        centre={"A_t": 0.3, "E_t": float("nan")},
        scaled_centre={"A_t": -0.1},
        n=n,
        share=n / 3,
        within_ss=1.5 * n,
        jaccard=0.8,
        is_new=number == 7,
        moved=0.2,
    )


FOUND = Segmentation(
    segment_id=np.array([7, 4, 7]),
    confidence=np.array([0.9, 1.2, -0.1]),
    coordinates=np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
    explained=0.75,
    segments=(segment(4, "steady", 1), segment(7, "rare", 2)),
    count=ClusterCount(2, silhouette={2: 0.4}, gap={2: 0.5}, gap_se={2: float("inf")}, reason="best"),
    method="kmeans",
    reason="two stand apart",
    n_fitted=3,
    between_ss=9.0,
    scale=FeatureScale(("A_t",), np.zeros(1), spread=np.ones(1), dropped={"E_t": "all missing"}),
    warnings=("segment 7 is unstable",),
)


def test_a_run_has_its_centres_and_measures_by_segment() -> None:
    (row,) = module._meta_rows(WEEK, "r", found=FOUND).to_dict("records")
    assert (row["run_id"], row["week_start"], row["fitted_at"]) == ("r", WEEK.start, WEEK.as_of)
    assert (row["method"], row["n_clusters"], row["n_users"]) == ("kmeans", 2, 3)
    assert json.loads(row["centers"])["7"] == {"A_t": 0.3, "E_t": None}
    assert json.loads(row["metrics"]) == {
        "withinss": {"4": 1.5, "7": 3.0},
        "tot_withinss": 4.5,
        "betweenss": 9.0,
        "silhouette": {"2": 0.4},
        "gap": {"2": 0.5},
        "gap_se": {"2": None},
        "reason": "two stand apart",
        "jaccard": {"4": 0.8, "7": 0.8},
        "explained": 0.75,
        "dropped": {"E_t": "all missing"},
        "warnings": ["segment 7 is unstable"],
    }


def test_a_segment_is_a_row_with_its_words_and_whether_it_is_new() -> None:
    steady, rare = module._profile_rows(WEEK, "r", found=FOUND).to_dict("records")
    assert (steady["segment_id"], steady["segment_label"], steady["segment_description"]) == (
        4,
        "steady",
        "They are steady.",
    )
    assert (steady["is_new"], rare["is_new"], rare["n"], rare["share"]) == (False, True, 2, 2 / 3)
    assert json.loads(rare["centre"]) == {"A_t": 0.3, "E_t": None}
    assert (rare["run_id"], rare["week_start"], rare["moved"]) == ("r", WEEK.start, 0.2)


def test_a_member_has_its_segment_features_and_place_on_the_map() -> None:
    frame = module._member_rows(WEEK, "r", features=FEATURES, found=FOUND)
    assert frame["segment_label"].tolist() == ["rare", "steady", "rare"]
    assert frame["confidence"].tolist() == [0.9, 1.0, 0.0]
    lee = frame.to_dict("records")[1]
    assert json.loads(lee["features_snapshot"]) == {"user_id": "lee", "A_t": None}
    assert (lee["map_x"], lee["map_y"], lee["assigned_at"], lee["run_id"]) == (2.0, 3.0, WEEK.as_of, "r")


def test_without_a_segmentation_the_columns_stay() -> None:
    assert len(module._meta_rows(WEEK, "r", found=None)) == 0
    for frame, table in (
        (module._profile_rows(WEEK, "r", found=None), segment_profile),
        (module._member_rows(WEEK, "r", features=FEATURES, found=None), user_segment),
    ):
        assert (len(frame), list(frame.columns)) == (0, [column.name for column in table.columns])
