"""Answers become abilities: of all answers, of two windows, and of each topic."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from seedtest_analytics.assets.psychometrics.scoring.rows import (
    item_parameters,
    newest_answers,
    overall_responses,
    overall_rows,
    topic_rows,
    window_rows,
)
from tests.assets.psychometrics._scale import WEEK, scale_of

SCALE = scale_of(0.0, 0.0, 0.0, 0.0)


def answers(**columns: list[object]) -> pa.Table:
    coded = {"user_id", "topic_id"}
    return pa.table({name: pa.array(v).dictionary_encode() if name in coded else v for name, v in columns.items()})


def test_a_missing_guessing_parameter_is_zero() -> None:
    items = pd.DataFrame({"item_id": [5, 6], "a": [1, 2], "b": [0.0, 1.0], "c": [np.nan, 0.2]})
    found = item_parameters(items)
    assert found.item_ids.tolist() == [5, 6]
    assert (found.a.tolist(), found.c.tolist()) == ([1.0, 2.0], [0.0, 0.2])


def test_a_students_ability_follows_the_answers_from_the_populations_prior() -> None:
    table = answers(
        user_id=["kim", "kim", "lee", "lee", "max"], item_id=[1, 2, 1, 2, 99], correct=[True, False, True, True, True]
    )
    frame = overall_rows(*overall_responses(table), scale=SCALE, week=WEEK).set_index("user_id")
    assert set(frame.index) == {"kim", "lee"}, "max answered an item without parameters"
    kim, lee = frame.loc["kim"], frame.loc["lee"]
    assert kim["theta"] == pytest.approx(0.0, abs=1e-6)
    assert 0.8 < kim["se"] < 1.0
    assert 0.5 < lee["theta"] < 1.0
    assert (lee["n_answers"], lee["method"], lee["model"], lee["run_id"]) == (2, "EAP", "2PL", "run-1")
    assert (lee["version"], lee["week_start"], lee["fitted_at"]) == ("2026-W10", WEEK.start, WEEK.as_of)


def test_the_age_of_an_ability_is_that_of_its_newest_answer_to_a_known_item() -> None:
    days = [dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC) for day in range(1, 6)]
    table = answers(
        user_id=["kim", "kim", "kim", "lee", "lee"],
        topic_id=["algebra", "geometry", "algebra", "algebra", None],
        item_id=[1, 2, 99, 3, 4],
        correct=[True, False, True, True, True],
        completed_at=[days[1], days[0], days[4], days[2], days[3]],
    )
    rows = pd.DataFrame({"user_id": ["lee", "kim"]})
    assert newest_answers(table, SCALE, rows=rows, by=["user_id"]).tolist() == [days[3], days[1]]
    rows = pd.DataFrame({"user_id": ["kim", "kim", "lee"], "topic_id": ["geometry", "algebra", "algebra"]})
    found = newest_answers(table, SCALE, rows=rows, by=["user_id", "topic_id"])
    assert found.tolist() == [days[0], days[1], days[2]]
    assert len(newest_answers(table.slice(0, 0), SCALE, rows=rows.iloc[:0], by=["user_id"])) == 0


def test_windows_are_scored_apart_and_know_their_bounds() -> None:
    table = answers(
        user_id=["kim"] * 4, item_id=[1, 2, 3, 4], correct=[True, True, False, False], is_recent=[1, 1, 0, 0]
    )
    frame = window_rows(table, SCALE, week=WEEK, window_days=14).set_index("window_name")
    recent, previous = frame.loc["recent"], frame.loc["previous"]
    assert recent["theta"] == pytest.approx(-previous["theta"])
    assert recent["theta"] > 0.5
    day = dt.timedelta(days=1)
    assert (recent["window_start_at"], recent["window_end_at"]) == (WEEK.as_of - 14 * day, WEEK.as_of)
    assert (previous["window_start_at"], previous["window_end_at"]) == (WEEK.as_of - 28 * day, WEEK.as_of - 14 * day)


def test_a_topic_starts_from_the_student_and_not_from_the_population() -> None:
    table = answers(
        user_id=["kim", "kim", "kim", "new"],
        topic_id=["algebra", "geometry", None, "algebra"],
        item_id=[1, 2, 3, 1],
        correct=[True, False, True, True],
    )
    overall = pd.DataFrame({"user_id": ["kim"], "theta": [1.5], "se": [0.2]})
    rows = topic_rows(table, overall, scale=SCALE, week=WEEK, topic_spread=0.04)
    frame = rows.set_index(["user_id", "topic_id"])
    assert set(frame.index) == {("kim", "algebra"), ("kim", "geometry")}, "a student without an ability has no topics"
    algebra, geometry = (frame.loc[("kim", topic)] for topic in ("algebra", "geometry"))
    assert 1.3 < geometry["theta"] < 1.5 < algebra["theta"] < 1.6
    assert 0.2 < algebra["se"] < 0.4, "topics differ by 0.2, and the other topics know the level to 0.2"
    assert (algebra["n_answers"], algebra["version"]) == (1, "2026-W10")


def test_without_abilities_there_are_no_topics() -> None:
    table = answers(user_id=["kim"], topic_id=["algebra"], item_id=[1], correct=[True])
    nobody = pd.DataFrame({"user_id": [], "theta": [], "se": []})
    assert len(topic_rows(table, nobody, scale=SCALE, week=WEEK, topic_spread=0.2)) == 0


def test_intervals_of_topics_cover_what_they_say() -> None:
    """300 students, 5 topics, 4 to 40 answers in each: within four errors of 0.95 in both halves of the evidence.

    With the overall posterior as the prior it was 0.60 with up to 15 answers, and 0.69 with more.
    """
    rng = np.random.default_rng(91)
    spread, n_items, n_topics = 0.2, 200, 5
    scale = scale_of(*rng.normal(0.0, 1.0, n_items))
    level = rng.normal(0.0, 1.0, 300)
    truth = level[:, None] + rng.normal(0.0, spread**0.5, (300, n_topics))
    count = rng.integers(4, 41, (300, n_topics))
    student, topic = (np.repeat(code.ravel(), count.ravel()) for code in np.indices(count.shape))
    item = topic + n_topics * np.concatenate([rng.permutation(n_items // n_topics)[:n] for n in count.ravel()])
    b = scale.items["b"].to_numpy()[item]
    correct = rng.random(len(item)) < 1 / (1 + np.exp(-(truth[student, topic] - b)))
    table = answers(
        user_id=[f"u{s:03}" for s in student],
        topic_id=[str(t) for t in topic],
        item_id=(item + 1).tolist(),
        correct=correct.tolist(),
    )
    overall = overall_rows(*overall_responses(table), scale=scale, week=WEEK)
    frame = topic_rows(table, overall, scale=scale, week=WEEK, topic_spread=spread)
    at = frame["user_id"].str[1:].astype(int), frame["topic_id"].astype(int)
    is_inside = np.abs(frame["theta"] - truth[at]) < 1.96 * frame["se"]
    for is_long in (False, True):
        of_half = is_inside[(frame["n_answers"] > 15) == is_long]
        assert of_half.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / len(of_half)))
