"""Planted segments found and kept, names that describe centres, and students who are all alike."""

import numpy as np
import pytest

from seedtest_analytics.stats.segments.choice import choose_count
from seedtest_analytics.stats.segments.clustering import cluster, one_thread, within_sums
from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES, plan_scale
from seedtest_analytics.stats.segments.identity import PreviousSegment, match_segments
from seedtest_analytics.stats.segments.labels import distinct_labels, own_label, still_holds
from seedtest_analytics.stats.segments.segments import SegmentSettings, map_coordinates, segment_students

QUICK = SegmentSettings(bootstrap_repeats=5, largest=6)

KINDS = {
    "short_frequent": dict(engagement=0.75, improvement=0.1, sessions=18, gap=1.5, avg_hints=0.3, efficiency=0.5),
    "long_rare": dict(engagement=0.25, improvement=0.0, sessions=2, gap=12, avg_hints=0.3, efficiency=0.5),
    "hint_heavy": dict(engagement=0.5, improvement=0.05, sessions=7, gap=4, avg_hints=4, efficiency=0.2),
    "efficient": dict(engagement=0.6, improvement=0.15, sessions=6, gap=5, avg_hints=0.2, efficiency=0.85),
}


def cohort(n, seed, kinds=tuple(KINDS), noise=1.0):
    """n students of planted kinds: features around each kind's values, with outliers and missing values."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(kinds), n)
    middle = {name: np.array([KINDS[kind][name] for kind in kinds])[truth] for name in KINDS["efficient"]}
    features = {
        name: values + rng.normal(0, 0.06 * noise, n)
        if name in ("engagement", "improvement", "efficiency")
        else values * np.exp(rng.normal(0, 0.2 * noise, n))
        for name, values in middle.items()
    }
    features["recovery"] = rng.normal(0.5, 0.1, n)
    features["recovery"][rng.random(n) < 0.3] = np.nan
    features["sessions"][:3] = 5_000.0
    return features, truth


def adjusted_rand(a, b):
    from sklearn.metrics import adjusted_rand_score

    return adjusted_rand_score(a, b)


def as_previous(run):
    """The segments of a run as the next run reads them."""
    return tuple(PreviousSegment(s.segment_id, s.label, centre=s.centre) for s in run.segments)


@pytest.mark.long
@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_planted_segments_are_found_counted_and_named(method):
    features, truth = cohort(1_500, seed=1)
    result = segment_students(features, SegmentSettings(method=method, bootstrap_repeats=5, largest=6))
    assert result.count.k == 4
    assert adjusted_rand(result.segment_id, truth) > 0.95
    assert {segment.label for segment in result.segments} == set(KINDS)
    for j, kind in enumerate(KINDS):
        segment = next(s for s in result.segments if s.label == kind)
        assert segment.centre["gap"] == pytest.approx(KINDS[kind]["gap"], rel=0.1)
        assert segment.n == pytest.approx((truth == j).sum(), abs=30)
    assert min(s.jaccard for s in result.segments) > 0.9
    assert result.warnings == ()
    assert result.between_ss > sum(segment.within_ss for segment in result.segments)
    assert result.confidence.min() >= 0
    assert result.confidence.max() <= 1


@pytest.mark.parametrize("k", [2, 3])
def test_other_numbers_are_found_too(k):
    features, truth = cohort(900, seed=2, kinds=tuple(KINDS)[:k])
    result = segment_students(features, QUICK)
    assert result.count.k == k
    assert adjusted_rand(result.segment_id, truth) > 0.95


def test_no_structure_is_one_segment():
    rng = np.random.default_rng(3)
    result = segment_students({name: rng.normal(size=800) for name in ("engagement", "improvement", "recovery")}, QUICK)
    assert (result.method, result.count.k) == ("single", 1)
    assert "the gap statistic finds one group" in result.reason


@pytest.mark.long
def test_identity_and_names_stay_over_four_months():
    """Each month other students, slowly moving centres and clusters found in another order: ids and names
    stay put.
    """
    previous, seen = (), []
    for month in range(4):
        features, _ = cohort(1_200, seed=10 + month)
        features["engagement"] = features["engagement"] + 0.01 * month
        settings = SegmentSettings(seed=month, bootstrap_repeats=2, largest=6)
        result = segment_students(features, settings, previous=previous)
        assert all(segment.is_new == (month == 0) for segment in result.segments)
        previous = as_previous(result)
        seen.append({segment.segment_id: segment.label for segment in result.segments})
    assert seen == [seen[0]] * 4


def test_a_new_kind_gets_a_new_identity_and_a_gone_one_is_not_reused():
    three, _ = cohort(900, seed=20, kinds=("short_frequent", "long_rare", "hint_heavy"))
    first = segment_students(three, QUICK)
    other, _ = cohort(900, seed=21, kinds=("short_frequent", "long_rare", "efficient"))
    second = segment_students(other, QUICK, previous=as_previous(first))
    before = {s.label: s.segment_id for s in first.segments}
    now = {s.label: s.segment_id for s in second.segments}
    assert now["short_frequent"] == before["short_frequent"]
    assert now["long_rare"] == before["long_rare"]
    assert now["efficient"] == 3
    assert [s.label for s in second.segments if s.is_new] == ["efficient"]


def test_an_id_of_an_earlier_run_is_not_given_again():
    """The run before knows 0 and 1 only, but an earlier one had ids up to 6."""
    features = cohort(400, seed=3)[0]
    found = segment_students(features, QUICK, previous=(), first_new_id=7)
    assert min(segment.segment_id for segment in found.segments) == 7


def test_a_missing_feature_is_named():
    features, _ = cohort(100, seed=30)
    with pytest.raises(KeyError, match="gap"):
        plan_scale(features).transform({name: values for name, values in features.items() if name != "gap"})


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_identical_students_are_one_segment(method):
    result = segment_students({name: np.full(50, 0.5) for name in CONTRACT_FEATURES}, SegmentSettings(method=method))
    assert (result.method, result.reason) == ("single", "no feature differs between students")
    assert len(result.segments) == 1
    assert (result.segment_id == 0).all()
    assert set(result.scale.dropped.values()) == {"the same value for every student"}


def test_two_kinds_of_identical_students():
    values = np.tile([0.1, 0.9], 30)
    result = segment_students({"engagement": values, "recovery": values}, SegmentSettings(n_clusters=5))
    assert len(result.segments) == 2
    assert adjusted_rand(result.segment_id, values > 0.5) == 1.0
    assert "only 2 different students" in result.reason


def test_too_few_students():
    result = segment_students({"engagement": np.arange(6) / 6}, SegmentSettings(n_clusters=3))
    assert result.method == "single"
    assert result.reason == "6 students are fewer than the 10 needed"


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
@pytest.mark.parametrize(("n", "k"), [(10, 8), (60, 50)])
def test_resamples_too_small_for_the_segments_say_nothing_about_stability(n, k, method):
    """About 63 % of the students are in a resample, too few for this many segments."""
    rng = np.random.default_rng(37)
    features = {name: rng.normal(size=n) for name in CONTRACT_FEATURES}
    result = segment_students(features, SegmentSettings(n_clusters=k, method=method))
    assert result.count.k == k
    assert all(np.isnan(segment.jaccard) for segment in result.segments)
    (warning,) = result.warnings
    assert "is not known: only" in warning
    assert f"of 20 resamples of the students hold {len(result.segments)} different ones" in warning


@pytest.mark.filterwarnings("error")
def test_twins_do_not_make_a_resample_large_enough():
    """Twenty students of five kinds: a resample of twelve rows may hold four kinds only."""
    values = np.tile(np.arange(5.0), 4)
    settings = SegmentSettings(n_clusters=5, bootstrap_repeats=200)
    result = segment_students({"engagement": values, "recovery": values**2}, settings)
    assert [segment.jaccard for segment in result.segments] == [1.0] * 5
    assert result.warnings == ()


@pytest.mark.long
def test_small_cohorts_of_many_tight_groups_are_segmented():
    """With the number chosen by the data too, 10 to 13 students in seven groups."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 10 + seed % 4
        centres = rng.normal(size=(7, len(CONTRACT_FEATURES))) * 5
        values = centres[np.arange(n) % 7] + rng.normal(size=(n, len(CONTRACT_FEATURES))) * 0.01
        features = dict(zip(CONTRACT_FEATURES, values.T, strict=True))
        result = segment_students(features, SegmentSettings(min_users=2))
        unknown = [np.isnan(segment.jaccard) for segment in result.segments]
        assert any(unknown) == all(unknown)
        assert any("is not known" in warning for warning in result.warnings) == all(unknown)


def test_a_feature_without_values_is_dropped_by_name():
    features, _ = cohort(300, seed=31)
    features["avg_rt"] = np.full(300, np.nan)
    result = segment_students(features, SegmentSettings(n_clusters=4, bootstrap_repeats=2))
    assert result.scale.dropped == {"avg_rt": "no value for any student"}
    assert len(result.segments) == 4
    assert result.reason == "the number was given"


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match="same length"):
        segment_students({"engagement": [1.0], "gap": [1.0, 2.0]})
    with pytest.raises(ValueError, match="same length above 0"):
        segment_students({"engagement": []})
    with pytest.raises(ValueError, match="dbscan"):
        segment_students({"engagement": [1.0]}, SegmentSettings(method="dbscan"))


def test_scaling_ignores_outliers_and_units():
    rng = np.random.default_rng(32)
    x = rng.normal(size=2_000)
    x[:5] = 1e6
    scale = plan_scale({"engagement": x})
    Z = scale.transform({"engagement": x})
    assert np.abs(Z).max() == 4.0
    assert Z[5:].std() == pytest.approx(1.0, abs=0.06)
    other = plan_scale({"engagement": 3 * x + 7}).transform({"engagement": 3 * x + 7})
    np.testing.assert_allclose(other, Z, atol=1e-9)


def test_the_map_is_the_principal_plane():
    rng = np.random.default_rng(33)
    Z = rng.normal(size=(500, 4)) * [3.0, 2.0, 0.5, 0.1]
    coordinates, explained = map_coordinates(Z)
    assert explained == pytest.approx((9 + 4) / (9 + 4 + 0.25 + 0.01), abs=0.03)
    assert abs(np.corrcoef(coordinates[:, 0], Z[:, 0])[0, 1]) > 0.99
    np.testing.assert_array_equal(map_coordinates(Z)[0], coordinates)
    np.testing.assert_allclose(map_coordinates(Z[:, :1])[0][:, 1], 0.0)


def test_within_sums_are_those_of_the_definition():
    rng = np.random.default_rng(34)
    Z, labels = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    plain = [((Z[labels == j] - Z[labels == j].mean(axis=0)) ** 2).sum() for j in range(3)]
    np.testing.assert_allclose(within_sums(Z, labels, k=3), plain)


def test_matching_takes_the_least_total_and_refuses_the_far():
    scale = plan_scale({"engagement": np.linspace(-2.7, 2.7, 101)})
    centres = scale.transform({"engagement": [0.0, 0.5]})
    before = [
        PreviousSegment(4, "a", centre={"engagement": 0.45}),
        PreviousSegment(7, "b", centre={"engagement": 0.05}),
    ]
    found = match_segments(centres, scale, previous=before)
    assert [p.segment_id for p in found.previous] == [7, 4]
    far = match_segments(centres, scale, previous=[PreviousSegment(1, "c", centre={"engagement": 2.6})])
    assert far.previous == (None, None)
    assert match_segments(centres, scale, previous=[]).previous == (None, None)


def test_labels():
    names = ("engagement", "gap")
    assert own_label({"gap": 2.0, "sessions": 12.0}, names, scaled=np.zeros(2)) == "short_frequent"
    assert own_label({"gap": 9.0, "sessions": 4.0, "avg_hints": 3.0}, names, scaled=np.zeros(2)) == "long_rare"
    assert own_label({}, names, scaled=np.array([-1.0, 0.8])) == "disengaged_and_long_gaps"
    assert own_label({}, names, scaled=np.array([0.1, 0.2])) == "average"
    assert still_holds("short_frequent", {"gap": 3.2, "sessions": 9.0}, names=names, scaled=np.zeros(2))
    assert not still_holds("short_frequent", {"gap": 4.2, "sessions": 9.0}, names=names, scaled=np.zeros(2))
    assert still_holds("disengaged", {}, names=names, scaled=np.array([-0.3, 0.0]))
    assert not still_holds("disengaged", {}, names=names, scaled=np.array([0.3, 0.0]))
    twice = distinct_labels(["hint_heavy"] * 2, names, scaled=np.array([[0.0, 0.0], [0.0, -0.6]]))
    assert twice == ["hint_heavy", "hint_heavy_with_short_gaps"]
    # In the middle of all students, though shorter gaps than the namesake's: its students are not distinct in that.
    assert distinct_labels(["average"] * 2, names, scaled=np.array([[0.0, 0.4], [0.0, 0.0]])) == [
        "average",
        "average_1",
    ]


def test_large_cohorts_run_on_mini_batches_with_the_same_result():
    features, truth = cohort(60_000, seed=35)
    result = segment_students(features, SegmentSettings(n_clusters=4, bootstrap_repeats=2))
    assert result.method == "minibatch_kmeans"
    assert adjusted_rand(result.segment_id, truth) > 0.95


@pytest.mark.slow
def test_number_found_over_many_cohorts():
    """In at least 90 % of 60 cohorts with 2, 3 or 4 planted kinds the number is found (seeds 100..119)."""
    right = []
    for k in (2, 3, 4):
        for seed in range(100, 120):
            features, _ = cohort(600, seed, kinds=tuple(KINDS)[:k])
            scale = plan_scale(features)
            with one_thread():
                right.append(choose_count(scale.transform(features), "kmeans", seed=seed, largest=6).k == k)
    assert np.mean(right) >= 0.9


def test_mixture_confidence_is_a_posterior():
    rng = np.random.default_rng(36)
    Z = np.concatenate([rng.normal(-1.5, 1, (400, 1)), rng.normal(1.5, 1, (400, 1))])
    found = cluster(Z, 2, method="gmm", seed=1)
    between = np.abs(Z[:, 0]) < 0.2
    assert found.confidence[between].mean() < 0.75
    assert found.confidence[np.abs(Z[:, 0]) > 2].mean() > 0.95
