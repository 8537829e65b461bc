"""When outcomes are known, and predictions with outcomes as a row of prediction_backtest."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seedtest_analytics.assets.backtest import judges
from seedtest_analytics.assets.backtest.judges import Judgement, days_after, end_of
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.no_result import NoResult


def week(monday: dt.date, zone: str) -> Week:
    return Week(monday, dt.datetime(2026, 12, 31, tzinfo=dt.UTC), timezone=zone)


def test_a_week_ends_at_local_midnight_also_when_clocks_change() -> None:
    """New York's clocks go forward on Sunday, 8 March 2026."""
    newyork = week(dt.date(2026, 3, 2), "America/New_York")
    assert end_of(newyork) == dt.datetime(2026, 3, 9, 4, tzinfo=dt.UTC)
    before = week(dt.date(2026, 2, 23), "America/New_York")
    assert end_of(before) == dt.datetime(2026, 3, 2, 5, tzinfo=dt.UTC)
    assert days_after(before, 7) == end_of(newyork)
    assert days_after(newyork, 0) == end_of(newyork)


def test_a_goal_in_shares_is_named_as_not_widened() -> None:
    same = judges._goal_notes(np.array([0.1, 0.2]))
    assert len(same) == 1
    mixed = judges._goal_notes(np.array([0.1, np.nan, np.nan]))
    assert mixed[0] == same[0]
    assert mixed[1].startswith("P of 2 of 3 students is about a share right")


UNTIL = dt.datetime(2026, 3, 23, tzinfo=dt.UTC)


def judged(
    happened: list[int], predicted: list[float], baseline: Any, methods: str | None = "normal", **more: Any
) -> Any:
    users = pa.array([f"u{k // 2}" for k in range(len(happened))]).dictionary_encode()
    rows = pa.table({"user_id": pa.chunked_array([users]), "happened": happened})
    found = judges.Outcomes(rows, methods)
    return judges.judged_as(
        found, "P", predicted=np.array(predicted), baseline=baseline, until=UNTIL, baseline_text="half", **more
    )


def test_a_prediction_is_scored_against_what_happened_and_its_baseline() -> None:
    happened, predicted = [1, 0] * 20, [0.8, 0.2] * 20
    found = judged(happened, predicted, 0.5, notes=["an ability"])
    assert isinstance(found, Judgement)
    row = found.row
    assert (row["prediction"], row["method"], row["judged_until"], row["baseline"]) == ("P", "normal", UNTIL, "half")
    assert (row["n"], row["n_events"], row["cohort_size"]) == (40, 20, 20)
    assert (row["brier"], row["brier_baseline"], row["auc"]) == (pytest.approx(0.04), pytest.approx(0.25), 1.0)
    assert row["brier_skill"] == pytest.approx(1 - 0.04 / 0.25)
    assert (row["is_credible"], json.loads(row["reasons"])) == (True, [])
    assert json.loads(row["notes"])[0] == "an ability"
    assert set(judges.SCORES) < set(row)
    assert json.loads(row["curve"]) == found.curve


def test_a_prediction_that_is_worse_than_its_baseline_is_not_credible() -> None:
    found = judged([1, 0] * 20, [0.1, 0.9] * 20, np.full(40, 0.5), methods=None)
    assert isinstance(found, Judgement)
    assert not found.row["is_credible"]
    assert "worse than the baseline's" in found.row["reasons"]
    assert found.row["method"] == "unknown"


def test_without_an_outcome_there_is_nothing_to_judge() -> None:
    assert judged([], [], 0.5) == NoResult("no prediction of the week has an outcome yet")
