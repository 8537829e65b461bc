"""P(the next answer in a topic is right): the share that happens, the mean of the questions, and topics without any."""

import numpy as np
import pytest

from seedtest_analytics.stats.ability.filtering import expect, run_filter
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.topic_success import N_QUESTIONS, next_in_topic
from tests.stats.ability._simulation import simulate

TRUTH = Hyperparameters(level_walk=0.002, topic_spread=0.5, slope_variance=0.0, practice=0.0, repetition=0.0)


def test_the_predicted_share_is_the_share_that_is_right() -> None:
    """By the truth, within four standard errors, in each third of the predictions. 600 students, 6 topics, seed 911."""
    cohort = simulate(TRUTH, seed=911, n_students=600, n_items=240, weeks=8)
    filtered = run_filter(cohort.answers, TRUTH, items=cohort.known_items)
    end = float(cohort.level.shape[1] - 1)
    student, topic = (code.ravel() for code in np.indices(cohort.deviation.shape))
    predicted = next_in_topic(filtered, student, topic=topic, day=end, since=0.0)
    ability = cohort.level[student, -1] + cohort.deviation[student, topic]
    truth = np.empty(len(student))
    for code in np.unique(topic):
        rows, items = topic == code, cohort.difficulty[cohort.item_topic == code]
        truth[rows] = (1 / (1 + np.exp(items - ability[rows][:, None]))).mean(axis=1)
    for third in np.array_split(np.argsort(predicted), 3):
        error = predicted[third] - truth[third]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(third) / cohort.deviation.shape[1])
    assert np.corrcoef(predicted, truth)[0, 1] > 0.8


def test_it_is_the_mean_over_questions_of_the_topic() -> None:
    """With as many items as questions, each answered once lately, every item is asked once."""
    cohort = simulate(TRUTH, seed=912, n_students=30, n_items=N_QUESTIONS, n_topics=1, weeks=4)
    filtered = run_filter(cohort.answers, TRUTH, items=cohort.known_items)
    last_of_item = {
        int(item): float(day) for item, day in zip(filtered.answers.item, filtered.answers.day, strict=True)
    }
    since = min(last_of_item.values())
    asked = filtered.answers.item[filtered.answers.day >= since]
    found = next_in_topic(filtered, [3], topic=[0], day=28.0, since=since)
    each = expect(
        filtered.state,
        np.full(len(asked), 3),
        item=asked,
        topic=np.zeros(len(asked), np.int8),
        day=np.full(len(asked), 28.0),
    )
    # The questions are evenly spaced ranks of what was asked, so the means differ by less than one rank's step.
    assert found[0] == pytest.approx(each.probability.mean(), abs=1 / N_QUESTIONS)


def test_a_new_student_and_a_topic_without_recent_answers() -> None:
    cohort = simulate(TRUTH, seed=913, n_students=30, n_items=30, n_topics=2, weeks=4)
    filtered = run_filter(cohort.answers, TRUTH, items=cohort.known_items)
    found = next_in_topic(filtered, [10_000, 0, 0], topic=[0, 1, 7], day=28.0, since=0.0)
    assert 0 < found[0] < 1
    assert 0 < found[1] < 1
    assert np.isnan(found[2])
    assert np.isnan(next_in_topic(filtered, [0], topic=[0], day=60.0, since=50.0)).all()
