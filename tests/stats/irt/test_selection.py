"""The selection effect on simulated students who practise what they are good at, and on those who do not."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.selection import selection_gaps

N_TOPICS, N_ITEMS = 5, 60


def answers(seed, choice=0.0, able=0.0, n=800, each=20):
    """Topics by taste; ``choice``: and by how good a student is in them; ``able``: and by the level."""
    random = np.random.default_rng(seed)
    level, deviation = random.normal(0, 1, n), random.normal(0, 0.6, (n, N_TOPICS))
    difficulty, topic = random.normal(0, 1, N_ITEMS), np.arange(N_ITEMS) % N_TOPICS
    wish = choice * deviation + 0.8 * random.normal(0, 1, (n, N_TOPICS))
    wish += able * level[:, None] * np.linspace(-1, 1, N_TOPICS)
    weight = softmax(wish, axis=1)[:, topic]
    # The largest of weight ** (1 / uniform) are a draw without replacement (Efraimidis & Spirakis 2006).
    item = np.argsort(-np.log(random.random(weight.shape)) / weight, axis=1)[:, :each]
    student = np.repeat(np.arange(n), each)
    logit = level[student] + deviation[student, topic[item.ravel()]] - difficulty[item.ravel()]
    right = random.random(len(student)) < expit(logit)
    data = ResponseData.from_long(student, item.ravel(), correct=right.astype(int))
    return data.with_topics(np.arange(N_ITEMS), topic)


def found(seed, **made):
    data = answers(seed, **made)
    return selection_gaps(data, calibrate(data).parameters)


@pytest.mark.parametrize("able", [0.0, 0.8])
def test_taste_and_ability_alone_leave_no_trace(able):
    gaps = [found(seed, able=able) for seed in range(6)]
    z = np.array([g.overall / g.overall_se for g in gaps])
    assert np.abs(z).max() < 3.5
    assert abs(z.mean()) < 3.5 / np.sqrt(6)
    items = np.concatenate([g.gap / g.se for g in gaps])
    assert np.mean(np.abs(items) > 1.96) < 0.12


def test_students_who_practise_what_they_are_good_at_are_seen():
    gaps = found(1, choice=1.5)
    assert gaps.overall > 5 * gaps.overall_se
    assert 0.04 < gaps.overall < 0.15
    assert np.mean(gaps.gap > 0) > 0.9


def test_the_overall_gap_is_the_mean_of_the_items_by_the_answers_of_frequent_students():
    gaps = found(2, choice=1.0)
    assert gaps.overall == pytest.approx(np.average(gaps.gap, weights=gaps.n_frequent))
    assert (gaps.n_frequent + gaps.n_others).sum() == 800 * 20


def test_the_error_is_that_of_other_cohorts():
    gaps = [found(seed, choice=0.7, n=200) for seed in range(12)]
    spread, stated = np.std([g.overall for g in gaps]), np.mean([g.overall_se for g in gaps])
    assert spread == pytest.approx(stated, rel=0.6)


def test_one_topic_is_refused():
    data = ResponseData.from_long([0, 0, 1, 1], [0, 1, 0, 1], correct=[0, 1, 1, 0])
    with pytest.raises(IrtDataError, match="fewer than two topics"):
        selection_gaps(data, calibrate(answers(1)).parameters.take(np.array([0, 1])))
