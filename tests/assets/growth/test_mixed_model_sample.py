"""The mixed model of a large cohort is fitted on a stratified sample, and the method says so."""

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.growth.mixed_model.week import TopicWeeks, load_topic_weeks
from seedtest_analytics.settings import GlmmSettings
from tests.assets._growth import LAST_WEEK, store_answers, week_of

N_STUDENTS = 240


@pytest.fixture
def cohort(database: Engine) -> Engine:
    """Students with answers in one to eight weeks, three answers a week; 30 of each."""
    rows = [
        {
            "user_id": f"s{number:03d}",
            "item_id": 10 * week + answer,
            "correct": (number + answer) % 2 == 0,
            "completed_at": pd.Timestamp(LAST_WEEK, tz="UTC") - pd.Timedelta(days=7 * week) + pd.Timedelta(hours=9),
            "topic_id": "NA",
        }
        for number in range(N_STUDENTS)
        for week in range(number % 8 + 1)
        for answer in range(3)
    ]
    store_answers(database, pd.DataFrame(rows))
    return database


def load(engine: Engine, **settings: int) -> TopicWeeks:
    with engine.connect() as connection:
        return load_topic_weeks(connection, week_of(), settings=GlmmSettings().overridden_by(settings))


def test_a_sample_has_each_number_of_weeks_in_its_share_and_its_size_is_in_the_method(cohort: Engine) -> None:
    sample = load(cohort, max_students=120, min_observations=3)
    assert len(sample.users) == 120
    assert sample.method == "lme4 on a sample of 120 of 240 students, stratified by their number of weeks"
    weeks = sample.frame.groupby("student")["week"].nunique()
    assert weeks.value_counts().to_dict() == dict.fromkeys(range(1, 9), 15)
    assert set(sample.users) | sample.unsampled == {f"s{number:03d}" for number in range(N_STUDENTS)}
    assert not set(sample.users) & sample.unsampled
    assert set(sample.frame["topic"]) == {"NA"}


def test_the_sample_is_the_same_each_time(cohort: Engine) -> None:
    first, again = (load(cohort, max_students=100, min_observations=3) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert np.array_equal(first.users, again.users)


def test_a_cohort_within_the_limit_is_used_as_a_whole(cohort: Engine) -> None:
    everybody = load(cohort, max_students=240, min_observations=3)
    assert (len(everybody.users), everybody.unsampled, everybody.method) == (N_STUDENTS, frozenset(), "lme4")


def test_students_with_too_few_answers_are_left_out_before_the_sample_is_drawn(cohort: Engine) -> None:
    sample = load(cohort, max_students=100, min_observations=10)
    assert sample.left_out == 90
    assert len(sample.users) + len(sample.unsampled) == 150
