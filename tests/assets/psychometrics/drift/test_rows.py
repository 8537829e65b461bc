"""A comparison of two windows as rows: parameters on the baseline's scale, limits, changes and alerts."""

import dataclasses
import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.psychometrics.drift import rows
from seedtest_analytics.assets.psychometrics.drift.windows import Comparison, Window
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.drift import DriftAlert, DriftResult, DriftThresholds
from seedtest_analytics.stats.irt.drift_in_topic import DriftInTopic
from seedtest_analytics.stats.irt.linking import Link
from seedtest_analytics.stats.irt.selection import SelectionGaps
from seedtest_analytics.stats.no_result import NoResult
from tests.assets.psychometrics._scale import WEEK, estimates

NOTHING = NoResult("too few answers")
DAYS = [dt.datetime(2026, month, 1, tzinfo=dt.UTC) for month in (1, 2, 3)]
BASELINE, RECENT = Window(1, DAYS[0], end_at=DAYS[1]), Window(2, DAYS[1], end_at=DAYS[2])
ALERT = DriftAlert(np.int64(2), "delta_b", value=0.75, threshold=0.25, severity="high", p_adjusted=0.001)


def comparison(alerts: tuple[DriftAlert, ...] = (ALERT,)) -> Comparison:
    link = dataclasses.replace(Link.identity(), A=2.0, B=1.0)
    drift = DriftResult(
        item_ids=np.array([2]),
        delta=np.full((1, 3), 0.5),
        se_delta=np.full((1, 3), 0.5),
        p_adjusted=np.array([[0.5, 0.5, np.nan]]),
        alerts=alerts,
        skipped=(3, 4),
        link=link,
        thresholds=DriftThresholds(min_responses=102, delta_b=0.25),
    )
    old = estimates([1, 2, 3, 4], a=[1.0, 1.0, 1.0, 1.0], b=[0.0, 0.5, 0.0, 0.0])
    new = estimates([2, 3, 4], a=[2.0, 1.0, 1.0], b=[-0.5, 0.0, 0.0], flags=[None, "all wrong", "all wrong"])
    new.n_responses[:] = 500, 500, 50
    calibrations: Any = (SimpleNamespace(items=old), SimpleNamespace(items=new))
    nothing = NoResult("one topic")
    return Comparison(
        "r", BASELINE, recent=RECENT, calibrations=calibrations, drift=drift, selection=nothing, in_topic=nothing
    )


def test_the_windows_say_to_what_they_are_limited() -> None:
    frame = rows.window_rows(comparison(), CalibrationSettings(topic_id="algebra"))
    assert frame["id"].tolist() == [1, 2]
    assert frame["start_at"].tolist() == [BASELINE.start_at, RECENT.start_at]
    assert json.loads(frame["population_tags"][0]) == {"topic_id": "algebra", "subject_id": None}


def test_recent_parameters_are_on_the_baselines_scale_with_their_limits() -> None:
    """θ = 2 θ' + 1, so a = a' / 2, b = 2 b' + 1, and the standard errors are scaled as a and b are."""
    frame = rows.calibration_rows(comparison(), WEEK)
    assert list(zip(frame["window_id"], frame["item_id"], strict=True)) == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 2)]
    old, new = frame.iloc[1], frame.iloc[4]
    assert (old["a_hat"], old["b_hat"], old["c_hat"]) == (1.0, 0.5, 0.0)
    assert (old["b_l95"], old["b_u95"]) == pytest.approx((0.5 - 0.196, 0.5 + 0.196))
    assert (new["a_hat"], new["b_hat"]) == (1.0, 0.0)
    assert (new["a_l95"], new["a_u95"]) == pytest.approx((1.0 - 1.96 * 0.05, 1.0 + 1.96 * 0.05))
    assert (new["b_l95"], new["b_u95"]) == pytest.approx((-1.96 * 0.2, 1.96 * 0.2))
    assert new["n"] == 500
    assert (new["run_id"], new["week_start"]) == ("r", WEEK.start)


def test_a_limit_without_a_standard_error_is_null_and_not_nan() -> None:
    frame = rows.calibration_rows(comparison(), WEEK)
    assert frame["c_l95"].tolist() == [None] * 5


def test_an_item_has_its_information_and_only_a_compared_recent_one_its_changes() -> None:
    frame = rows.calibration_rows(comparison(), WEEK)
    information = json.loads(frame["info"][1])
    assert information["max"] == pytest.approx(0.25, abs=1e-3)
    assert information["theta_at_max"] == pytest.approx(0.5, abs=0.07)
    assert frame["dif"].tolist()[:4] == [None] * 4
    changes = json.loads(frame["dif"][4])
    assert changes["delta_b"] == 0.5
    assert changes["p_c_adjusted"] is None
    assert len(changes) == 9


def test_an_item_that_was_not_compared_cannot_be_judged() -> None:
    """Item 2 has Δb = 0.5 with an error of 0.5, so a severe change would mostly be missed; the alert is a finding."""
    frame = rows.calibration_rows(comparison(), WEEK)
    assert frame["drift_verdict"].tolist() == [None, None, None, None, "moved"]
    assert frame["power_b"][4] == pytest.approx(0.19, abs=0.15)
    assert frame["minimum_detectable_b"][4] > 1.0
    quiet = rows.calibration_rows(comparison(alerts=()), WEEK)
    assert quiet["drift_verdict"][4] == "cannot_be_judged"
    found = rows.drift_metadata(comparison(alerts=()))
    assert (found["items_moved"], found["items_without_drift"], found["items_that_cannot_be_judged"]) == (0, 0, 3)


def test_an_alert_is_a_row_that_only_people_resolve() -> None:
    (row,) = rows.alert_rows(comparison(), WEEK).to_dict("records")
    assert row == {
        "item_id": 2,
        "window_id": 2,
        "metric": "delta_b",
        "value": 0.75,
        "threshold": 0.25,
        "severity": "high",
        "p_adjusted": 0.001,
        "run_id": "r",
        "week_start": WEEK.start,
        "resolved_at": row["resolved_at"],
    }
    assert np.isnan(row["resolved_at"])
    assert len(rows.alert_rows(comparison(alerts=()), WEEK)) == 0


def test_the_selection_effect_stands_beside_the_drift_of_the_recent_window_only() -> None:
    gaps = SelectionGaps(
        np.array([2, 3]),
        gap=np.array([0.1, np.nan]),
        se=np.array([0.03, np.nan]),
        n_frequent=np.array([40, 0]),
        n_others=np.array([30, 50]),
        topic_gap=np.array([0.1, np.nan]),
        topic_gap_se=np.array([0.03, np.nan]),
        overall=0.1,
        overall_se=0.03,
    )
    found = dataclasses.replace(comparison(), selection=gaps)
    frame = rows.calibration_rows(found, WEEK)
    kept = frame[frame["selection_gap"].notna()]
    assert kept[["item_id", "window_id", "selection_gap", "selection_gap_se"]].to_numpy().tolist() == [
        [2, RECENT.id, 0.1, 0.03]
    ]
    assert rows.drift_metadata(found)["selection"] == (
        "students who practise a topic more than is usual get +10.0 of 100 of its questions more right than their ability "
        "says, compared with the others (95 % interval +4.1 to +15.9); beyond chance for 1 of 1 items"
    )
    assert rows.drift_metadata(comparison())["selection"] == "not judged: one topic"


def test_the_drift_beside_that_of_the_topic_is_stored_and_a_moved_item_has_its_origin() -> None:
    """Item 2 moved by 0.5, its topic by 0.1; 0.4 is 4 of its errors."""
    one, nothing = np.ones(1), np.full(1, np.nan)
    beside = DriftInTopic(
        np.array([2]),
        0.1 * one,
        topic_se=0.1 * one,
        apart=0.4 * one,
        apart_se=0.1 * one,
        gap_change=nothing,
        gap_change_se=nothing,
        n_others=np.array([7]),
    )
    found = dataclasses.replace(comparison(), in_topic=beside)
    stored = rows.calibration_rows(found, WEEK)["drift_in_topic"]
    assert stored.tolist()[:4] == [None] * 4
    assert json.loads(stored[4]) == {
        "origin": "item",
        "topic_delta": 0.1,
        "topic_se": 0.1,
        "apart": 0.4,
        "apart_se": 0.1,
        "gap_change": None,
        "gap_change_se": None,
        "n_others": 7,
    }
    assert rows.drift_metadata(found)["moved_by"] == "1 of the item alone"
    quiet = dataclasses.replace(comparison(alerts=()), in_topic=beside)
    assert json.loads(rows.calibration_rows(quiet, WEEK)["drift_in_topic"][4])["origin"] is None
    assert rows.drift_metadata(quiet)["moved_by"] == "no item moved"
    assert rows.drift_metadata(comparison())["moved_by"] == "not judged: one topic"
    assert rows.calibration_rows(comparison(), WEEK)["drift_in_topic"].tolist() == [None] * 5


def test_the_metadata_has_what_each_comparison_could_have_found() -> None:
    """An error of 0.5 and three tests: found from 1.2 on, and a severe change in a fifth of such comparisons."""
    drift = comparison(alerts=()).drift
    table = rows.drift_metadata(comparison(alerts=()))["items"].value
    assert "| item | 2 |\n| verdict | cannot be judged |\n| change of b | 0.5 |" in table
    assert f"{drift.minimum_detectable[0]:.3f}"[:4] in table
    assert f"{drift.power[0]:.3f}"[:4] in table


def test_the_metadata_names_the_items_that_only_one_window_could_estimate() -> None:
    """Item 3 has answers enough in both windows; item 4 has too few in the recent one."""
    found = rows.drift_metadata(comparison())
    assert found["items_without_an_estimate"] == "3 (all wrong)"
    assert (found["items_compared"], found["items_not_compared"]) == (1, 2)
    assert found["link"] == "θ = 2.000 θ_recent + 1.000 by 0 items, 0 left out"
    assert "| item | 2 |\n| metric | delta_b |\n| change | 0.75 |" in found["alerts"].value


def test_without_a_comparison_there_are_no_rows() -> None:
    assert rows.drift_metadata(NOTHING) == {}
    for frame in (
        rows.window_rows(NOTHING, CalibrationSettings()),
        rows.calibration_rows(NOTHING, WEEK),
        rows.alert_rows(NOTHING, WEEK),
    ):
        assert len(frame) == 0
        assert len(frame.columns) > 3
